"""Files that a killed process leaves, and a cache for a user without a home."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from thalweg._files import cache_folder, remove_abandoned, replacing, write_text
from thalweg.errors import StorageError


WRITING = """
import sys, time
from thalweg._files import replacing
with replacing(sys.argv[1]) as part:
    part.write_text("half")
    print(part, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of writing `tmp_path/a.json`, and the part that it writes."""
    with subprocess.Popen([sys.executable, "-c", WRITING, tmp_path / "a.json"], stdout=subprocess.PIPE) as process:
        yield process, Path(process.stdout.readline().decode().strip())
        process.kill()


@pytest.mark.skipif(os.name == "nt", reason="needs locks that end with their process")
def test_what_a_killed_process_leaves_is_removed_and_what_a_living_one_writes_is_not(writer, tmp_path):
    process, part = writer
    write_text(tmp_path / "a.json", "whole")
    remove_abandoned(tmp_path)
    assert part.exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    write_text(tmp_path / "b.json", "another file")
    assert part.exists()
    write_text(tmp_path / "a.json", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_only_what_is_ones_own_is_removed(tmp_path):
    others = ["movie.part", ".a.part", ".a.json.x3k_9a2b.partial", ".a.json.X3K_9A2B.part", "a.json.x3k_9a2b.part"]
    for name in (*others, ".a.json.x3k_9a2b.part"):
        (tmp_path / name).write_text("half")
    (tmp_path / ".folder.x3k_9a2b.part").mkdir()
    remove_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, ".folder.x3k_9a2b.part"])
    remove_abandoned(tmp_path / "none")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "a.json", "old")
    with pytest.raises(AttributeError), replacing(tmp_path / "a.json") as part:
        part.write_text("new").no_such_thing()
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """A user id without a home folder, as containers give it."""
    pwd = pytest.importorskip("pwd")

    def unknown(user):
        raise KeyError(user)

    for name in ("HOME", "THALWEG_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"thalweg-{os.getuid()}"


def test_a_user_without_a_home_has_a_cache_that_nobody_else_can_write(homeless, monkeypatch):
    assert cache_folder() == cache_folder() == homeless
    assert homeless.stat().st_mode & 0o077 == 0
    homeless.chmod(0o777)
    with pytest.raises(StorageError, match="THALWEG_CACHE"):
        cache_folder()
    homeless.rmdir()
    homeless.symlink_to("/")
    with pytest.raises(StorageError, match="THALWEG_CACHE"):
        cache_folder()
    monkeypatch.setenv("THALWEG_CACHE", "~/cache")  # a home that nobody knows
    with pytest.raises(StorageError, match="THALWEG_CACHE"):
        cache_folder()
