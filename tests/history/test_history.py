"""Histories: columns, and files that survive a kill."""

import numpy as np
import pytest

from thalweg.errors import RunError
from thalweg.history import History, HistoryLog


UNITS = {"step": "", "loss": "nat"}


def test_grows_and_gives_rows_since_a_step():
    history = History(UNITS)
    for step in range(1000):
        history.append(step=step, loss=1 / (step + 1))
    assert len(history) == 1000
    np.testing.assert_array_equal(history.since(996)["step"], [997, 998, 999])
    np.testing.assert_array_equal(history["loss"], 1 / np.arange(1, 1001))


def test_missing_values_are_nan_and_unknown_columns_refused():
    history = History(UNITS)
    history.append(step=1)
    assert np.isnan(history["loss"][0])
    with pytest.raises(KeyError, match="lr"):
        history.append(step=2, lr=1)


def test_first_column_must_be_step():
    with pytest.raises(ValueError, match="step"):
        History({"loss": "nat"})


def test_a_torn_row_is_left_out_and_overwritten(tmp_path):
    path = tmp_path / "steps"
    with HistoryLog(path, UNITS) as log:
        log.extend([[1, 0.5], [2, 0.25]])
    with path.open("ab") as file:
        file.write(b"\0" * 11)  # a kill in the middle of a row
    assert HistoryLog.read(path)["step"].tolist() == [1, 2]
    with HistoryLog(path, UNITS) as log:
        log.extend([[3, 0.125]])
    assert HistoryLog.read(path)["loss"].tolist() == [0.5, 0.25, 0.125]


def test_cut_after_a_step(tmp_path):
    with HistoryLog(tmp_path / "steps", UNITS) as log:
        log.extend([[step, 0] for step in range(10)])
        log.cut_after(4)
        log.extend([[5, 1]])
        assert len(log) == 6
    assert HistoryLog.read(tmp_path / "steps")["loss"].tolist() == [0, 0, 0, 0, 0, 1]


def test_other_columns_and_other_files_are_refused(tmp_path):
    HistoryLog(tmp_path / "steps", UNITS).close()
    with pytest.raises(RunError, match="columns"):
        HistoryLog(tmp_path / "steps", {"step": "", "accuracy": ""})
    (tmp_path / "other").write_text("hello\n")
    with pytest.raises(RunError, match="not a thalweg history"):
        HistoryLog.read(tmp_path / "other")
    with pytest.raises(RunError, match="cannot be read"):
        HistoryLog.read(tmp_path / "none")


def test_a_file_of_an_older_version_goes_on_with_its_own_columns(tmp_path):
    path = tmp_path / "steps"
    with HistoryLog(path, UNITS) as log:
        log.extend([[1, 0.5]])
    with HistoryLog(path, UNITS | {"size": "px"}) as log:
        log.extend([[2, 0.25, 96]])
        assert len(log) == 2
    history = HistoryLog.read(path)
    assert history.units == UNITS
    assert history["loss"].tolist() == [0.5, 0.25]
    with pytest.raises(RunError):
        HistoryLog(path, {"step": "", "accuracy": "", "size": "px"})


def test_a_header_of_any_length_is_read(tmp_path):
    units = {"step": ""} | {f"{layer:0200}.gradient_norm": "" for layer in range(1000)}
    with HistoryLog(tmp_path / "layers", units) as log:
        log.extend(np.ones((1, 1001)))
        log.cut_after(1)
    assert HistoryLog.read(tmp_path / "layers").units == units
