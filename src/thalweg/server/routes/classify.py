"""Classify a photo, from the visitor or the run: top five, the network's input, and where the network looks."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg.data.label_sets import written
from thalweg.errors import BadImageError, RunError
from thalweg.server.model_cache import at_a_time, network_of, photos_of
from thalweg.server.request import LARGEST_PHOTO, Entry


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.data import Photo
    from thalweg.runs import Run
    from thalweg.server.request import Visit

MOST_PIXELS: Final = 64_000_000

_TOP: Final = 5
_SHOWN: Final = 224  # pixels; smaller pictures are enlarged by a whole number


@at_a_time
def classify(run: Run, content: bytes) -> dict[str, Any]:
    """Classify one photo with the best weights of a run.

    Args:
        run: a run with at least one finished epoch.
        content: the file, encoded.

    Raises:
        BadImageError: the file is not a picture, or is too large.
        RunError: no epoch has ended yet.
    """
    from thalweg.data.decoding import decode, quiet, reading

    with quiet():
        with reading(content, "photo") as header:
            if header.width * header.height > MOST_PIXELS:
                raise BadImageError("data.bad_too_many_pixels", path="photo", limit=MOST_PIXELS // 1_000_000)
        image_HWC = decode(content, run.data["stored"], run.config.resize, path="photo", rendering=run.rendering)
    return look_at(run, image_HWC)


@at_a_time
def classify_own(run: Run, row: int) -> dict[str, Any]:
    """Classify one of the run's own photos.

    Raises:
        RunError: there is no such photo, or no epoch has ended yet.
    """
    image_HWC, known = photo(run, row)
    return {**look_at(run, image_HWC), "true": known.written(run.classes)}


@at_a_time
def photo(run: Run, row: int) -> tuple[NDArray[np.uint8], Photo]:
    """A photo of the run, decoded, and what is known about it.

    Raises:
        RunError: there is no such photo.
    """
    cache = photos_of(run)
    if not 0 <= row < len(cache.photos):
        raise RunError("page.no_photo", row=row)
    return np.array(cache.images_NHWC[row]), cache.photos[row]


def look_at(run: Run, image_HWC: NDArray[np.uint8]) -> dict[str, Any]:
    """The network's prediction for a decoded photo, for JSON."""
    from thalweg.prediction.attention import attention, seen_pixels

    if not run.best.exists():
        raise RunError("runs.no_weights", run=run.path)
    seen = attention(network_of(run), run, image_HWC)
    best = np.argsort(-seen.probability_C)[:_TOP]
    given_C = run.task.decided(seen.probability_C[None], run.thresholds)[0]
    return {
        "top": [
            {
                "name": run.classes[label],
                "probability": float(seen.probability_C[label]),
                "given": bool(given_C[label]),
            }
            for label in best
        ],
        "several": run.task.several,
        "answer": written(run.classes[label] for label in np.flatnonzero(given_C)),
        "seen": data_address(seen_pixels(run, image_HWC)),
        "side": run.config.size,
        "maps": {name: data_address(heat(map_HW)) for name, map_HW in seen.maps.items()},
    }


def heat(map_HW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A map in the colors of viridis, smooth, of shape (224, 224, 3)."""
    from matplotlib import colormaps
    from PIL import Image

    smooth = Image.fromarray(np.rint(255 * map_HW).astype(np.uint8)).resize((_SHOWN, _SHOWN), Image.Resampling.BICUBIC)
    return (colormaps["viridis"](np.asarray(smooth))[..., :3] * 255).astype(np.uint8)


def png(image_HWC: NDArray[np.uint8], *, side: int = _SHOWN) -> bytes:
    """A square picture as PNG, each pixel enlarged by a whole number, so that nothing is smoothed."""
    from PIL import Image

    times = max(1, side // len(image_HWC))
    file = BytesIO()
    Image.fromarray(image_HWC.repeat(times, axis=0).repeat(times, axis=1)).save(file, "PNG")
    return file.getvalue()


def data_address(image_HWC: NDArray[np.uint8]) -> str:
    """A picture as a data URL, which needs no second request."""
    return f"data:image/png;base64,{base64.b64encode(png(image_HWC)).decode()}"


def _photo(visit: Visit) -> bytes:
    image_HWC, _ = photo(visit.run, visit.whole("row"))
    return png(image_HWC, side=visit.whole("side", most=512) or 112)


ROUTES: Final = (
    Entry("GET", "photo", _photo, needs_network=True),
    Entry("POST", "classify", lambda visit: classify(visit.run, visit.body), needs_network=True, longest=LARGEST_PHOTO),
    Entry("POST", "classify/own", lambda visit: classify_own(visit.run, visit.whole("row")), needs_network=True),
)
