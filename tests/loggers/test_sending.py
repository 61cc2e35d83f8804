"""No target gets a row twice or misses one, whatever is killed, full or gone; what may be written again waits."""

import importlib
import math
import sys

import numpy as np
import pytest
from PIL import Image

from loggers.made_run import AN_EPOCH, loss_of, write_checkpoint, write_end, write_rows, write_run
from thalweg.errors import MissingExtraError, RunError, UnknownNameError, UsageError
from thalweg.history import HistoryLog
from thalweg.loggers import Live, Sender, Target, parse_targets
from thalweg.loggers.account import Account
from thalweg.loggers.live import opened
from thalweg.loggers.rows import Rows
from thalweg.loggers.sending import facts_of, last_that_stays
from thalweg.runs import files


class Memory:
    """A target that keeps rows, and fails or dies when it is told to."""

    kind = "memory"

    def __init__(self):
        self.rows, self.attached, self.outcomes, self.open_ones = [], [], [], 0
        self.fails_after = math.inf

    def __str__(self):
        return "memory:here"

    def check_installed(self):
        pass

    def open(self, account, facts):
        self.account, self.facts = account, facts
        self.open_ones += 1
        return self

    def position(self):
        return self.rows[-1].step if self.rows else 0

    def send(self, rows):
        for row in rows:
            if len(self.rows) >= self.fails_after:
                raise OSError("no space left")
            self.rows.append(row)

    def attach(self, path, step):
        self.attached.append((path.name, step))

    def finish(self, outcome):
        self.outcomes.append(outcome)

    def close(self):
        self.open_ones -= 1

    def steps(self):
        return [row.step for row in self.rows]


@pytest.fixture
def memory():
    return Memory()


def conclude(run, target, **options):
    sender = Sender(run, target, **options)
    sender.conclude()
    return sender.sent


def test_a_row_has_all_that_was_measured_at_its_step(tmp_path):
    rows = list(Rows(write_run(tmp_path, 20)).until(math.inf))
    assert [row.step for row in rows] == list(range(1, 21))
    values = rows[AN_EPOCH - 1].values
    assert values["train/loss"] == loss_of(10)
    assert values["valid/loss"] == loss_of(10) + 0.1
    assert values["layers/conv1.update_ratio"] == 1e-3
    assert set(rows[0].values) == {f"train/{name}" for name in ("loss", "gradient_norm", "lr", "size", "mixed")}
    assert set(rows[1].values) == {"train/loss", "train/gradient_norm", "train/lr"}


def test_what_seldom_changes_is_told_when_it_does_also_after_a_restart(tmp_path):
    run = write_run(tmp_path, 3)
    with HistoryLog(run / files.STEPS, files.STEP_UNITS) as log:
        log.extend([[4, 0.4, 1.0, 1.5, 0.01, 64, 1], [5, 0.5, 1.0, 1.5, 0.01, 64, 0]])
    for after in (0, 3):
        changed = {row.step: row.values for row in Rows(run, after=after).until(math.inf)}
        assert (changed[4]["train/size"], changed[4]["train/mixed"]) == (64, 1)
        assert "train/size" not in changed[5]
        assert changed[5]["train/mixed"] == 0


def test_rows_are_read_once_while_the_history_grows(tmp_path):
    rows = Rows(write_run(tmp_path, 12), after=3)
    assert [row.step for row in rows.until(7)] == [4, 5, 6, 7]
    assert [row.step for row in rows.until(7.5)] == []
    write_rows(tmp_path, 15, first=13)
    assert [row.step for row in rows.until(math.inf)] == list(range(8, 16))


def test_rows_after_the_checkpoint_wait_until_they_stay(tmp_path, memory):
    run = write_run(tmp_path, 30, kept=20)
    assert conclude(run, memory).waiting == 10
    assert memory.steps() == list(range(1, 21))
    write_rows(run, 30, first=21)  # resumed
    write_checkpoint(run, 30)
    assert conclude(run, memory).rows == 10
    assert memory.steps() == list(range(1, 31))


def test_an_epoch_that_ended_after_the_checkpoint_of_its_step_waits_with_the_step(tmp_path):
    run = write_run(tmp_path, 20)
    write_checkpoint(run, 20, batch=10)
    assert last_that_stays(run) < 20
    write_checkpoint(run, 20)
    assert last_that_stays(run) == 20


@pytest.mark.parametrize(("stopped", "kept", "stays"), [("nan", 10, math.inf), ("done", None, math.inf), ("", None, 0)])
def test_what_stays_of_a_training_that_ended(tmp_path, stopped, kept, stays):
    run = write_run(tmp_path, 20, kept=kept)
    if kept is None:
        (run / "checkpoints" / "last.safetensors").unlink()
    if stopped:
        write_end(run, stopped)
    assert last_that_stays(run) == stays


def test_thirty_kills_lose_no_row_and_repeat_none(tmp_path, memory):
    random = np.random.default_rng(0)
    run, step, kept = write_run(tmp_path, 1, kept=0), 1, 0
    for _ in range(30):
        first, step = kept + 1, int(kept + random.integers(1, 12))
        write_rows(run, step, first=first)
        kept = int(random.integers(kept, step + 1))
        write_checkpoint(run, kept)
        memory.fails_after = len(memory.rows) + int(random.integers(0, 12))  # it dies within a batch
        sender = Sender(run, memory)
        sender.advance()
        sender.close()
    memory.fails_after = math.inf
    write_checkpoint(run, step)
    conclude(run, memory)
    assert memory.steps() == list(range(1, step + 1))
    epochs = [row.step for row in memory.rows if "valid/loss" in row.values]
    assert epochs == list(range(AN_EPOCH, step + 1, AN_EPOCH))
    assert memory.open_ones == 0


