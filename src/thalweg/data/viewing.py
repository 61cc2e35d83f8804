"""Views of cached photos as a network takes them: cut out, colored and normalized.

Two makers of the same views: `HostViewer` for the processor, whose geometry is one compiled loop over bytes, and
`DeviceViewer` for a GPU that holds all photos, whose geometry is two products of matrices.

Shape suffixes: N photos, S side of the cached photo, V side of the view, C channels, H height, W width, P pixels.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from thalweg._replay import Replay
from thalweg.data.augment import LUMA_C, Views, color_matrices
from thalweg.data.cutting import cut_views


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor


COPIED = 1024  # photos at once
FAR = 1e6  # pixels, where no triangle reaches


class Viewer(Protocol):
    """Makes views of photos; `stored` is the side of the cached photos in pixels, `device` where the views are."""

    stored: int
    device: torch.device

    def __call__(self, rows_N: NDArray[np.int64], views: Views, size: int) -> Tensor:
        """Views of (N, 3, size, size), float32 in channels-last order, valid until the next call.

        Args:
            rows_N: which of the photos.
            views: a view of each.
            size: side of the views in pixels.
        """
        ...


class HostViewer:
    """Views made by the processor: geometry in bytes, then color and normalization in one affine map.

    Args:
        images_NHWC: all cached photos, uint8, square; may be a memory map.
        mean: that becomes 0, for each channel, in 0..1.
        std: deviation that becomes 1, for each channel.
    """

    def __init__(self, images_NHWC: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float]) -> None:
        self.images_NHWC = images_NHWC
        self.stored = images_NHWC.shape[1]
        self.device = torch.device("cpu")
        self._mean_3, self._std_3 = np.asarray(mean), np.asarray(std)
        # Allocated once a shape: large temporaries cost page faults.
        self._buffers: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}

    def __call__(self, rows_N: NDArray[np.int64], views: Views, size: int) -> Tensor:
        """As `Viewer` says."""
        images_NHWC = torch.from_numpy(cut_views(self.images_NHWC, rows_N, views, size))
        images_NCHW = self._normalized(images_NHWC, views.colors_N3)
        for position in np.flatnonzero(views.erased_N4[:, 2]):
            top, left, height, width = views.erased_N4[position]
            images_NCHW[position, :, top : top + height, left : left + width] = 0
        return images_NCHW

    def _normalized(self, images_NHWC: Tensor, colors_N3: NDArray[np.float32]) -> Tensor:
        count, height, width, channels = images_NHWC.shape
        if images_NHWC.shape not in self._buffers:
            with torch.inference_mode(mode=False):  # what is allocated while one evaluates is written while one trains
                pixels_NPC = torch.empty((count, height * width, channels))
                self._buffers[images_NHWC.shape] = pixels_NPC, torch.empty_like(pixels_NPC)
        pixels_NPC, normalized_NPC = self._buffers[images_NHWC.shape]
        pixels_NPC.copy_(images_NHWC.view(count, -1, channels))
        gray_N = (pixels_NPC.mean(dim=1).numpy() @ LUMA_C) / 255
        maps_N43 = color_matrices(colors_N3, gray_N)
        scale_N33 = maps_N43[:, :3] / (255 * self._std_3)
        offset_N13 = (maps_N43[:, 3:] - self._mean_3) / self._std_3
        torch.baddbmm(
            torch.from_numpy(offset_N13.astype(np.float32)),
            pixels_NPC,
            torch.from_numpy(scale_N33.astype(np.float32)),
            out=normalized_NPC,
        )
        return normalized_NPC.view(count, height, width, channels).permute(0, 3, 1, 2)


class DeviceViewer:
    """The same views made where the photos are; what is drawn for them travels there as one small table.

    Crop, resize, mirror and shift are one linear map for the rows of a photo and one for its columns: a matrix each,
    built from the numbers of the view, and multiplied by the matrix units in half precision, which holds every byte
    exactly. Unlike `HostViewer`, it does not round to bytes in between.

    Args:
        images_NHWC: all cached photos, uint8, square; copied to the device.
        mean: that becomes 0, for each channel, in 0..1.
        std: deviation that becomes 1, for each channel.
        device: where the photos are kept and the views are made.
    """

    def __init__(
        self, images_NHWC: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float], device: torch.device
    ) -> None:
        self.stored = images_NHWC.shape[1]
        self.device = device
        # Rows, channels, columns: so both products are of plain matrices, without a copy between them.
        self._images_NSCS = torch.empty(len(images_NHWC), self.stored, 3, self.stored, dtype=torch.uint8, device=device)
        for start in range(0, len(images_NHWC), COPIED):  # in parts: the map of a file need not fit into memory
            part_NHWC = torch.from_numpy(np.array(images_NHWC[start : start + COPIED])).to(device)
            self._images_NSCS[start : start + COPIED] = part_NHWC.permute(0, 1, 3, 2)
        self._kind = torch.half if device.type == "cuda" else torch.float32
        self._mean_3 = torch.tensor(mean, dtype=torch.float32, device=device)
        self._std_3 = torch.tensor(std, dtype=torch.float32, device=device)
        self._luma_3 = torch.tensor(LUMA_C, dtype=torch.float32, device=device)
        self._makers: dict[tuple[int, bool], Replay] = {}

    def __call__(self, rows_N: NDArray[np.int64], views: Views, size: int) -> Tensor:
        """As `Viewer` says."""
        first_N2, sides_N2 = views.boxes_N4[:, :2], views.boxes_N4[:, 2:]
        mirrored = bool(first_N2.min() < 0 or (first_N2 + sides_N2).max() > self.stored)
        if (size, mirrored) not in self._makers:
            self._makers[size, mirrored] = Replay()
        columns = (rows_N[:, None], views.boxes_N4, views.flips_N[:, None], views.erased_N4)
        # What is recorded while one evaluates, at another precision, is repeated while one trains.
        with torch.inference_mode(mode=False), torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            (images_NCHW,) = self._makers[size, mirrored](
                partial(self._views, size, mirrored),
                on_device(np.concatenate(columns, axis=1).astype(np.int32), self.device),
                on_device(views.colors_N3, self.device),
            )
        return images_NCHW

    def _views(self, size: int, mirrored: bool, places_NK: Tensor, colors_N3: Tensor) -> tuple[Tensor]:  # noqa: FBT001 - bound by `partial`
        rows_N, boxes_N4, flips_N, erased_N4 = places_NK[:, 0], places_NK[:, 1:5], places_NK[:, 5], places_NK[:, 6:]
        count, stored = len(rows_N), self.stored
        down_NVS = _weights(boxes_N4[:, 0], boxes_N4[:, 2], stored, size, mirrored=mirrored)
        along_NVS = _weights(boxes_N4[:, 1], boxes_N4[:, 3], stored, size, mirrored=mirrored)
        along_NVS = torch.where(flips_N[:, None, None] > 0, along_NVS.flip(1), along_NVS)
        photos_NSX = self._images_NSCS.index_select(0, rows_N).view(count, stored, -1).to(self._kind)
        rows_NXS = (down_NVS.to(self._kind) @ photos_NSX).view(count, -1, stored)
        views_NXV = rows_NXS @ along_NVS.to(self._kind).mT
        pixels_NPC = views_NXV.view(count, size, 3, size).permute(0, 1, 3, 2).reshape(count, -1, 3).float()
        normalized_NPC = self._colored(pixels_NPC, colors_N3)
        images_NHWC = normalized_NPC.view(count, size, size, 3)
        images_NHWC.masked_fill_(inside(erased_N4, size)[..., None], 0)
        return (images_NHWC.permute(0, 3, 1, 2),)

    def _colored(self, pixels_NPC: Tensor, colors_N3: Tensor) -> Tensor:
        """`color_matrices` and the normalization, as one map of 0..255."""
        gray_N11 = (pixels_NPC.mean(dim=1) @ self._luma_3 / 255)[:, None, None]
        brightness_N11, contrast_N11, saturation_N11 = (colors_N3[:, k, None, None] for k in range(3))
        identity_33 = torch.eye(3, device=self.device)
        to_gray_33 = self._luma_3[:, None].expand(3, 3)
        maps_N33 = brightness_N11 * contrast_N11 * torch.lerp(to_gray_33, identity_33, saturation_N11)
        offset_N13 = (brightness_N11 * (1 - contrast_N11) * gray_N11 - self._mean_3) / self._std_3
        return torch.baddbmm(offset_N13, pixels_NPC, maps_N33 / (255 * self._std_3))


def on_device(values: NDArray[np.generic], device: torch.device) -> Tensor:
    """A small array on a device, without waiting for it."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def inside(boxes_N4: Tensor, size: int) -> Tensor:
    """Whether each pixel of `size` by `size` lies in its photo's box: (N, H, W) of booleans.

    Args:
        boxes_N4: top, left, height, width.
        size: side in pixels.
    """
    places_V = torch.arange(size, device=boxes_N4.device)
    first_N2, sides_N2 = boxes_N4[:, :2], boxes_N4[:, 2:]
    off_N2V = places_V - first_N2[:, :, None]
    in_N2V = (off_N2V >= 0) & (off_N2V < sides_N2[:, :, None])
    return in_N2V[:, 0, :, None] & in_N2V[:, 1, None, :]


