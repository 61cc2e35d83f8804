"""Images of cached photos as a network takes them: cropped, colored, erased and normalized.

There are two augmenters, which make the same images: `HostAugmenter` on the processor, whose geometry is one compiled
loop over bytes, and `DeviceAugmenter` on a GPU that holds all photos, whose geometry is two matrix products.

Shape suffixes: N photos, S side of the cached photo, V side of the image, C channels, H height, W width, P pixels.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from thalweg._replay import Replay
from thalweg.data.augmentation import LUMA_C, Crops, color_matrices
from thalweg.data.cropping import crop_photos
from thalweg.data.jpeg import JpegPhotos


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from thalweg.data.segmented import Pixels


COPIED = 1024  # photos at a time
FAR = 1e6  # pixels; no triangle reaches that far


class Augmenter(Protocol):
    """Makes images of photos; `stored` is the side of the cached photos in pixels, `device` holds the images."""

    stored: int
    device: torch.device

    def __call__(self, rows_N: NDArray[np.int64], crops: Crops, size: int) -> Tensor:
        """Images of shape (N, 3, size, size), float32 in channels-last order, valid until the next call.

        Args:
            rows_N: the photos.
            crops: one for each row.
            size: side of the images in pixels.
        """
        ...

    def expect(self, rows_N: NDArray[np.int64]) -> None:
        """Prepare photos that will be asked for soon, in the background."""
        ...


class HostAugmenter:
    """Makes images on the processor: geometry in bytes, then color and normalization in one affine map.

    Args:
        photos_NHWC: all cached photos, uint8, square; may be a memory map.
        mean: mean of each channel, in 0..1; becomes 0.
        std: standard deviation of each channel, in 0..1; becomes 1.
    """

    def __init__(self, photos_NHWC: Pixels, mean: Sequence[float], std: Sequence[float]) -> None:
        self.photos_NHWC = photos_NHWC
        self.stored = photos_NHWC.shape[1]
        self.device = torch.device("cpu")
        self._mean_3, self._std_3 = np.asarray(mean), np.asarray(std)
        self._normal = mean, std
        # Allocated once for each shape: large temporaries cost page faults.
        self._buffers: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}

    def __call__(self, rows_N: NDArray[np.int64], crops: Crops, size: int) -> Tensor:
        """As in `Augmenter`."""
        images_NHWC = torch.from_numpy(crop_photos(self.photos_NHWC, rows_N, crops, size))
        images_NCHW = self._normalized(images_NHWC, crops.colors_N3)
        for position in np.flatnonzero(crops.erased_N4[:, 2]):
            top, left, height, width = crops.erased_N4[position]
            images_NCHW[position, :, top : top + height, left : left + width] = 0
        return images_NCHW

    def expect(self, rows_N: NDArray[np.int64]) -> None:
        """As in `Augmenter`."""
        if isinstance(self.photos_NHWC, JpegPhotos):
            self.photos_NHWC.expect(rows_N)

    def another(self) -> HostAugmenter:
        """Return an augmenter of the same photos for another thread."""
        return HostAugmenter(self.photos_NHWC, *self._normal)

    def _normalized(self, images_NHWC: Tensor, colors_N3: NDArray[np.float32]) -> Tensor:
        count, height, width, channels = images_NHWC.shape
        if images_NHWC.shape not in self._buffers:
            with torch.inference_mode(mode=False):  # buffers allocated in evaluation are written in training
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


class DeviceAugmenter:
    """Makes the same images on the device that holds the photos; each batch sends it only a small table of crops.

    Crop, resize, mirror and shift are one linear map of the rows of a photo and one of its columns: two matrices,
    built from the numbers of the crop and multiplied in half precision, which represents every byte exactly. Unlike
    `HostAugmenter`, it does not round to bytes in between.

    Args:
        photos_NHWC: all cached photos, uint8, square; copied to the device.
        mean: mean of each channel, in 0..1; becomes 0.
        std: standard deviation of each channel, in 0..1; becomes 1.
        device: holds the photos and makes the images.
    """

    def __init__(self, photos_NHWC: Pixels, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        self.stored = photos_NHWC.shape[1]
        self.device = device
        # Rows, channels, columns: then both products are of plain matrices, with no copy in between.
        self._photos_NSCS = torch.empty(len(photos_NHWC), self.stored, 3, self.stored, dtype=torch.uint8, device=device)
        for start in range(0, len(photos_NHWC), COPIED):  # in parts: a memory map need not fit into memory
            part_NHWC = torch.from_numpy(np.array(photos_NHWC[start : start + COPIED])).to(device)
            self._photos_NSCS[start : start + COPIED] = part_NHWC.permute(0, 1, 3, 2)
        self._kind = torch.half if device.type == "cuda" else torch.float32
        self._mean_3 = torch.tensor(mean, dtype=torch.float32, device=device)
        self._std_3 = torch.tensor(std, dtype=torch.float32, device=device)
        self._luma_3 = torch.tensor(LUMA_C, dtype=torch.float32, device=device)
        self._makers: dict[tuple[int, bool], Replay] = {}

    def __call__(self, rows_N: NDArray[np.int64], crops: Crops, size: int) -> Tensor:
        """As in `Augmenter`."""
        first_N2, sides_N2 = crops.boxes_N4[:, :2], crops.boxes_N4[:, 2:]
        mirrored = bool(first_N2.min() < 0 or (first_N2 + sides_N2).max() > self.stored)
        if (size, mirrored) not in self._makers:
            self._makers[size, mirrored] = Replay()
        columns = (rows_N[:, None], crops.boxes_N4, crops.flips_N[:, None], crops.erased_N4)
        # What evaluation records, at another precision, is replayed in training.
        with torch.inference_mode(mode=False), torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            (images_NCHW,) = self._makers[size, mirrored](
                partial(self._images, size, mirrored),
                on_device(np.concatenate(columns, axis=1).astype(np.int32), self.device),
                on_device(crops.colors_N3, self.device),
            )
        return images_NCHW

    def expect(self, rows_N: NDArray[np.int64]) -> None:
        """As in `Augmenter`: all photos are on the device already."""

    def _images(self, size: int, mirrored: bool, places_NK: Tensor, colors_N3: Tensor) -> tuple[Tensor]:  # noqa: FBT001 - bound by `partial`
        rows_N, boxes_N4, flips_N, erased_N4 = places_NK[:, 0], places_NK[:, 1:5], places_NK[:, 5], places_NK[:, 6:]
        count, stored = len(rows_N), self.stored
        down_NVS = _weights(boxes_N4[:, 0], boxes_N4[:, 2], stored, size, mirrored=mirrored)
        along_NVS = _weights(boxes_N4[:, 1], boxes_N4[:, 3], stored, size, mirrored=mirrored)
        along_NVS = torch.where(flips_N[:, None, None] > 0, along_NVS.flip(1), along_NVS)
        photos_NSX = self._photos_NSCS.index_select(0, rows_N).view(count, stored, -1).to(self._kind)
        rows_NXS = (down_NVS.to(self._kind) @ photos_NSX).view(count, -1, stored)
        images_NXV = rows_NXS @ along_NVS.to(self._kind).mT
        pixels_NPC = images_NXV.view(count, size, 3, size).permute(0, 1, 3, 2).reshape(count, -1, 3).float()
        normalized_NPC = self._colored(pixels_NPC, colors_N3)
        images_NHWC = normalized_NPC.view(count, size, size, 3)
        images_NHWC.masked_fill_(inside(erased_N4, size)[..., None], 0)
        return (images_NHWC.permute(0, 3, 1, 2),)

    def _colored(self, pixels_NPC: Tensor, colors_N3: Tensor) -> Tensor:
        """`color_matrices` and normalization as one affine map of 0..255."""
        gray_N11 = (pixels_NPC.mean(dim=1) @ self._luma_3 / 255)[:, None, None]
        brightness_N11, contrast_N11, saturation_N11 = (colors_N3[:, k, None, None] for k in range(3))
        identity_33 = torch.eye(3, device=self.device)
        to_gray_33 = self._luma_3[:, None].expand(3, 3)
        maps_N33 = brightness_N11 * contrast_N11 * torch.lerp(to_gray_33, identity_33, saturation_N11)
        offset_N13 = (brightness_N11 * (1 - contrast_N11) * gray_N11 - self._mean_3) / self._std_3
        return torch.baddbmm(offset_N13, pixels_NPC, maps_N33 / (255 * self._std_3))


def on_device(values: NDArray[np.generic], device: torch.device) -> Tensor:
    """Copy a small array to a device without waiting for it."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def inside(boxes_N4: Tensor, size: int) -> Tensor:
    """Whether each pixel of N images of `size` × `size` lies in the image's box; bool, of shape (N, H, W).

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
    """The weight of each cached pixel in each pixel of the image, along one side.

    The triangles of `cropping.crop`; pixels mirrored beyond the edges add to the weights of their originals.

    Returns:
        Of shape (N, V, S); every row sums to 1.
    """
    scale_N1 = side_N[:, None] / size
    reach_N1 = scale_N1.clamp(min=1)
    center_NV = (torch.arange(size, device=first_N.device) + 0.5) * scale_N1 / reach_N1
    pixels_S = torch.arange(stored, device=first_N.device)

    def triangles(places_S: Tensor, there_S: Tensor) -> Tensor:
        """Weights of pixels at the given places, if they exist."""
        off_NS = places_S - first_N[:, None]
        within_NS = (off_NS >= 0) & (off_NS < side_N[:, None]) & there_S
        at_NS = torch.where(within_NS, (off_NS + 0.5) / reach_N1, FAR)
        return (at_NS[:, None, :] - center_NV[:, :, None]).abs_().neg_().add_(1).relu_()

    weights_NVS = triangles(pixels_S, pixels_S >= 0)
    if mirrored:  # the pixel at the edge is its own mirror image
        weights_NVS += triangles(-pixels_S, pixels_S > 0)
        weights_NVS += triangles(2 * stored - 2 - pixels_S, pixels_S < stored - 1)
    return weights_NVS / weights_NVS.sum(dim=2, keepdim=True)
