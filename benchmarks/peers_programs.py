"""Programs with a known fault, trained for the peers: a log for those that read logs, hooks for those that hook in.

A file of programs has a list `CASES`, each with a `name`, `truth` (the codes that are right), `healthy`, and
`fn(fixed)`, which trains and returns the run with `watch`, `batches` and `loss_fn`; and a function
`watching(model, optimizer)`, which every program calls for the object that it steps.
"""

from __future__ import annotations

import csv
import importlib.util
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

COLUMNS: Sequence[str] = ("step", "train_loss", "lr", "grad_norm", "val_loss")


def load(path: str) -> ModuleType:
    """Import a file of programs, with this checkout's thalweg."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
    spec = importlib.util.spec_from_file_location("programs", path)
    if spec is None or spec.loader is None:
        sys.exit(f"{path} is no Python file")
    programs = importlib.util.module_from_spec(spec)
    sys.modules["programs"] = programs
    spec.loader.exec_module(programs)
    return programs


def train(programs: ModuleType, name: str, *, fixed: bool, seed: int) -> Any:
    """Train one program, or its repaired twin, on one thread; return its run."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - programs draw from it
    case = next(case for case in programs.CASES if case.name == name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return case.fn(fixed)


@dataclass
class Log:
    """What a usual loop logs: loss, rate, norm of the gradient, and the losses on validation data, if any."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, watch: Any) -> Log:
        """The columns of a watch; a rate or norm that it could not measure is no NaN of the training, but missing."""
        steps, valid = watch.steps, watch.validation
        losses = dict(zip(valid["step"].tolist(), valid["loss"].tolist(), strict=True))
        columns = (steps[name].tolist() for name in ("step", "loss", "lr", "gradient_norm"))
        rows = []
        for step, loss, rate, norm in zip(*columns, strict=True):
            known = (value if value == value or loss != loss else None for value in (rate, norm))  # noqa: PLR0124 - NaN
            rows.append(dict(zip(COLUMNS, (int(step), loss, *known, losses.get(step + 1)), strict=True)))
        return cls(rows)

    def write(self, path: Path) -> None:
        """Write a CSV file; what was not logged is an empty cell."""
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS)
            table.writeheader()
            table.writerows(self.rows)


@dataclass
class Hooked:
    """Stands in a program where its watch stood, and hands each step to a peer."""

    enter: Callable[[], Any]
    leave: Callable[[], Any]
    closing: Callable[[float], Any]  # of a step, with its loss

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def step(self, loss: Any) -> None:
        """Close a step."""
        self.closing(float(loss))

    def validate(self, *_: Any, **__: Any) -> None:
        """Take a loss on validation data; peers that hook in have no use for it."""
