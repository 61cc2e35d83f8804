import threading
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from matplotlib import font_manager
from PIL import Image

from thalweg.errors import StorageError
from thalweg.figures import style
from thalweg.figures.style import DPI, SERIES, class_marks, label_axes, literal, picture


CATALOGUE = Path(style.__file__).parents[1] / "i18n" / "zh-CN"


def luminance(color):
    """Relative luminance, as WCAG 2.2 defines it."""
    channels = np.array([int(color[position : position + 2], 16) for position in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast_on_white(color):
    return 1.05 / (luminance(color) + 0.05)


def glyphs(path):
    return set(TTFont(path).getBestCmap())


def test_every_character_of_the_chinese_catalogue_has_a_glyph():
    ours = glyphs(style.BUNDLED_FONT) | glyphs(font_manager.findfont("DejaVu Sans"))
    wanted = {character for file in CATALOGUE.glob("*.json") for character in file.read_text(encoding="utf-8")} - {"\n"}
    missing = sorted(character for character in wanted if ord(character) not in ours)
    assert not missing, "run tools/make_font.py again"


def test_the_bundled_font_is_small_renamed_and_licensed():
    names = TTFont(style.BUNDLED_FONT)["name"]
    assert style.BUNDLED_FONT.stat().st_size <= 1_500_000
    assert names.getDebugName(1) == "Thalweg Sans SC"
    assert not any("Noto" in names.getDebugName(identifier) for identifier in (1, 3, 4, 6))
    assert "SIL OPEN FONT LICENSE Version 1.1" in (style.BUNDLED_FONT.parent / "OFL.txt").read_text(encoding="utf-8")


def test_chinese_is_drawn_with_the_bundled_font_and_not_as_boxes(tmp_path):
    drawn = []
    for name, text in (("a", "馄饨"), ("b", "蛋糕"), ("box", "\ue123\ue123")):  # the last is for private use
        with picture(tmp_path / f"{name}.png", width=2, height=1) as figure:
            figure.text(0.1, 0.4, text)
        drawn.append(np.asarray(Image.open(tmp_path / f"{name}.png")))
    assert (drawn[0] != drawn[1]).any()
    assert (drawn[0] != drawn[2]).any()


def test_a_picture_has_the_size_asked_for_and_leaves_matplotlib_as_it_was(tmp_path):
    before = dict(mpl.rcParams)
    with picture(tmp_path / "one.png", width=4, height=3) as figure:
        label_axes(figure.subplots(), title="t", x="x", y="y")
    with Image.open(tmp_path / "one.png") as image:
        assert image.size == (4 * DPI, 3 * DPI)
    assert dict(mpl.rcParams) == before


def test_a_picture_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "one.png"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), picture(path) as figure:
        figure.text(0, 0, str(1 / 0))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"), picture(tmp_path / "file" / "one.png"):
        pass


def test_the_same_drawing_gives_the_same_bytes_also_from_threads(tmp_path):
    def draw(name):
        with picture(tmp_path / name, width=3, height=2) as figure:
            figure.subplots().plot([0, 1, 4])

    threads = [threading.Thread(target=draw, args=(f"{index}.png",)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(tmp_path / f"{index}.png").read_bytes() for index in range(3)}) == 1


@pytest.mark.parametrize("text", ["$x^2$", r"a\$b$", "50$", "$$", "a_b^c", "<b>&amp;"])
def test_a_users_text_is_never_a_formula(text):
    from matplotlib.cbook import is_math_text

    assert not is_math_text(literal(text))
    assert literal(text).replace(r"\$", "$") == text  # this is what matplotlib shows


def test_control_characters_and_long_names():
    assert literal("a\nb\tc\x00") == "a b c "
    assert literal("0123456789", longest=10) == "0123456789"
    for longest in range(3, 10):
        assert len(literal("0123456789", longest=longest)) == longest
        assert 2 * len(literal("蔬菜和水果以及", longest=longest)) - 1 <= longest


def test_the_series_stand_out_on_white_and_differ_in_three_ways():
    assert all(contrast_on_white(series.color) >= 3 for series in SERIES[:5])
    for part in zip(*SERIES, strict=True):
        assert len(set(part)) == len(SERIES)


@pytest.mark.parametrize("count", [1, 2, 20, 63])
def test_no_two_classes_look_the_same(count):
    assert len(set(class_marks(count))) == count


def test_text_is_readable_on_white():
    assert contrast_on_white(style.QUIET) > 4.5
    assert contrast_on_white(style.INK) > 7
