"""Logs from anywhere."""

import numpy as np
import pytest

from thalweg.diagnosis import diagnose_csv
from thalweg.diagnosis.inputs import read_table
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