def test_a_failure_is_told_and_the_rest_goes_later(tmp_path, memory):
    run = write_run(tmp_path, 30)
    memory.fails_after = 12
    sender = Sender(run, memory)
    sender.advance()
    assert sender.sent.failure == "no space left"
    sender.advance()  # not tried again at once
    assert len(memory.rows) == 12
    memory.fails_after = math.inf
    sender.conclude()
    assert sender.sent.failure == ""
    assert memory.steps() == list(range(1, 31))
    assert memory.open_ones == 0


def test_pictures_and_report_go_along_once_and_again_when_they_change(tmp_path, memory):
    run = write_run(tmp_path, 20)
    Image.new("RGB", (8, 6)).save(run / "curves.png")
    (run / "report.html").write_text("first")
    write_end(run, valid={"accuracy": 0.75, "loss": 0.5, "count": 4})
    assert [conclude(run, memory).files, conclude(run, memory).files] == [2, 0]
    (run / "report.html").write_text("second")
    assert conclude(run, memory).files == 1
    assert memory.attached == [("curves.png", 20), ("report.html", 20), ("report.html", 20)]
    assert memory.outcomes[0].results == {"valid_accuracy": 0.75, "valid_loss": 0.5}
    assert memory.outcomes[0].state == "finished"
    write_rows(run, 25, first=21)  # resumed with another end, and killed
    write_checkpoint(run, 25)
    conclude(run, memory)
    assert (memory.outcomes[-1].state, memory.outcomes[-1].results) == ("interrupted", {})


def test_what_is_told_first_names_the_run_and_its_configuration(tmp_path):
    write_run(tmp_path / "food" / "folds" / "2", 5)
    facts = facts_of(tmp_path / "food" / "folds" / "2")
    assert facts.name == "food-fold-2"
    assert facts.config == {"lr": 0.01, "model": "cnn", "photos_train": 96, "number_of_classes": 2}


def test_the_run_remembers_each_target_and_whether_to_go_on(tmp_path, memory):
    run = write_run(tmp_path, 20)
    conclude(run, memory, goes_on=True)
    account = Account.of(run, str(memory))
    assert (account.goes_on, account.step, account.until) == (True, 20, 20)
    conclude(run, memory)
    assert Account.of(run, str(memory)).id == account.id
    assert Account.of(run, str(memory)).goes_on
    account.path.write_text("[]")
    assert "Remove this file" in conclude(run, memory).failure
    with pytest.raises(RunError, match="damaged"):
        Account.of(run, str(memory))


def test_targets_are_read_and_refused():
    assert str(Target.parse("mlflow:http://127.0.0.1:5000")) == "mlflow:http://127.0.0.1:5000"
    assert Target.parse("tensorboard:tb").place.startswith("/")
    assert Target.parse("mlflow:sqlite:///m.db").place.startswith("sqlite:////")
    assert parse_targets("none") == ()
    with pytest.raises(UnknownNameError, match="tensorboard"):
        parse_targets("tensorbord:tb")
    with pytest.raises(UsageError, match="needs a place"):
        parse_targets(["wandb:"])
    with pytest.raises(UsageError, match="stands alone"):
        parse_targets(["none", "wandb:food"])


def test_a_missing_library_is_named_with_its_command_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    for name in ("trackio", "wandb", "mlflow", "sqlalchemy"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "wandb").mkdir()  # W&B writes into such a folder: it is no library
    for target in ("trackio:food", "wandb:food"):
        with pytest.raises(MissingExtraError, match=r'pip install "thalweg\[log\]"'):
            parse_targets(target)
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "__init__.py").touch()
    importlib.invalidate_caches()
    assert parse_targets("mlflow:http://127.0.0.1:5000")
    for place in ("sqlite:///m.db", "postgresql+psycopg2://here/m"):
        with pytest.raises(UsageError, match="Try: pip install mlflow"):
            parse_targets(f"mlflow:{place}")


def test_nobody_is_asked_without_a_target(tmp_path):
    with Live(()) as live:
        live.start(write_run(tmp_path, 3))
    assert not live.sent
    assert not (tmp_path / "logged").exists()


def test_a_resumed_training_goes_on_with_its_loggers_until_others_or_none_are_named(tmp_path):
    run, said = write_run(tmp_path, 3), []
    account = Account.of(run, "tensorboard:/tb")
    account.goes_on = True
    account.keep()

    def live(log):
        return opened(log, lambda key, **_: said.append(key), before=[run])

    def named(log):
        return [str(target) for target in live(log).targets]

    assert named(None) == ["tensorboard:/tb"]
    assert named("none") == []
    assert named(None) == ["tensorboard:/tb"]  # that training never started
    live("none").start(run)
    assert named(None) == []
    account.path.write_text("{}")
    assert named(None) == []
    assert said == ["loggers.forgotten"]
