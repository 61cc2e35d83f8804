"""`thalweg maps`: where a network looks in photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thalweg.cli._output import JsonFlag, note, print_json, print_table
from thalweg.errors import DataError, UnknownNameError, UsageError
from thalweg.i18n import percent, t


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from thalweg.data import Cache, ImageSet, Photo

MOST = 20  # photos of a picture
_SUFFIX = ".png"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("maps", help=t("prediction.help_maps"))(maps)


def maps(
    run: Annotated[Path, typer.Argument(metavar="RUN", help=t("prediction.help_maps_run"))],
    photos: Annotated[list[str], typer.Argument(metavar="PHOTOS...", help=t("prediction.help_maps_photos"))],
    out: Annotated[Path, typer.Option("--out", "-o", help=t("prediction.help_maps_out"))] = Path("maps.png"),
    of: Annotated[str | None, typer.Option("--class", metavar="NAME", help=t("prediction.help_maps_class"))] = None,
    as_json: JsonFlag = False,
) -> None:
    """Draw the maps of some photos, and print the answers."""
    if out.suffix.lower() != _SUFFIX:
        raise UsageError("lab.bad_suffix", path=out, known=_SUFFIX)
    from dataclasses import replace

    from thalweg.data import open_photos
    from thalweg.figures.attention_maps import LookedAt, draw_maps
    from thalweg.prediction.attention import attention, seen_pixels
    from thalweg.runs import Run
    from thalweg.runs.photos import decode_photos

    opened = Run.open(run)
    if of is not None and of not in opened.classes:
        raise UnknownNameError("class", of, opened.classes)
    label = None if of is None else opened.classes.index(of)
    network, images = opened.load_network(), open_photos(photos)
    config, count = replace(opened.config, on_bad_image="skip"), len(images.photos)

    def decode(some: ImageSet) -> Cache:
        return decode_photos(some, config, opened.data["stored"], rendering=opened.rendering)

    found = []
    for photo, image_HWC in usable(images, decode):
        seen = attention(network, opened, image_HWC, label=label)
        best = int(seen.probability_C.argmax())
        answer, probability = opened.classes[best], float(seen.probability_C[best])
        pixels, of_name = seen_pixels(opened, image_HWC), opened.classes[seen.label]
        found.append(LookedAt(photo.path, pixels, answer, probability, of_name, seen.maps))
    draw_maps(out, found)
    if as_json:
        print_json(
            {
                "picture": str(out),
                "photos": [
                    {"path": one.name, "class": one.answer, "probability": one.probability, "maps_of": one.of}
                    for one in found
                ],
            }
        )
    else:
        rows = [(one.name, one.answer, percent(one.probability)) for one in found]
        print_table([t(f"prediction.column_{name}") for name in ("photo", "class", "probability")], rows)
    if count > MOST:
        note(t("prediction.maps_some", most=len(found), count=count))
    note(t("prediction.maps_drawn", path=out))


def usable(images: ImageSet, decode: Callable[[ImageSet], Cache]) -> Sequence[tuple[Photo, NDArray[np.uint8]]]:
    """Photos that can be used, `MOST` at most, spread evenly over the set, and their pixels; bad ones are named.

    Args:
        images: the photos.
        decode: decodes some of them, without those that are bad.

    Raises:
        DataError: none can be used.
    """
    from dataclasses import replace

    left, found = list(range(len(images.photos))), {}
    wanted = MOST
    while True:
        chosen = _spread(left, wanted)
        left = sorted(set(left) - set(chosen))
        try:
            cache = decode(replace(images, photos=tuple(images.photos[at] for at in chosen)))
        except DataError as error:  # none of these can be used
            if error.key != "data.no_usable_image":
                raise
            if not left and not found:
                raise DataError(error.key, count=len(images.photos), first=error.values["first"]) from error
            note(str(error))
        else:
            for bad in cache.bad:
                note(t("prediction.bad_photo", reason=bad))
            places = {images.photos[at].path: at for at in chosen}
            rows = zip(cache.photos, cache.images_NHWC, strict=True)
            found |= {places[photo.path]: (photo, image_HWC) for photo, image_HWC in rows}
        if len(found) >= MOST or not left:
            return [found[at] for at in _spread(sorted(found), MOST)]
        wanted = max(MOST - len(found), 2 * wanted if not found else 0)  # a set of bad photos ends soon


def _spread(numbers: Sequence[int], most: int) -> list[int]:
    """At most so many, at even distances."""
    count = min(most, len(numbers))
    return [numbers[at * len(numbers) // count] for at in range(count)]
