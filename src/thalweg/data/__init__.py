"""Photos, from a folder to batches.

`open_images` recognizes a set of photos (the homework's flat layout, class folders, a table, or an archive of any of
these) or is told by a `LayoutChoice`, and reports which it found. `check_images` finds problems with the photos before
training does. `build_cache` decodes every photo once into bytes that training maps into memory; `batches` draws
augmented images from there.

Only `augmenters`, `batches` and `mixing` import torch; none of the names below does.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.data.cache import Cache, build_cache
    from thalweg.data.check import Check, check_images
    from thalweg.data.layouts import LayoutChoice
    from thalweg.data.manifest import BadImage
    from thalweg.data.opening import open_images, open_photos
    from thalweg.data.photos import ImageSet, Photo
    from thalweg.data.rendering import Rendering
    from thalweg.data.sources import Note
    from thalweg.data.splits import fold_of

_homes = {
    "BadImage": ".manifest",
    "Cache": ".cache",
    "Check": ".check",
    "ImageSet": ".photos",
    "LayoutChoice": ".layouts",
    "Note": ".sources",
    "Photo": ".photos",
    "Rendering": ".rendering",
    "build_cache": ".cache",
    "check_images": ".check",
    "fold_of": ".splits",
    "open_images": ".opening",
    "open_photos": ".opening",
}

__all__ = [
    "BadImage",
    "Cache",
    "Check",
    "ImageSet",
    "LayoutChoice",
    "Note",
    "Photo",
    "Rendering",
    "build_cache",
    "check_images",
    "fold_of",
    "open_images",
    "open_photos",
]

__getattr__, __dir__ = lazy_names(__name__, _homes)
