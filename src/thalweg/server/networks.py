"""Networks of runs, at work: photos and weights are loaded once, and one visitor's work is done at a time.

Shape suffixes: N photos, C classes, D features, H height, W width.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg.errors import DataError, RunError


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from thalweg.data import Cache
    from thalweg.training import Run

_KEPT: Final = 24  # answers
_PHOTOS: Final = 600  # of the validation split: t-SNE of more takes longer than a person waits

_working = threading.RLock()  # torch's own threads serve one at a time best, and memory is bounded so


def at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let one thread at a time into a function and all others so marked; torch gets one thread of the processor."""

    @wraps(function)
    def alone(*arguments: Any, **named: Any) -> Any:
        with _working:
            _spare_the_processor()
            return function(*arguments, **named)

    return alone


class Kept:
    """The last few answers, by what they were made from.

    Args:
        most: how many.
    """

    def __init__(self, most: int = _KEPT) -> None:
        self._most = most
        self._answers: OrderedDict[Any, Any] = OrderedDict()

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        """The answer of a key, made if it is not there."""
        if key not in self._answers:
            self._answers[key] = make()
        self._answers.move_to_end(key)
        while len(self._answers) > self._most:
            self._answers.popitem(last=False)
        return self._answers[key]


_models, _caches, _outputs = Kept(3), Kept(4), Kept()


@at_a_time
def model_at(run: Run, checkpoint: Path) -> Any:
    """The run's network with the weights of a checkpoint, ready to evaluate.

    Raises:
        RunError: no such checkpoint, or one of another network.
    """
    return _models.get((checkpoint, _stamp(checkpoint)), lambda: _load(run, checkpoint))


@at_a_time
def photos_of(run: Run) -> Cache:
    """The run's photos, decoded.

    Raises:
        DataError: they are not there any more, or are others.
    """
    return _caches.get((run.path, run.data["fingerprint"]), lambda: _open_photos(run))


@at_a_time
def outputs_at(run: Run, checkpoint: Path) -> dict[str, NDArray[Any]]:
    """Logits and features at both taps over (a part of) the validation split.

    Returns:
        `rows` (N,) of the cache, `labels` (N,), `logits` (N, C), `mid` (N, D), `top` (N, D).

    Raises:
        RunError: no such checkpoint.
        DataError: the photos are not there any more, or are others.
    """
    return _outputs.get((checkpoint, _stamp(checkpoint)), lambda: _run(run, checkpoint))


def checkpoint_of(run: Run, name: str) -> Path:
    """A checkpoint by its name.

    Raises:
        RunError: the run has no such checkpoint.
    """
    if name not in checkpoints(run):
        raise RunError("page.no_checkpoint", name=name[:80], run=run.path.name)
    return run.path / "checkpoints" / f"{name}.safetensors"


def checkpoints(run: Run) -> list[str]:
    """Names of the checkpoints whose weights can be looked at: those of epochs, in order, then the best."""
    found = sorted(
        (path for path in (run.path / "checkpoints").glob("epoch-*.safetensors") if path.stem[6:].isdecimal()),
        key=lambda path: int(path.stem[6:]),
    )
    return [path.stem for path in found] + (["best"] if run.best.exists() else [])


def softmax(logits_NC: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of the classes, a row each."""
    powers_NC = np.exp(np.asarray(logits_NC, dtype=np.float64) - logits_NC.max(axis=1, keepdims=True))
    return powers_NC / powers_NC.sum(axis=1, keepdims=True)


def _load(run: Run, checkpoint: Path) -> Any:
    import torch

    from thalweg import models
    from thalweg.training import checkpoint as checkpoints_

    assert run.config.size is not None, "a run's size is settled"  # noqa: S101 - for the type checker
    model = models.build(run.config.model, classes=len(run.classes), size=run.config.size)
    tensors, _ = checkpoints_.load(checkpoint)
    checkpoints_.load_model(model, tensors)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload] - torch types leave it out
    return model.eval()


def _open_photos(run: Run) -> Cache:
    from thalweg.data import build_cache
    from thalweg.training.preparation import opened

    cache = build_cache(opened(run.data["path"], run.config), size=run.data["stored"], resize=run.config.resize)
    if cache.fingerprint != run.data["fingerprint"]:
        raise DataError("report.photos_changed", path=run.data["path"])
    return cache


def _run(run: Run, checkpoint: Path) -> dict[str, NDArray[Any]]:
    from thalweg.data.augmenters import HostAugmenter
    from thalweg.data.batches import plain_batches
    from thalweg.training.evaluation import features_of

    cache = photos_of(run)
    rows = cache.rows("valid")
    places = np.sort(np.random.default_rng(0).permutation(len(rows))[:_PHOTOS])
    assert run.config.size is not None, "a run's size is settled"  # noqa: S101 - for the type checker
    batches = plain_batches(
        HostAugmenter(cache.images_NHWC, run.data["mean"], run.data["std"]),
        rows[places],
        size=run.config.size,
        batch_size=64,
    )
    found = features_of(model_at(run, checkpoint), batches)
    arrays = {name: tensor.numpy() for name, tensor in found.items()}
    return {"rows": rows[places], "labels": cache.labels("valid")[places], **arrays}


def _stamp(path: Path) -> int:
    """When a file was written: a checkpoint that was replaced is another one.

    Raises:
        RunError: there is none.
    """
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise RunError("training.no_checkpoint", path=path, reason=error.strerror or error) from error


def _spare_the_processor() -> None:
    """One thread for the page: a training that runs beside it keeps its own."""
    import torch

    if torch.get_num_threads() > 1 and (os.cpu_count() or 1) > 1:
        torch.set_num_threads(1)
