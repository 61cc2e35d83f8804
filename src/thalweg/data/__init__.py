"""Photos, from a folder to batches.

`open_images` recognises a set (the homework's flat layout, class folders, a table, or an archive of any of these) and
says which it found. `build_cache` decodes every photo once into bytes that training maps into memory; `check_images`
looks for what is wrong with the photos before a training does.

What is here never imports torch; only `batches` does.
"""

from thalweg._lazy import lazy_names


_homes = {
    "BadImage": ".cache",
    "Cache": ".cache",
    "Check": ".check",
    "ImageSet": ".photos",
    "Note": ".photos",
    "Photo": ".photos",
    "build_cache": ".cache",
    "check_images": ".check",
    "fold_of": ".folds",
    "open_images": ".opening",
    "open_photos": ".opening",
}

__all__ = sorted(_homes)  # noqa: PLE0605 - computed, so that it cannot differ from what loads

__getattr__, __dir__ = lazy_names(__name__, _homes)
