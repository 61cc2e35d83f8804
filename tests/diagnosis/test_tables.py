"""Logs from anywhere."""

import re

import numpy as np
import pytest

from thalweg.diagnosis import diagnose_csv, diagnose_path
from thalweg.diagnosis.logs import read_table
from thalweg.errors import DataError


def write(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def curve(path, losses, head="step,loss"):
    return write(path, [head, *(f"{step},{loss}" for step, loss in enumerate(losses))])


def noisy(values, seed=0):
    return np.array(values) * (1 + 0.01 * np.random.default_rng(seed).standard_normal(len(values)))


def test_a_falling_curve_is_healthy(tmp_path):
    verdict = diagnose_csv(curve(tmp_path / "log.csv", noisy(np.linspace(2.3, 1.0, 200))))
    assert verdict.code == "healthy"
    assert {"gradient", "batch", "curvature", "short_runs", "layers"} <= set(verdict.unchecked)


def test_a_curve_that_becomes_no_number_has_diverged(tmp_path):
    verdict = diagnose_csv(curve(tmp_path / "log.csv", [*np.linspace(2.3, 2.0, 50), "nan", "NaN"]))
    assert verdict.code == "diverged"
    assert verdict.measures["nonfinite_step"] == 51


def test_a_flat_curve_alone_does_not_decide(tmp_path):
    verdict = diagnose_csv(curve(tmp_path / "log.csv", noisy([2.3] * 200)))
    assert verdict.code == "unsure"
    assert verdict.alternatives


def test_a_curve_that_fell_to_nothing_has_converged(tmp_path):
    losses = noisy(np.concatenate([np.geomspace(2.3, 0.01, 100), [0.01] * 200]))
    assert diagnose_csv(curve(tmp_path / "log.csv", losses)).code == "converged"


def test_a_validation_loss_that_rises_is_overfitting(tmp_path):
    lines = ["epoch;train_loss;val_loss"]
    lines += [f"{e};{2.3 * 0.93**e};{max(1.0, 2 - 0.1 * e) + 0.03 * max(0, e - 12)}" for e in range(60)]
    assert diagnose_csv(write(tmp_path / "log.csv", lines)).code == "overfitting"


@pytest.mark.parametrize(
    "head", ["Iteration\ttrain/loss\tlr", "global_step,Training Loss,learning-rate", "iter;loss;lr"]
)
def test_names_and_separators_of_others(tmp_path, head):
    sign = max(",;\t", key=head.count)
    lines = [head, *(sign.join((str(step), str(2.0 - step / 100), "0.1")) for step in range(50))]
    table = read_table(write(tmp_path / "log.csv", lines))
    assert table.columns["loss"].tolist() == [2.0 - step / 100 for step in range(50)]
    assert set(table.columns) == {"loss", "step", "lr"}
    assert table.holes == 0


def test_holes_are_counted_and_left_out(tmp_path):
    lines = ["step,loss", *(f"{step},{'' if step % 5 == 0 else 2 - step / 100}" for step in range(100))]
    table = read_table(write(tmp_path / "log.csv", lines))
    assert table.holes == 20
    assert len(table.columns["loss"]) == 80
    verdict = diagnose_csv(tmp_path / "log.csv")
    assert verdict.code == "healthy"
    assert "holes" in verdict.unchecked


def test_rows_out_of_order_are_sorted(tmp_path):
    table = read_table(write(tmp_path / "log.csv", ["step,loss", "3,1.0", "1,3.0", "2,2.0"]))
    assert table.columns["loss"].tolist() == [3.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,b", "1,2"], "no column of losses"),
        (["step,loss", "1,"], "no row with a loss"),
        ([""], "no column of losses"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        diagnose_csv(write(tmp_path / "log.csv", lines))


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        diagnose_csv(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="cannot be read"):
        diagnose_csv(tmp_path / "bytes.csv")


FLAT = np.random.default_rng(0).standard_normal(400)


@pytest.mark.parametrize(
    ("level", "says"),
    [
        (np.log(10), "2.30.* ≈ ln 10: the network predicts the same for all 10 classes"),
        (np.log(2), " ln 2: the network predicts one half"),
        (np.log(3) * 1.001, " ln 3:"),
        (np.log(1000), "6.90.* ln 1000"),
        (1.0, "1, the variance of standardized targets"),
        (0.25, "0.25, the variance of 0/1 targets"),
    ],
)
def test_a_loss_that_is_flat_at_a_constant_answer_says_so_and_what_to_do(tmp_path, level, says):
    verdict = diagnose_csv(curve(tmp_path / "log.csv", level * (1 + 5e-4 * FLAT)))
    assert verdict.code == "unsure"
    assert re.search(says, str(verdict))
    assert "Train on one batch alone" in str(verdict)
    assert verdict.alternatives


@pytest.mark.parametrize(
    "losses",
    [
        2.45 * (1 + 5e-4 * FLAT),  # flat elsewhere
        np.log(10) * 0.99 * (1 + 5e-4 * FLAT),  # flat nearby
        np.log(10) * (1 + 0.05 * FLAT),  # it scatters: samples are told apart
        np.linspace(2.6, 2.0, 400),  # on its way through
        np.full(10, np.log(10)),  # too few
    ],
)
def test_what_only_comes_near_a_constant_is_not_taken_for_one(tmp_path, losses):
    assert " ln " not in str(diagnose_csv(curve(tmp_path / "log.csv", losses)))


def test_a_network_that_is_right_predicts_no_constant(tmp_path):
    lines = ["step,loss,acc", *(f"{step},2.3026,0.55" for step in range(100))]
    assert " ln " not in str(diagnose_csv(write(tmp_path / "log.csv", lines)))
    assert "2.3026 = ln 10" in str(
        diagnose_csv(write(tmp_path / "log.csv", [line.replace("0.55", "0.1") for line in lines]))
    )


@pytest.mark.parametrize(
    "line",
    [
        "Epoch {step}/60, Train Loss: {loss:.4f}, Val Loss: {valid:.4f}",
        "{{'loss': {loss:.4f}, 'learning_rate': 1e-05, 'eval_loss': {valid:.4f}, 'epoch': {step}}}",
        "step {step} loss {loss:.4f} val_loss {valid:.4f}",
        "313/313 [====] - 2s 5ms/step - loss: {loss:.4f} - val_loss: {valid:.4f}",
    ],
)
def test_lines_of_text_are_read(tmp_path, line):
    numbers = [(2.3 * 0.93**step, 1.0 + 0.03 * max(0, step - 12)) for step in range(60)]
    lines = ["Start of training"] + [line.format(step=at, loss=one, valid=two) for at, (one, two) in enumerate(numbers)]
    table = read_table(write(tmp_path / "log.txt", lines))
    assert table.columns["loss"] == pytest.approx([one for one, _ in numbers], abs=1e-4)
    assert diagnose_csv(tmp_path / "log.txt").code == "overfitting"
    assert diagnose_path(tmp_path / "log.txt").code == "overfitting"


def test_one_number_a_line_is_a_loss(tmp_path):
    path = write(tmp_path / "loss.txt", ["2.3026"] * 100)
    assert "2.3026 = ln 10" in str(diagnose_csv(path))


@pytest.mark.parametrize("percent", [1, 100])
def test_99_percent_in_training_and_73_in_validation_is_overfitting_also_without_losses(tmp_path, percent):
    rows = [(1 - 0.7 * 0.9**step - 0.01 * (step < 59), min(0.73, 0.3 + 0.02 * step)) for step in range(60)]
    lines = ["epoch,acc,val_acc", *(f"{at},{percent * one},{percent * two}" for at, (one, two) in enumerate(rows))]
    verdict = diagnose_csv(write(tmp_path / "log.csv", lines))
    assert verdict.code == "overfitting"
    assert "one minus the accuracy" in str(verdict)
    lines = ["epoch,loss,lr,val_loss,acc,val_acc"]
    lines += [
        f"{at},{2.3 * 0.93**at + 0.03},{0.1 * (1 + np.cos(np.pi * at / 59)) / 2},{max(1.1, 2.3 * 0.95**at)},{one},{two}"
        for at, (one, two) in enumerate(rows)
    ]
    verdict = diagnose_csv(write(tmp_path / "log.csv", lines))
    assert verdict.code == "overfitting"
    assert "the gap is the news" in verdict.text
