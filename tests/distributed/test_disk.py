"""Who shares a disk with whom is found out by files that are seen or not."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from torch.distributed import TCPStore

from thalweg.distributed.disk import DiskGroup
from thalweg.distributed.group import Group


@pytest.fixture
def groups():
    stores = [TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)]
    stores += [TCPStore("127.0.0.1", stores[0].port, wait_for_workers=False) for _ in range(3)]
    found = [Group(rank, 4, store, patience=30) for rank, store in enumerate(stores)]
    for group in found:
        group.live()
    yield found
    for group in found:
        group.leave()


def met(groups, folders):
    with ThreadPoolExecutor(len(groups)) as pool:
        return list(pool.map(DiskGroup, groups, folders))


@pytest.mark.parametrize(
    ("disks", "expected"),
    [
        ("aaaa", [(0, 4), (1, 4), (2, 4), (3, 4)]),
        ("abab", [(0, 2), (0, 2), (1, 2), (1, 2)]),
        ("abbc", [(0, 1), (0, 2), (1, 2), (0, 1)]),
    ],
)
def test_who_sees_the_files_of_another_shares_its_disk(groups, tmp_path, disks, expected):
    found = met(groups, [tmp_path / disk for disk in disks])
    assert [(one.rank, one.processes) for one in found] == expected
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "nothing is left"


def test_the_first_of_a_disk_is_heard_there_and_all_compare_with_the_first_of_all(groups, tmp_path):
    found = met(groups, [tmp_path / disk for disk in "abab"])
    found[0].tell("part", "of a")
    found[1].tell("part", "of b")
    assert [one.hear("part", 0) for one in found] == ["of a", "of b", "of a", "of b"]
    assert [one.agree(name) for one, name in zip(found, ("x", "y", "x", "x"), strict=True)] == [True, False, True, True]


def test_a_folder_that_cannot_be_written_is_a_disk_of_its_own(groups, tmp_path):
    (tmp_path / "file").write_text("")
    found = met(groups, [tmp_path / "a", tmp_path / "a", tmp_path / "file" / "a", tmp_path / "a"])
    assert [(one.rank, one.processes) for one in found] == [(0, 3), (1, 3), (0, 1), (2, 3)]
