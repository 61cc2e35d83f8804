"""`thalweg maps`: where a network looks in photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thalweg.cli._output import JsonFlag, note, print_json, print_table
from thalweg.errors import UnknownNameError
from thalweg.i18n import percent, t


MOST = 20  # photos of a picture


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
    """Draw the maps of the first photos, and print the answers."""
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
    images = replace(images, photos=images.photos[:MOST])
    cache = decode_photos(images, config, opened.data["stored"], rendering=opened.rendering)
    for bad in cache.bad:
        note(t("prediction.bad_photo", reason=bad))
    found = []
    for photo, image_HWC in zip(cache.photos, cache.images_NHWC, strict=True):
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
        note(t("prediction.maps_some", most=MOST, count=count))
    note(t("prediction.maps_drawn", path=out))
