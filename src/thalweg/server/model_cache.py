"""Networks, photos and outputs of runs, loaded once and kept; one visitor's work is done at a time.

Shape suffixes: N photos, C classes, D features.
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

BEST: Final = "best"

_ANSWERS: Final = 24
_PHOTOS: Final = 600  # of the validation split: t-SNE of more takes longer than a person waits

_working = threading.RLock()  # torch's threads serve one visitor at a time best, and memory stays bounded


def at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let one thread at a time into all functions marked so; torch gets one thread of the processor."""

    @wraps(function)
    def alone(*arguments: Any, **named: Any) -> Any:
        with _working:
            _spare_the_processor()
            return function(*arguments, **named)

    return alone


class Recent:
    """The answers that were used last, by what they were made from.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int = _ANSWERS) -> None:
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


_networks, _caches, _outputs = Recent(3), Recent(4), Recent()


@at_a_time
def network_of(run: Run, checkpoint: str = BEST) -> Any:
    """The network with the weights of a checkpoint, ready to evaluate.

    Args:
        run: any.
        checkpoint: one of `checkpoints_of`.

    Raises:
        RunError: there is no such checkpoint, or it is of another network.
    """
    return _networks.get(key_of(run, checkpoint), lambda: _load_network(run, checkpoint))


@at_a_time
def photos_of(run: Run) -> Cache:
    """The photos of a run, decoded.

    Raises:
        DataError: they are gone, or have changed.
    """
    return _caches.get((run.path, run.data["fingerprint"]), lambda: _open_photos(run))


@at_a_time
def outputs_of(run: Run, checkpoint: str = BEST) -> dict[str, NDArray[Any]]:
    """Logits and features at both taps over up to 600 photos of the validation split.

    Returns:
        `rows` (N,) of the cache, `labels` (N,), `logits` (N, C), `mid` (N, D), `top` (N, D).

    Raises:
        RunError: there is no such checkpoint.
        DataError: the photos are gone, or have changed.
    """
    return _outputs.get(key_of(run, checkpoint), lambda: _evaluate(run, checkpoint))


def checkpoints_of(run: Run) -> list[str]:
    """Names of the checkpoints with weights to look at: those of epochs in order, then `best`.

    Raises:
        RunError: there is none.
    """
    found = sorted(
        (path for path in (run.path / "checkpoints").glob("epoch-*.safetensors") if path.stem[6:].isdecimal()),
        key=lambda path: int(path.stem[6:]),
    )
    names = [path.stem for path in found] + ([BEST] if run.best.exists() else [])
    if not names:
        raise RunError("prediction.no_weights", run=run.path)
    return names


def key_of(run: Run, checkpoint: str) -> tuple[Path, int]:
    """What an answer made with a checkpoint is kept under: a file that was replaced is another checkpoint.

    Raises:
        RunError: there is no such checkpoint.
    """
    if checkpoint not in checkpoints_of(run):
        raise RunError("page.no_checkpoint", name=checkpoint[:80], run=run.path.name)
    path = run.path / "checkpoints" / f"{checkpoint}.safetensors"
    try:
        return path, path.stat().st_mtime_ns
    except OSError as error:  # it was deleted a moment ago
        raise RunError("training.no_checkpoint", path=path, reason=error.strerror or error) from error


def probabilities_of(run: Run, logits_NC: NDArray[np.floating]) -> NDArray[np.float64]:
    """The probabilities of the classes, with the run's temperature, of shape (N, C)."""
    from thalweg.training.calibration import probabilities

    return probabilities(logits_NC, run.temperature)


def _load_network(run: Run, checkpoint: str) -> Any:
    import torch

    from thalweg import models
    from thalweg.training import checkpoint as format_

    assert run.config.size is not None, "a run's size is settled"  # noqa: S101 - for the type checker
    model = models.build(run.config.model, classes=len(run.classes), size=run.config.size)
    tensors, _ = format_.load(run.path / "checkpoints" / f"{checkpoint}.safetensors")
    format_.load_model(model, tensors)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload] - torch types leave it out
    return model.eval()


def _open_photos(run: Run) -> Cache:
    from thalweg.data import build_cache
    from thalweg.training.preparation import opened

    cache = build_cache(opened(run.data["path"], run.config), size=run.data["stored"], fit=run.config.fit)
    if cache.fingerprint != run.data["fingerprint"]:
        raise DataError("report.photos_changed", path=run.data["path"])
    return cache


def _batches(run: Run, cache: Cache, rows_N: NDArray[np.int64]) -> Any:
    from thalweg.data.batches import plain_batches
    from thalweg.data.viewing import HostViewer

    assert run.config.size is not None, "a run's size is settled"  # noqa: S101 - for the type checker
    viewer = HostViewer(cache.images_NHWC, run.data["mean"], run.data["std"])
    return plain_batches(viewer, rows_N, size=run.config.size, batch_size=64)


def _evaluate(run: Run, checkpoint: str) -> dict[str, NDArray[Any]]:
    from thalweg.training.evaluation import features_of

    cache = photos_of(run)
    rows = cache.rows("valid")
    places = np.sort(np.random.default_rng(0).permutation(len(rows))[:_PHOTOS])
    found = features_of(network_of(run, checkpoint), _batches(run, cache, rows[places]))
    arrays = {name: tensor.numpy() for name, tensor in found.items()}
    return {"rows": rows[places], "labels": cache.labels("valid")[places], **arrays}


def _spare_the_processor() -> None:
    """One thread for the page: a training run beside it keeps its own."""
    import torch

    if torch.get_num_threads() > 1 and (os.cpu_count() or 1) > 1:
        torch.set_num_threads(1)
