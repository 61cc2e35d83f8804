"""Start the processes of a training on this machine, through torchrun."""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from thalweg.data.parallel import cores
from thalweg.errors import INTERRUPTED, TrainingError


if TYPE_CHECKING:
    from collections.abc import Sequence

OUTCOME: Final = "THALWEG_OUTCOME"  # environment variable: the file that a process writes its exit code to
_STOPPING_S = 60  # for a step and a checkpoint, after Ctrl-C; then they are killed


def launch(arguments: Sequence[str], processes: int, restarts: int) -> int:
    """Run `thalweg` with these arguments in several processes, and return the exit code.

    A process that is killed is started again, with all others, up to `restarts` times; they go on from the last
    checkpoint. An error that a process has explained ends all of them at once.

    Args:
        arguments: of the command line.
        processes: how many, at least 1.
        restarts: how often, at most.

    Raises:
        TrainingError: processes died too often.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import get_args_parser, run

    logging.disable(logging.CRITICAL)  # torchrun's lines about processes that end; ours say why
    with tempfile.TemporaryDirectory() as folder:
        outcome = Path(folder) / "exit-code"
        os.environ[OUTCOME] = str(outcome)
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
        options = [
            "--standalone",
            f"--nproc-per-node={processes}",
            f"--max-restarts={restarts}",
            f"--shutdown-timeout={_STOPPING_S}",
            "--monitor-interval=0.1",
            "--module",
        ]
        try:
            run(get_args_parser().parse_args([*options, "thalweg", *arguments]))
        except SignalException:
            return _read(outcome) or INTERRUPTED
        except ChildFailedError as error:
            if code := _read(outcome):
                return code
            rank, failure = error.get_first_failure()
            raise TrainingError("distributed.gave_up", rank=rank, code=failure.exitcode, restarts=restarts) from error
        finally:
            logging.disable(logging.NOTSET)
            del os.environ[OUTCOME]
        return _read(outcome)


def concluded(code: int, *, spoke: bool = True) -> int:
    """Return the exit code of a process that torchrun shall not start again.

    Args:
        code: of this process.
        spoke: whether it has said why; the one that has tells the process that started it.
    """
    outcome = os.environ.get(OUTCOME)
    if not outcome:
        return code
    if spoke and code:
        with suppress(OSError):
            Path(outcome).write_text(str(code), encoding="utf-8")
    return 0


def _read(outcome: Path) -> int:
    try:
        return int(outcome.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
