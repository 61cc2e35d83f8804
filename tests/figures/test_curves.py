import numpy as np
import pytest
from PIL import Image

from thalweg import formulas
from thalweg.figures.run_curves import curves, smooth, window_of
from thalweg.history import History
from thalweg.i18n import set_language
from thalweg.runs.files import PROCESS_UNITS, STEP_UNITS


EPOCHS = dict.fromkeys(("step", "epoch", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "seconds"), "")


def histories(count=400, per_epoch=100):
    rng = np.random.default_rng(0)
    step = np.arange(1, count + 1)
    steps, epochs = History(STEP_UNITS), History(EPOCHS)
    loss = 2.4 * np.exp(-step / count) + rng.normal(0, 0.1, count)
    lr, size, mixed = np.full((3, count), [[3e-4], [64], [1]])
    steps.extend(np.c_[step, step / per_epoch, loss, np.exp(rng.normal(size=count)), lr, size, mixed])
    for end in range(per_epoch, count + 1, per_epoch):
        share = end / count
        epochs.append(step=end, epoch=end / per_epoch, train_accuracy=share, valid_loss=1, valid_accuracy=0.9 * share)
    return steps, epochs


def lines(axes):
    return {line.get_label().split(":")[0]: line.get_xydata() for line in axes.get_lines()}


def test_every_step_is_drawn_and_the_smoothing_is_named(drawn, tmp_path):
    steps, epochs = histories()
    curves(steps, epochs, tmp_path / "curves.png")
    loss, accuracy, gradient, rate = drawn.axes
    window = window_of(400)
    raw = lines(loss)["each step"]
    np.testing.assert_array_equal(raw, np.c_[steps["step"], steps["loss"]])
    np.testing.assert_array_equal(lines(loss)[f"mean of {window} steps"][:, 1], smooth(steps["loss"], window))
    expected = smooth(steps["gradient_norm"], window, mean="geometric")
    np.testing.assert_array_equal(lines(gradient)[f"geometric mean of {window} steps"][:, 1], expected)
    np.testing.assert_array_equal(rate.get_lines()[0].get_xydata(), np.c_[steps["step"], steps["lr"]])
    np.testing.assert_array_equal(lines(accuracy)["validation"][:, 1], epochs["valid_accuracy"])
    assert gradient.get_yscale() == "log"
    assert loss.get_ylabel() == "loss (nat)"


@pytest.mark.parametrize(("count", "shown"), [(2, [0, 1]), (20, [0, 10, 19])])
def test_each_process_has_a_line_or_the_slowest_the_middle_and_the_fastest(drawn, tmp_path, count, shown):
    steps, epochs = histories(20, 10)
    processes = History(PROCESS_UNITS)
    processes.extend([[step, number, 50 + number] for step in (10, 20) for number in range(count)])
    curves(steps, epochs, tmp_path / "curves.png", processes=processes)
    rates, lr = drawn.axes[3:5]
    expected = {f"process {number}": [[10, 50 + number], [20, 50 + number]] for number in shown}
    assert {name: points.tolist() for name, points in lines(rates).items()} == expected
    assert rates.get_ylabel() == "photos/s"
    np.testing.assert_array_equal(lr.get_lines()[0].get_xydata(), np.c_[steps["step"], steps["lr"]])


def test_where_the_training_changed_there_is_a_line_with_its_name(drawn, tmp_path):
    steps, epochs = histories()
    steps["size"][150:] = 96
    steps["mixed"][360:] = 0
    steps["mixed"][380:] = 1  # as in a run that was resumed with more epochs
    curves(steps, epochs, tmp_path / "curves.png")
    for panel in drawn.axes[:4]:
        upright = [line for line in panel.get_lines() if len({*line.get_xdata()}) == 1]
        assert [line.get_xdata()[0] for line in upright] == [150, 360, 380]
    assert [text.get_text() for text in drawn.axes[0].texts] == ["96 px", "no mixing", "mixing"]


def test_an_older_run_has_no_such_lines(drawn, tmp_path):
    steps, epochs = histories()
    older = History({name: unit for name, unit in steps.units.items() if name not in {"size", "mixed"}})
    older.extend(steps.rows_NC[:, :5])
    curves(older, epochs, tmp_path / "curves.png")
    assert not drawn.axes[0].texts


