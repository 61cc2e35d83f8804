"""A film: all that it packs comes back as the session computed it, in a page that asks nobody."""

import html
import json
import re

import numpy as np
import pytest

import thalweg
from thalweg.errors import UsageError
from thalweg.figures.player.packing import unpack
from thalweg.i18n import LANGUAGES, speaking, t
from thalweg.playground import Loop, Session, Settings


SMALL = {"points": "moons", "widths": (3,), "count": 40}


@pytest.fixture(scope="module")
def film():
    return thalweg.film(**SMALL, steps=25)


def packed_of(document):
    return json.loads(re.search(r'id="packed">(.*?)</script>', document, re.DOTALL)[1])


def test_every_frame_comes_back_exactly(film):
    packed = packed_of(film.document)
    found = unpack(packed["block"], packed["slots"])
    _, expected = Session(Loop(Settings(**SMALL))).frames(0, 26, 1)
    for name in packed["moving"]:
        bytes_F = found[name].reshape(26, -1)
        assert np.array_equal(np.cumsum(bytes_F, axis=0, dtype=np.uint8).ravel(), expected[name].ravel()), name
    for name in ("step", "loss", "gradient_norm", "weights", "points", "labels", "held"):
        assert np.array_equal(found[name], expected[name].ravel(), equal_nan=True), name


def test_the_last_step_is_there_whatever_the_stride():
    film = thalweg.film(points="line", widths=(), count=20, batch=20, optimizer="sgd", steps=301)
    assert film.steps[[0, 1, -2, -1]].tolist() == [0, 2, 300, 301]


@pytest.mark.parametrize("language", LANGUAGES)
def test_its_page_asks_nobody_and_nothing_in_it_becomes_html(film, language):
    with speaking(language):
        document, shown = film.document, film._repr_html_()
    assert f'lang="{language}"' in document
    with speaking(language):
        assert packed_of(document)["header"]["layers"][-1]["label"] == t("playground.output")
    assert "default-src 'none'" in document
    assert not re.search(r"""(?:src|href)=["'](?!data:)|\{\{""", document.partition("<script")[0])
    assert document.count("<script") == document.count("</script>") == 3
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', shown)[1]) == document
    assert 'sandbox="allow-scripts"' in shown


@pytest.mark.parametrize(("steps", "points"), [(0, "moons"), (4_001, "moons"), (5, "photos")])
def test_what_cannot_be_filmed_is_refused(steps, points):
    with pytest.raises(UsageError):
        thalweg.film(points=points, steps=steps)
