"""The labels that predictions doubt, corrected photo by photo; each decision is in the table before it is answered."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from thalweg.diagnosis.review import review_of, reviewed_folder
from thalweg.errors import BadImageError, RunError
from thalweg.i18n import joined, t
from thalweg.runs import files
from thalweg.runs.decisions import decide, decisions_in
from thalweg.server.model_cache import Recent, at_a_time
from thalweg.server.request import Entry
from thalweg.server.routes.classify import MOST_PIXELS


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.data import ImageSet
    from thalweg.data.corrections import Correction
    from thalweg.diagnosis.review import Doubted
    from thalweg.runs import Run
    from thalweg.server.request import Visit

# keys that choose a class: the others act
_KEYS: Final = "123456789abcdefghijlmnopqrstvwyz"
_ACTIONS: Final = ("Enter", "k", "x", "u", "ArrowLeft", "ArrowRight")
_SIDE: Final = 640  # pixels of the longer side of a photo that is shown
_SMALLEST: Final = 320  # a smaller photo is enlarged by a whole number
_TURNED: Final = 5  # Exif's orientations from here on exchange width and height

_sets = Recent(4)


def review(visit: Visit) -> dict[str, Any]:
    """The doubted photos of a run, or of all of its folds, and what was decided about them.

    Raises:
        RunError: there is no such run, or it has no predictions yet.
    """
    home = reviewed_folder(visit.run.path)
    found = review_of(home)
    return {
        "title": t("report.doubts"),
        "about": found.sentences if found.photos else [*found.sentences, t("diagnosis.review_none")],
        "photos": [
            {
                "path": one.path,
                "given": one.given,
                "suggested": one.suggested,
                "known": t("page.review_label", given=one.given, share=one.probability_given),
                "about": _about(one),
            }
            for one in found.photos
        ],
        "actions": [(key, t(f"page.review_key_{key.lower()}")) for key in _ACTIONS],
        "classes": list(zip(keys_of(found.run.classes), found.run.classes, strict=True)),
        "command": found.command("--corrections", home / files.CORRECTIONS),
        "decided": labels_of(decisions_in(home, found.run)),
    }


def _about(one: Doubted) -> str:
    """What is suggested for a photo, and its copies."""
    suggestion = t("page.review_suggestion", suggested=one.suggested, share=one.probability_suggested)
    copies = [t("diagnosis.review_copy", path=path, label=label) for path, label in one.copies]
    return joined([suggestion, *copies], long=True)


def keys_of(classes: Sequence[str]) -> list[str]:
    """The key that chooses each class.

    A digit is its own key; other names get the free ones of 1 to 9 and of the letters that do not act, in order. Beyond
    these, a number stands for a key that there is not.

    Example:
        >>> keys_of(["cat", "dog"]), keys_of(["0", "1", "10"]), keys_of(["2", "x"])
        (['1', '2'], ['0', '1', '2'], ['2', '1'])
    """
    own = {name for name in classes if len(name) == 1 and name in "0123456789"}
    free = (key for key in _KEYS if key not in own)
    return [name if name in own else next(free, f"#{number}") for number, name in enumerate(classes)]


def labels_of(decisions: dict[str, Correction]) -> dict[str, str | None]:
    """The decided label of each photo; None: of no class."""
    return {path: row.label for path, row in decisions.items()}


def _decide(visit: Visit) -> dict[str, Any]:
    form = visit.form
    label = None if form.values.get("label") is None else form.text("label")
    home = reviewed_folder(visit.run.path)
    rows = decide(home, visit.run, form.text("path"), label, forget=form.values.get("forget") is True)
    return {"decided": len(rows)}


@at_a_time
def images_of(run: Run) -> ImageSet:
    """The photos of a run, as files."""
    return _sets.get((run.path, run.data["fingerprint"]), run.find_photos)


def shown(run: Run, path: str) -> bytes:
    """A photo of the run as PNG: all of it, upright, with the colors that the network gets.

    Raises:
        RunError: the run has no such photo.
        BadImageError: it cannot be read, or is too large.
    """
    from PIL import Image

    from thalweg.data.decoding import orientation, quiet, reading, to_square

    if path not in run.read_labels():
        raise RunError("runs.no_photo", run=run.path, photo=path)
    content = images_of(run).source.read(path)
    with quiet(), reading(content, path) as image:
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise BadImageError("data.bad_too_many_pixels", path=path, limit=MOST_PIXELS // 1_000_000)
        longest = max(width, height)
        side = min(_SIDE, longest)
        square = to_square(image, side, "stretch", run.rendering)
        if orientation(image) >= _TURNED:  # once decoded: a PNG may say it behind its pixels
            width, height = height, width
    times = max(1, _SMALLEST // longest)
    size = (max(1, round(width * side / longest)), max(1, round(height * side / longest)))
    photo = Image.fromarray(square.pixels_HWC).resize(size, Image.Resampling.BICUBIC)
    file = BytesIO()
    photo.resize((times * size[0], times * size[1]), Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


ROUTES: Final = (
    Entry("GET", "review", review),
    Entry("POST", "review", _decide),
    Entry("GET", "review/photo", lambda visit: shown(visit.run, visit.query.get("path", ""))),
)