def test_the_panels_are_aligned(drawn, tmp_path):
    curves(*histories(), tmp_path / "curves.png")
    panels = drawn.axes[:4]
    assert len({panel.get_xlim() for panel in panels}) == 1
    assert len({(round(panel.get_position().x0, 6), round(panel.get_position().x1, 6)) for panel in panels}) == 1


def test_the_best_epoch_is_the_best(drawn, tmp_path):
    steps, epochs = histories()
    epochs.rows_NC[1, EPOCHS_AT["valid_accuracy"]] = 0.95
    curves(steps, epochs, tmp_path / "curves.png")
    labels = [text.get_text() for text in drawn.axes[1].get_legend().get_texts()]
    assert "best: 95.0 % (epoch 2)" in labels


EPOCHS_AT = {name: index for index, name in enumerate(EPOCHS)}


def test_steps_that_are_not_finite_are_marked(drawn, tmp_path):
    steps, epochs = histories()
    steps.rows_NC[396:, 2] = np.nan
    curves(steps, epochs, tmp_path / "curves.png")
    labels = [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
    assert "not finite: 4 steps, the first is 397" in labels


def test_a_loss_that_explodes_is_drawn_on_a_logarithmic_axis(drawn, tmp_path):
    steps, epochs = histories()
    steps.rows_NC[0, 2] = 1e4
    curves(steps, epochs, tmp_path / "curves.png")
    assert drawn.axes[0].get_yscale() == "log"


def test_legends_cover_no_data(drawn, tmp_path):
    steps, epochs = histories()
    steps.rows_NC[396:, 2:4] = np.nan  # the longest legend
    curves(steps, epochs, tmp_path / "curves.png")
    for axes in drawn.axes[:3]:
        box = axes.get_legend().get_window_extent()
        assert box.y0 >= axes.get_window_extent().y1 - 1
        assert box.x0 > axes._left_title.get_window_extent().x1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "sizes"),
    [
        ("en", (400, 100)),
        ("en", (1, 1)),
        ("zh-CN", (2000, 10)),
        ("zh-CN", (0, 1)),
    ],
)
def test_any_length_in_any_language(drawn, tmp_path, language, sizes):
    set_language(language)
    curves(*histories(*sizes), tmp_path / "curves.png")
    drawn.check_nothing_is_cut()
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size == (1350, 1725)


def test_a_run_without_validation(drawn, tmp_path):
    steps, epochs = histories()
    epochs.rows_NC[:, [EPOCHS_AT["valid_loss"], EPOCHS_AT["valid_accuracy"]]] = np.nan
    curves(steps, epochs, tmp_path / "curves.png")
    assert "validation" not in lines(drawn.axes[1])


def test_the_formulas_of_loss_and_optimizer_stand_below(drawn, tmp_path):
    curves(*histories(), tmp_path / "curves.png", formulas=[formulas.get(name) for name in ("mse", "sgd")])
    written = [text.get_text() for text in drawn.figure.texts]
    assert {"mean squared error", "sgd"} <= set(written)
    assert sum(text.startswith("$") for text in written) == 2
    assert drawn.figure.get_size_inches()[1] > 11.5
    drawn.check_nothing_is_cut()


def test_a_long_history_is_drawn_by_its_extremes(drawn, tmp_path):
    """One step in 100,000 that stands out is still seen."""
    steps, epochs = histories(100_003, 10_000)
    steps.rows_NC[77_777, 2] = 50.0
    curves(steps, epochs, tmp_path / "curves.png")
    raw = lines(drawn.axes[0])["each step"]
    assert len(raw) < 20_000
    assert (raw[0, 0], raw[-1, 0]) == (1, 100_003)
    np.testing.assert_array_equal([raw[:, 1].min(), raw[:, 1].max()], [steps["loss"].min(), 50.0])
    assert abs(raw[np.argmax(raw[:, 1]), 0] - 77_778) < 20
    for step, value in raw[:200:2]:  # the lowest of its block
        assert value == steps["loss"][int(step) - 1 :][: 100_003 // 8192].min()