def _weights(first_N: Tensor, side_N: Tensor, stored: int, size: int, *, mirrored: bool) -> Tensor:
    """How much each cached pixel counts for each pixel of the view, along one side.

    The triangles of `cutting_loop`, with the photo's mirror images beyond its edges folded back into it.

    Returns:
        (N, V, S); every row adds up to 1.
    """
    scale_N1 = side_N[:, None] / size
    reach_N1 = scale_N1.clamp(min=1)
    center_NV = (torch.arange(size, device=first_N.device) + 0.5) * scale_N1 / reach_N1
    pixels_S = torch.arange(stored, device=first_N.device)

    def triangles(places_S: Tensor, there_S: Tensor) -> Tensor:
        """Of pixels that lie at some places, those that there are."""
        off_NS = places_S - first_N[:, None]
        within_NS = (off_NS >= 0) & (off_NS < side_N[:, None]) & there_S
        at_NS = torch.where(within_NS, (off_NS + 0.5) / reach_N1, FAR)
        return (at_NS[:, None, :] - center_NV[:, :, None]).abs_().neg_().add_(1).relu_()

    weights_NVS = triangles(pixels_S, pixels_S >= 0)
    if mirrored:  # what lies at the edge itself is its own mirror image
        weights_NVS += triangles(-pixels_S, pixels_S > 0)
        weights_NVS += triangles(2 * stored - 2 - pixels_S, pixels_S < stored - 1)
    return weights_NVS / weights_NVS.sum(dim=2, keepdim=True)
