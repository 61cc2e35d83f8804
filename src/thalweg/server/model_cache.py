"""Networks, photos and outputs of runs, loaded once and kept; requests are processed one at a time.

Shape suffixes: N photos, C classes, D features.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg.errors import RunError
from thalweg.runs import files


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from thalweg.data import Cache
    from thalweg.runs import Run

_ANSWERS: Final = 24
_PHOTOS: Final = 600  # photos of the validation split; t-SNE of more takes too long

_working = threading.RLock()  # torch is fastest with one request at a time, and memory stays bounded


def at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let only one thread at a time into the decorated functions; torch uses one CPU thread."""

    @wraps(function)
    def alone(*arguments: Any, **named: Any) -> Any:
        with _working:
            spare_the_processor()
            return function(*arguments, **named)

    return alone


class Recent:
    """The most recently used answers, by key.

    Args:
        most: maximum number of answers.
    """

    def __init__(self, most: int = _ANSWERS) -> None:
        self._most = most
        self._answers: OrderedDict[Any, Any] = OrderedDict()

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        """The answer for a key; it is made if it is missing."""
        if key not in self._answers:
            self._answers[key] = make()
        self._answers.move_to_end(key)
        while len(self._answers) > self._most:
            self._answers.popitem(last=False)
        return self._answers[key]


_networks, _caches, _outputs = Recent(3), Recent(4), Recent()


@at_a_time
def network_of(run: Run, checkpoint: str = files.BEST) -> Any:
    """Load the network with the weights of a checkpoint, in evaluation mode.

    Args:
        run: the run.
        checkpoint: one of `checkpoints_of`.

    Raises:
        RunError: there is no such checkpoint, or it belongs to another network.
    """
    return _networks.get(key_of(run, checkpoint), lambda: run.load_network(_which(checkpoint)))


@at_a_time
def photos_of(run: Run) -> Cache:
    """The photos of a run, decoded.

    Raises:
        DataError: the photos are gone.
        RunError: the photos have changed.
    """
    return _caches.get((run.path, run.data["fingerprint"]), run.open_photos)


@at_a_time
def outputs_of(run: Run, checkpoint: str = files.BEST) -> dict[str, NDArray[Any]]:
    """Logits and the features of both layers over up to 600 photos of the validation split.

    Returns:
        `rows` (N,) of the cache, `labels` (N,), `logits` (N, C), `mid` (N, D), `top` (N, D).

    Raises:
        RunError: there is no such checkpoint, or the photos have changed.
        DataError: the photos are gone.
    """
    return _outputs.get(key_of(run, checkpoint), lambda: _evaluate(run, checkpoint))


def checkpoints_of(run: Run) -> list[str]:
    """Names of the checkpoints with weights: those of epochs in order, then `best`.

    Raises:
        RunError: there is none.
    """
    names = [run.checkpoint(epoch).stem for epoch in run.saved_epochs()] + ([files.BEST] if run.best.exists() else [])
    if not names:
        raise RunError("runs.no_weights", run=run.path)
    return names


def key_of(run: Run, checkpoint: str) -> tuple[Path, int]:
    """The key of answers made with a checkpoint; a replaced file gets another key.

    Raises:
        RunError: there is no such checkpoint.
    """
    missing = RunError("page.no_checkpoint", name=checkpoint[:80], run=run.path.name)
    if checkpoint not in checkpoints_of(run):
        raise missing
    path = run.checkpoint(_which(checkpoint))
    try:
        return path, path.stat().st_mtime_ns
    except OSError:  # it has just been deleted
        raise missing from None


def probabilities_of(run: Run, logits_NC: NDArray[np.floating]) -> NDArray[np.float64]:
    """The probabilities of the classes, with the run's temperature, of shape (N, C)."""
    return run.task.probabilities(logits_NC, run.temperature)


def _which(checkpoint: str) -> str | int:
    """A checkpoint's name as `Run` takes it: an epoch is a number."""
    return int(checkpoint.removeprefix(files.EPOCH)) if checkpoint.startswith(files.EPOCH) else checkpoint


def _evaluate(run: Run, checkpoint: str) -> dict[str, NDArray[Any]]:
    from thalweg.models import features_of

    cache = photos_of(run)
    rows = cache.rows("valid")
    places = np.sort(np.random.default_rng(0).permutation(len(rows))[:_PHOTOS])
    found = features_of(network_of(run, checkpoint), run.batches(cache, rows[places]))
    arrays = {name: tensor.numpy() for name, tensor in found.items()}
    return {"rows": rows[places], "labels": cache.labels("valid")[places], **arrays}


def spare_the_processor() -> None:
    """Use one thread for the page, so that a training run keeps the others."""
    import torch

    if torch.get_num_threads() > 1 and (os.cpu_count() or 1) > 1:
        torch.set_num_threads(1)
