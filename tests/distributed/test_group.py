"""A process among several: who is lost is named, who works for long is waited for."""

import os
import sys
import threading
import time

import pytest
from torch.distributed import TCPStore

from thalweg.distributed import memory
from thalweg.distributed.group import Group
from thalweg.distributed.memory import offered, opened
from thalweg.errors import EndedElsewhereError, ProcessLostError


PATIENCE = 0.2


@pytest.fixture
def groups():
    stores = [TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)]
    stores += [TCPStore("127.0.0.1", stores[0].port, wait_for_workers=False) for _ in range(2)]
    found = [Group(rank, 3, store, patience=PATIENCE) for rank, store in enumerate(stores)]
    for group in found:
        group.live()
    yield found
    for group in found:
        group.leave()


def test_a_process_that_works_for_long_is_waited_for(groups):
    def late():
        time.sleep(3 * PATIENCE)
        groups[1].post("ready", "yes")

    thread = threading.Thread(target=late)
    thread.start()
    assert groups[0].read("ready", of=[1]) == ["yes"]
    thread.join()


def test_a_process_that_is_gone_is_named_by_the_first_that_is_left(groups):
    groups[1].leave()  # its heart stops, as when it is killed
    for reader, error in ((groups[0], ProcessLostError), (groups[2], EndedElsewhereError)):
        with pytest.raises(error) as caught:
            reader.read("ready", of=[1])
    groups[0].post("ready", "yes")
    assert groups[2].read("ready", of=[0]) == ["yes"]
    with pytest.raises(ProcessLostError, match=r"Process 1 \(.*has not answered for 0 s"):
        groups[0].read("later", of=[1, 2])
    assert caught.value.exit_code == ProcessLostError.exit_code


def test_what_all_find_is_said_by_the_first_before_the_others_end(groups):
    thread = threading.Thread(target=lambda: (time.sleep(PATIENCE / 2), groups[0].fail(1)))
    began = time.monotonic()
    thread.start()
    assert groups[1].until_said(1).exit_code == groups[2].until_said(1).exit_code
    assert time.monotonic() - began >= PATIENCE / 2
    thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["memory", "own", "messages", "apart"])
def test_sums_of_several_blocks_lose_no_vector(run_script, how):
    for found in run_script("sums.py", 3, how):
        assert found["same"]
        assert found["shared"] == (how in {"memory", "own"} and sys.platform == "linux")
        made, spare = found["at_last"]
        assert found["after_six"] == found["at_last"]
        assert spare == made - (how != "own"), "all but the last total"


def test_memory_of_another_process_is_opened_only_by_its_mark():
    offer = offered(10)
    if offer is None:
        pytest.skip("this system cannot share memory that has no name")
    memory, descriptor, text = offer
    pid, number, mark = text.split()
    for wrong in ("", f"{pid} {number} {mark[::-1]}x", f"{pid} 999999 {mark}", f"999999999 {number} {mark}"):
        assert opened(wrong, 10) is None
    assert opened(text, 20_000) is None, "it is shorter"
    other = opened(text, 10)
    other[-1] = 7
    assert memory[-1] == 7
    os.close(descriptor)


def test_memory_that_would_fill_the_machine_is_not_asked_for(monkeypatch):
    """The system would not refuse it: it would kill processes, those of others as well."""
    asked = []
    monkeypatch.setattr(os, "memfd_create", lambda *_given: asked.append(1), raising=False)
    monkeypatch.setattr(memory, "free_memory", lambda: 2e6)
    assert memory.offered(250_000) is None
    assert asked == []


def test_who_waits_for_the_first_process_names_it(groups):
    groups[0].leave()
    with pytest.raises(ProcessLostError, match="Process 0"):
        groups[1].spread(None)
