"""Histories: columns, and files that survive a kill."""

import numpy as np
import pytest

from thalweg.errors import RunError
from thalweg.history import History, HistoryLog
from thalweg.history.overview import MOST, Overview
from thalweg.history.tail import HistoryTail


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


@pytest.mark.parametrize("rows", [MOST, MOST + 1, MOST + 1000, 20 * MOST + 5])
def test_a_long_history_is_overviewed_by_the_extremes_of_blocks(tmp_path, rows):
    """Each pair of rows is the lowest and the highest of its block, computed here from all rows."""
    path, values = tmp_path / "steps", noise(rows)
    with HistoryLog(path, UNITS) as log:
        for first in range(0, rows, 7001):
            log.extend(values[first : first + 7001])
    found = Overview(HistoryTail(path)).whole()
    assert len(found.rows_NC) <= MOST + 2
    if rows <= MOST:
        np.testing.assert_array_equal(found.rows_NC, values)
        return
    for number, block in enumerate(values[at : at + found.per] for at in range(0, rows, found.per)):
        low, high = found.rows_NC[2 * number : 2 * number + 2]
        assert (low[0], high[0]) == (block[0, 0], block[-1, 0])
        assert (low[1], high[1]) == (np.nanmin(block[:, 1]), np.nanmax(block[:, 1]))
    assert number == len(found.rows_NC) // 2 - 1


def noise(rows):
    values = np.random.default_rng(0).normal(size=(rows, 2))
    values[:, 0] = np.arange(1, rows + 1)
    values[::97, 1] = np.nan
    return values


def test_coarser_files_that_lack_or_lie_change_no_overview(tmp_path):
    path, values = tmp_path / "steps", noise(20 * MOST + 5)
    with HistoryLog(path, UNITS) as log:
        log.extend(values)
    expected = Overview(HistoryTail(path)).whole()
    fine, coarse = tmp_path / "steps.16", tmp_path / "steps.256"
    whole = fine.read_bytes()
    fine.write_bytes(whole[: len(whole) // 2 + 3])  # a kill while it was written
    coarse.unlink()  # a run of an older version
    again = Overview(HistoryTail(path)).whole()
    np.testing.assert_array_equal(again.rows_NC, expected.rows_NC)
    coarse.write_text("damaged")
    HistoryLog(path, UNITS).close()  # goes on: makes them anew
    assert fine.read_bytes() == whole
    np.testing.assert_array_equal(Overview(HistoryTail(path)).whole().rows_NC, expected.rows_NC)
    older = noise(20 * MOST + 5)[::-1].copy()  # written by a version that keeps no coarser files
    older[:, 0] = values[:, 0]
    path.write_bytes(path.read_bytes()[: -older.nbytes] + older.tobytes())
    HistoryLog(path, UNITS).close()
    assert Overview(HistoryTail(path)).whole().rows_NC[0, 1] == np.nanmin(older[:256, 1])


def test_a_cut_cuts_the_coarser_files(tmp_path):
    path, values = tmp_path / "steps", noise(20 * MOST)
    with HistoryLog(path, UNITS) as log:
        log.extend(values)
        log.cut_after(5 * MOST + 100)
        log.extend(np.add(values[5 * MOST + 100 : 6 * MOST], [0, 100]))
    found = Overview(HistoryTail(path)).whole()
    assert (found.per, found.rows_NC[-1, 0]) == (16, 6 * MOST)
    changed = found.rows_NC[found.rows_NC[:, 0] > 5 * MOST + 112]
    assert changed[:, 1].min() > 90
    assert found.rows_NC[found.rows_NC[:, 0] < 5 * MOST + 100, 1].max() < 10


def test_a_part_comes_in_more_detail(tmp_path):
    path, values = tmp_path / "steps", noise(20 * MOST)
    with HistoryLog(path, UNITS) as log:
        log.extend(values)
    overview = Overview(HistoryTail(path))
    part = overview.between(10_000, 12_000)
    assert part.per == 1
    np.testing.assert_array_equal(part.rows_NC, values[part.rows_NC[0, 0].astype(int) - 1 :][: len(part.rows_NC)])
    assert part.rows_NC[0, 0] <= 10_000
    assert part.rows_NC[-1, 0] >= 12_000
    wide = overview.between(0, 10 * MOST)
    assert (wide.per, wide.rows_NC[0, 0]) == (256, 1)
    assert overview.between(0, 10**15).per == overview.whole().per
