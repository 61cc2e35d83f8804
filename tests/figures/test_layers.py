import numpy as np
import pytest

from thalweg.figures.run_layers import layers
from thalweg.history import History
from thalweg.i18n import set_language, t


def history(count, rows=30):
    names = [f"stages.{at}.conv.update_ratio" for at in range(count)]
    found = History({"step": "", **dict.fromkeys(names, "")})
    step = np.arange(1, 20 * rows, 20)
    powers_KL = np.linspace(-6, -1, rows)[:, None] + np.linspace(-1, 1, max(count, 1))[None, :count]
    found.extend(np.c_[step, 10**powers_KL])
    return found


def test_a_color_is_the_power_of_ten_of_a_layer_at_a_step(drawn, tmp_path):
    found = history(3)
    found.rows_NC[2, 1] = 0.0  # does not move at all: as blue as can be
    found.rows_NC[3, 1] = np.nan
    layers(found, tmp_path / "layers.png")
    (mesh,) = drawn.axes[0].collections
    values_LK = mesh.get_array().reshape(3, 30)
    with np.errstate(divide="ignore"):
        expected_LK = np.log10(found.rows_NC[:, 1:].T)
    assert values_LK[0, 2] == -6
    assert values_LK.mask[0, 3]
    assert values_LK.mask.sum() == 1
    np.testing.assert_allclose(values_LK[1:], expected_LK[1:])
    assert drawn.axes[0].yaxis_inverted()
    assert mesh.get_clim() == (-6, 0)


@pytest.mark.parametrize(
    ("language", "count", "rows"), [("en", 0, 3), ("zh-CN", 1, 1), ("en", 4, 1), ("zh-CN", 200, 5)]
)
def test_any_number_of_layers_and_steps(tmp_path, language, count, rows):
    set_language(language)
    path = tmp_path / "layers.png"
    layers(history(count, rows), path)
    assert path.stat().st_size > 5000


def test_no_step_yet(drawn, tmp_path):
    layers(History({"step": "", "a.update_ratio": ""}), tmp_path / "layers.png")
    assert drawn.axes[0].texts[0].get_text() == t("figures.nothing_yet")


@pytest.mark.parametrize(("count", "named"), [(45, 45), (200, 100)])
def test_every_row_has_its_name(drawn, tmp_path, count, named):
    """With every second row unnamed, the dark red norms of a residual net had no names."""
    layers(history(count, 3), tmp_path / "layers.png")
    assert len(drawn.axes[0].get_yticklabels()) == named
    height = drawn.figure.get_size_inches()[1] * 72 * 0.8 / count  # points that a row has
    assert count > 100 or height > 7, "and room for it"
