"""Transparent pictures lie over white, or over black where they would vanish."""

from io import BytesIO

import pytest
from PIL import Image

from thalweg.data.decoding import decode
from thalweg.data.rendering import Rendering


def encoded(image, kind, **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def icon(color, ground=(255, 255, 255, 0)):
    image = Image.new("RGBA", (64, 64), ground)
    image.paste((*color, 255), (16, 16, 40, 48))
    return image


@pytest.mark.parametrize("resize", ["stretch", "center-crop"])
@pytest.mark.parametrize(
    ("color", "kind", "corner", "middle"),
    [
        ((255, 255, 255), "PNG", 0, 255),
        ((250, 252, 255), "WEBP", 0, 250),
        ((255, 255, 255), "GIF", 0, 255),
        ((0, 0, 0), "PNG", 255, 0),
        ((128, 128, 128), "PNG", 255, 128),
    ],
)
def test_the_ground_keeps_an_icon_visible(color, kind, corner, middle, resize):
    options = {"lossless": True} if kind == "WEBP" else {}
    result = decode(encoded(icon(color), kind, **options), 32, resize)
    assert abs(int(result[1, 1].max()) - corner) < 6
    assert abs(int(result[16, 14].min()) - middle) < 6


def test_runs_of_before_keep_the_white_ground():
    content = encoded(icon((255, 255, 255)), "PNG")
    assert decode(content, 32, rendering=Rendering.from_facts({})).min() == 255


def test_what_has_nothing_to_show_stays_white():
    for image in (Image.new("RGBA", (30, 30), (0, 0, 0, 0)), Image.new("RGBA", (30, 30), (255, 255, 255, 255))):
        assert decode(encoded(image, "PNG"), 8).min() == 255
