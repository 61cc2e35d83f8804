"""The event file: cut anywhere and continued, it has every row once; TensorBoard and `diagnose` read what was meant."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from loggers.made_run import loss_of, write_checkpoint, write_end, write_rows, write_run
from thalweg.diagnosis.logs.diagnosing import diagnose_csv
from thalweg.history import HistoryLog
from thalweg.loggers import Sender, Target
from thalweg.report.verdict import verdict_of
from thalweg.runs import RunFolder, files


pytest.importorskip("tensorboard", reason='the extra "log" is not installed')
pytestmark = pytest.mark.filterwarnings("default")  # the library's own


@pytest.fixture
def target(tmp_path):
    return Target.parse(f"tensorboard:{tmp_path / 'tb'}")


def conclude(run, target):
    sender = Sender(run, target)
    sender.conclude()
    assert not sender.sent.failure
    return sender.sent


def accumulated(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def events_of(target):
    (path,) = sorted(path for path in Path(target.place).rglob("*.tfevents.*"))
    return path


def test_tensorboard_reads_rows_pictures_and_results(tmp_path, target):
    run = write_run(tmp_path / "food", 20)
    Image.new("RGB", (8, 6)).save(run / "curves.png")
    (run / "report.html").write_text("the report")
    write_end(run, valid={"accuracy": 0.75, "loss": 0.5, "count": 4})
    conclude(run, target)
    found = accumulated(tmp_path / "tb" / "food")
    assert [(one.step, one.value) for one in found.Scalars("train/loss")] == [(at, loss_of(at)) for at in range(1, 21)]
    assert [one.step for one in found.Scalars("valid/accuracy")] == [10, 20]
    assert [one.step for one in found.Scalars("layers/conv1.update_ratio")] == [5, 10, 15, 20]
    assert (found.Images("figures/curves")[0].width, found.Images("figures/curves")[0].step) == (8, 20)
    assert b"| valid_accuracy | 0.75 |" in found.Tensors("results")[0].tensor_proto.string_val[0]
    assert (tmp_path / "tb" / "food" / "report.html").read_text() == "the report"


def test_a_file_that_is_cut_anywhere_goes_on_with_every_row_once(tmp_path, target):
    run = write_run(tmp_path / "food", 12)
    conclude(run, target)
    path = events_of(target)
    whole = path.read_bytes()
    write_rows(run, 15, first=13)
    write_checkpoint(run, 15)
    random = np.random.default_rng(0)
    for size in [0, 5, *random.integers(1, len(whole), 12).tolist(), len(whole)]:
        path.write_bytes(whole[:size])
        conclude(run, target)
        found = accumulated(path.parent)
        assert [one.step for one in found.Scalars("train/loss")] == list(range(1, 16)), size
        assert [one.step for one in found.Scalars("layers/fc.gradient_norm")] == [5, 10, 15], size


def test_two_runs_of_one_name_have_their_own_folders(tmp_path, target):
    for home in ("a", "b"):
        conclude(write_run(tmp_path / home / "food", 5), target)
    names = sorted(path.name for path in (tmp_path / "tb").iterdir())
    assert names[0] == "food"
    assert names[1].startswith("food-")
    assert len(names) == 2
    for name in names:
        assert len(accumulated(tmp_path / "tb" / name).Scalars("train/loss")) == 5


def test_a_folder_that_cannot_be_written_is_a_reason_not_an_error(tmp_path, target):
    (tmp_path / "tb").write_text("a file")
    sender = Sender(write_run(tmp_path / "food", 5), target)
    sender.conclude()
    assert "tb" in sender.sent.failure


CURVES = {
    "falling": (lambda at: 2.3 * at**-0.5, lambda at: 2.4 * at**-0.4),
    "flat": (lambda at: 2.3 + 1e-3 * np.sin(at), lambda at: 2.3 + 0 * at),
    "overfitted": (lambda at: 2.3 * 0.97**at, lambda at: 1.5 + at / 100),
    "diverged": (lambda at: 2.3 * 1.2**at, lambda at: 9.0 + 0 * at),
    "broken": (lambda at: 2.3 if at < 100 else np.nan, lambda at: 2.3 + 0 * at),
}


@pytest.mark.parametrize("name", CURVES)
def test_the_log_gets_the_verdict_of_the_run(tmp_path, target, name):
    train, valid = CURVES[name]
    run = write_run(tmp_path / "food", 1)
    random, steps = np.random.default_rng(0), np.arange(1, 201)
    rows = [[at, at / 20, train(at) * random.normal(1, 0.01), 1.5, 0.01, 32, 0] for at in steps]
    ends = [[at, at // 20, train(at), 0.5, valid(at), 0.4, at / 100] for at in steps if at % 20 == 0]
    for file, units, found in ((files.STEPS, files.STEP_UNITS, rows), (files.EPOCHS, files.EPOCH_UNITS, ends)):
        (run / file).unlink()
        with HistoryLog(run / file, units) as log:
            log.extend(found)
    write_checkpoint(run, 200)
    conclude(run, target)
    expected = verdict_of(RunFolder(run))
    assert diagnose_csv(target.place).code == diagnose_csv(events_of(target)).code == expected.code
