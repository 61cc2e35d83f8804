"""What torchrun's variables may say, and what is said when they are wrong."""

import socket

import pytest
from torch.distributed import TCPStore

from thalweg.distributed import joining
from thalweg.distributed.joining import is_first, join, speaks, usual_shards
from thalweg.errors import NotMetError, UsageError


@pytest.fixture(autouse=True)
def _nobody_has_joined():
    join.cache_clear()
    yield
    join.cache_clear()


@pytest.fixture
def environment(monkeypatch):
    def change(**values):
        for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))

    return change


def test_a_process_without_torchrun_is_alone(environment):
    environment()
    assert join() is None
    assert is_first()
    assert speaks()
    environment(WORLD_SIZE=1, RANK=0)
    join.cache_clear()
    assert join() is None


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"RANK": 0, "MASTER_PORT": 1}, "MASTER_ADDR"),
        ({"RANK": 0, "MASTER_ADDR": "localhost"}, "MASTER_PORT"),
        ({"MASTER_ADDR": "localhost", "MASTER_PORT": 1}, "RANK"),
        ({"RANK": 2, "MASTER_ADDR": "localhost", "MASTER_PORT": 1}, "RANK"),
        ({"RANK": "x", "MASTER_ADDR": "localhost", "MASTER_PORT": 1}, "RANK"),
    ],
)
def test_a_variable_that_is_missing_or_wrong_is_named(environment, values, named):
    environment(WORLD_SIZE=2, **values)
    with pytest.raises(UsageError, match=named) as caught:
        join()
    assert "torchrun" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "inf"])
def test_a_patience_that_is_no_time_is_refused(environment, monkeypatch, seconds):
    environment(WORLD_SIZE=2, RANK=0, MASTER_ADDR="127.0.0.1", MASTER_PORT=1)
    monkeypatch.setenv(joining.PATIENCE, seconds)
    with pytest.raises(UsageError, match=joining.PATIENCE):
        join()


def test_a_port_in_use_and_an_address_where_nobody_listens(environment, monkeypatch):
    monkeypatch.setenv(joining.PATIENCE, "0.5")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment(WORLD_SIZE=2, RANK=0, MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
        with pytest.raises(UsageError, match=f"Port {port} .* taken"):
            join()
    environment(WORLD_SIZE=2, RANK=1, MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    with pytest.raises(UsageError, match=f"cannot reach 127.0.0.1:{port}"):
        join()


def test_a_program_that_takes_the_connection_and_never_answers(environment, monkeypatch):
    monkeypatch.setenv(joining.PATIENCE, "0.1")
    monkeypatch.setattr(joining, "_GRACE_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        environment(WORLD_SIZE=2, RANK=1, MASTER_ADDR="127.0.0.1", MASTER_PORT=other.getsockname()[1])
        with pytest.raises(NotMetError, match="Process 1 cannot reach"):
            join()


def test_two_trainings_on_one_port_are_told_apart(environment):
    store = TCPStore("127.0.0.1", 0, 2, is_master=True, wait_for_workers=False)
    environment(WORLD_SIZE=2, RANK=1, MASTER_ADDR="127.0.0.1", MASTER_PORT=store.port)
    group = join()
    assert (group.rank, group.processes, group.first) == (1, 2, False)
    assert join() is group
    join.cache_clear()
    with pytest.raises(NotMetError, match="already number 1"):
        join()
    group.remember("run", "runs/a")
    assert group.remember("run") == "runs/a"
    assert group.remember("other") is None


@pytest.mark.parametrize("batch_size", [1, 2, 15, 16, 64, 100, 1000])
@pytest.mark.parametrize("processes", [2, 3, 8, 64])
def test_usual_shards_are_a_power_of_two_for_all_processes(batch_size, processes):
    shards = usual_shards(batch_size, processes)
    assert shards.bit_count() == 1
    assert shards >= processes
    assert batch_size / shards >= 16 or shards < 2 * processes
