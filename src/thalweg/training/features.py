"""The inputs of a network's classifier, computed once for the photos of a cache and kept on disk.

Shape suffixes: N photos, D features, C channels, H height, W width.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from thalweg import models
from thalweg._files import cache_folder, write_bytes
from thalweg.data.batches import plain_batches
from thalweg.errors import StorageError, UsageError
from thalweg.runs.photos import affordable_batch


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from thalweg.data import Cache
    from thalweg.data.augmenters import Augmenter
    from thalweg.runs import Run

BLOCK = 512  # rows of the cache per file: a killed process loses no more
BATCH = 64  # photos: fastest on two cores, where the maps of few photos stay in the processor's cache
_VECTOR = 2  # dimensions


class Features:
    """The inputs of a network's classifier for photos that are not augmented, in evaluation mode and fp32.

    They are computed in blocks of the cache's rows. A block is kept on disk under a name that is a digest of all that
    its numbers depend on: weights, photos, size, normalization, torch's version and threads. Photos of the test split
    are left out; which of the others are for validation does not matter, so folds share their blocks.

    Args:
        model: the network; its weights must be the same at every call.
        augmenter: makes the images.
        cache: the photos.
        run: says the side of the network's input, and the mean and standard deviation that the augmenter uses.
    """

    def __init__(self, model: nn.Module, augmenter: Augmenter, cache: Cache, run: Run) -> None:
        self._model, self._augmenter, self._size = model, augmenter, run.config.size
        self._rows = np.sort(np.concatenate([cache.rows("train"), cache.rows("valid")]))
        self._place = np.full(len(cache.photos), -1)
        self._place[self._rows] = np.arange(len(self._rows))
        normal = [[float(value) for value in run.data[name]] for name in ("mean", "std")]
        self._facts = [cache.path.parent.name, self._size, normal]
        self._folder: Path | None = None
        self._blocks: dict[int, NDArray[np.float32]] = {}

    def __call__(
        self,
        rows_N: NDArray[np.int64],
        progress: Callable[[int, int], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> NDArray[np.float32] | None:
        """Return the features of some photos of the training and validation splits.

        Args:
            rows_N: rows of the cache.
            progress: called with (photos done, photos) after each batch.
            stop: asked after each batch whether to stop.

        Returns:
            (N, D), or None if `stop` said so.

        Raises:
            UsageError: the classifier does not take one vector per photo.
        """
        places_N = self._place[rows_N]
        wanted = [int(block) for block in np.unique(places_N // BLOCK)]
        total = sum(len(self._rows[block * BLOCK : (block + 1) * BLOCK]) for block in wanted)
        done = 0
        for block in wanted:
            for count in self._computed(block):
                done += count
                if progress:
                    progress(done, total)
                if stop and stop():
                    return None
        found_ND = np.empty((len(rows_N), len(self._blocks[wanted[0]][0])), dtype=np.float32)
        for block in wanted:
            chosen_N = places_N // BLOCK == block
            found_ND[chosen_N] = self._blocks[block][places_N[chosen_N] - block * BLOCK]
        return found_ND

    def _computed(self, block: int) -> Iterator[int]:
        """Read a block, or compute and keep it; yield the photos of each part that is done."""
        if block in self._blocks:
            yield len(self._blocks[block])
            return
        rows_N = self._rows[block * BLOCK : (block + 1) * BLOCK]
        if self._folder is None:
            self._folder = cache_folder() / "features" / self._name()
        file = self._folder / f"{blake2b(rows_N.astype('<i8').tobytes(), digest_size=16).hexdigest()}.safetensors"
        kept_ND = _read(file, len(rows_N))
        if kept_ND is not None:
            self._blocks[block] = kept_ND
            yield len(rows_N)
            return
        batch_size = affordable_batch(self._size, BATCH)
        parts = []
        with _Inputs(self._model) as inputs:
            for images_NCHW in plain_batches(self._augmenter, rows_N, size=self._size, batch_size=batch_size):
                parts.append(inputs(images_NCHW).cpu().numpy())
                if sum(map(len, parts)) < len(rows_N):
                    yield len(parts[-1])
        self._blocks[block] = np.concatenate(parts)
        with suppress(StorageError):  # a full disk: they are computed again next time
            write_bytes(file, save({"features": self._blocks[block]}))
        yield len(parts[-1])

    def _name(self) -> str:
        """Digest all that the numbers depend on, besides the rows."""
        top = {
            f"{name}." for name, module in self._model.named_modules() if module is models.classifier_of(self._model)
        }
        weight = next(self._model.parameters())
        machine = [torch.__version__, torch.get_num_threads(), str(weight.device), _is_last(self._model)]
        digest = blake2b(repr([*self._facts, *machine, BATCH]).encode(), digest_size=16)
        for name, tensor in self._model.state_dict().items():
            if not name.startswith(tuple(top)):
                digest.update(repr([name, tuple(tensor.shape), str(tensor.dtype)]).encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


class _Inputs:
    """Computes what a classifier gets, in evaluation mode; a context manager that restores the model."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._found: list[Tensor] = []

    def __enter__(self) -> Self:
        self._mode = self._model.training
        self._model.eval()
        self._hook = models.classifier_of(self._model).register_forward_pre_hook(
            lambda _, inputs: self._found.append(inputs[0])
        )
        weight = next(self._model.parameters())
        self._device = weight.device
        self._format = torch.channels_last if _is_last(self._model) else torch.contiguous_format
        return self

    def __exit__(self, *_error: object) -> None:
        self._hook.remove()
        self._model.train(self._mode)

    @torch.inference_mode()
    def __call__(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, D), fp32."""
        self._found.clear()
        self._model(images_NCHW.to(self._device, memory_format=self._format))
        inputs = self._found[0].float()
        if inputs.flatten(start_dim=1).shape[1] != inputs.shape[1] or inputs.ndim < _VECTOR:
            raise UsageError("training.head_takes_no_vector", shape=tuple(inputs.shape))
        return inputs.flatten(start_dim=1)


def _is_last(model: nn.Module) -> bool:
    """Whether kernels are in channels-last order."""
    kernels = [parameter for parameter in model.parameters() if parameter.ndim == 4]
    return any(one.is_contiguous(memory_format=torch.channels_last) and not one.is_contiguous() for one in kernels)


def _read(file: Path, count: int) -> NDArray[np.float32] | None:
    """Read a block of so many photos; None if it is missing or damaged."""
    try:
        found_ND = load_file(file)["features"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    right = found_ND.dtype == np.float32 and found_ND.ndim == _VECTOR and len(found_ND) == count
    return found_ND if right and bool(np.isfinite(found_ND).all()) else None
