"""The process beside a training: it logs while the training goes on, and whatever happens to it is said once."""

import os
import signal
import time

import pytest

from loggers.made_run import write_checkpoint, write_end, write_rows, write_run
from thalweg.cli import log as command
from thalweg.errors import UsageError
from thalweg.loggers import Live, Target, log_run
from thalweg.loggers.account import Account
from thalweg.loggers.live import opened


pytest.importorskip("tensorboard", reason='the extra "log" is not installed')
pytestmark = pytest.mark.slow  # each test starts a process


@pytest.fixture
def target(tmp_path):
    return Target.parse(f"tensorboard:{tmp_path / 'tb'}")


@pytest.fixture
def said():
    return []


@pytest.fixture
def tell(said):
    return lambda key, **values: said.append((key, values))


def until(happens):
    began = time.monotonic()
    while not happens():
        assert time.monotonic() - began < 60
        time.sleep(0.05)


def account(run, target):
    return Account.of(run, str(target))


def test_rows_go_while_the_training_writes_and_a_resumed_one_goes_on(tmp_path, target, said, tell):
    run = write_run(tmp_path / "food", 20, kept=10)
    with Live((target,), tell) as live:
        live.start(run)
        until(lambda: account(run, target).step == 10)
        write_checkpoint(run, 20)
        until(lambda: account(run, target).step == 20)
    with opened(None, tell, before=[run]) as live:
        assert live.targets == (target,)
        live.start(run)
        write_rows(run, 30, first=21)
        write_checkpoint(run, 30)
    assert (live.sent[0].step, live.sent[0].rows, said) == (30, 10, [])


def test_a_logger_that_fails_or_dies_is_said_once_and_the_rest_goes_after_the_fact(tmp_path, target, said, tell):
    run = write_run(tmp_path / "food", 20)
    (tmp_path / "tb").write_text("in the way")
    with Live((target,), tell) as live:
        live.start(run)
        until(lambda: said)
    assert [key for key, _ in said] == ["loggers.failed"]
    (tmp_path / "tb").unlink()
    with Live((target,), tell) as live:
        live.start(run)
        (follower,) = live._followers.values()
        os.kill(follower.process.pid, signal.SIGKILL)
        follower.process.wait()
    assert [key for key, _ in said] == ["loggers.failed", "loggers.gone"]
    write_end(run)
    (sent,) = log_run_of_a_folder(run, str(target))
    assert (sent.rows, sent.failure) == (20, "")


def log_run_of_a_folder(run, to):
    """As `log_run`, for the folder of a run that was never trained."""
    with Live((Target.parse(to),), goes_on=False) as live:
        live.start(run)
    return live.sent


def test_a_run_is_logged_after_the_fact_by_one_command(kept_run, target, command_runner):
    call = command_runner(command, "log")
    with pytest.raises(UsageError, match="was not logged anywhere"):
        call(str(kept_run.path))
    said = call(str(kept_run.path), "--to", str(target)).stderr
    assert "18 rows" in said
    assert "everything up to step 18 is there" in said
    (again,) = log_run(kept_run)
    assert (again.rows, again.step) == (0, 18)
