"""What Windows and macOS lack, imitated: no locks, no names of POSIX, stricter files, other shells and encodings."""

import ast
import asyncio
import importlib.util
import io
import os
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import thalweg
from thalweg._memory import free_memory
from thalweg.cli._streams import speak_any_encoding
from thalweg.data.places import tidy
from thalweg.data.sources import points_outside
from thalweg.errors import StorageError
from thalweg.i18n import word
from thalweg.prediction.sorting import folder_name
from thalweg.server.processes import launch, typed
from thalweg.training.machine import gentle_interrupt, keep_freed, settled_device


SOURCE = Path(thalweg.__file__).parent
# What only POSIX, or only Linux, has; from the documentation of Python 3.14.
MODULES = {"crypt", "fcntl", "grp", "nis", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
NAMES = """
    os.fork os.forkpty os.getuid os.geteuid os.getgid os.getegid os.getpgid os.getsid os.getloadavg os.killpg os.mkfifo
    os.nice os.setsid os.setuid os.sched_getaffinity os.sched_setaffinity os.sched_yield os.statvfs os.sysconf os.uname
    os.wait3 os.wait4 os.posix_fadvise os.posix_spawn os.memfd_create os.sendfile os.pread os.pwrite os.O_NONBLOCK
    os.O_CLOEXEC os.O_DIRECTORY os.O_NOFOLLOW signal.SIGKILL signal.SIGUSR1 signal.SIGUSR2 signal.SIGHUP signal.SIGQUIT
    signal.SIGALRM signal.SIGCHLD signal.SIGPIPE signal.SIGTSTP signal.alarm signal.setitimer signal.pause
    socket.AF_UNIX socket.SO_REUSEPORT mmap.MAP_SHARED mmap.MAP_PRIVATE mmap.PROT_READ mmap.PROT_WRITE time.tzset
    time.clock_gettime
""".split()  # noqa: SIM905 - fifty names in six lines


def functions_and_rest(tree):
    """Each function by itself, and what is outside of all."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    yield from (list(ast.walk(function)) for function in functions)
    yield [node for node in ast.walk(tree) if id(node) not in inside]


def is_asked_for(name, nodes):
    """Whether code asks if there is such a name, or catches that there is none."""
    asked = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    caught = {name.id for node in nodes if isinstance(node, ast.ExceptHandler) for name in ast.walk(node)
              if isinstance(name, ast.Name)}  # fmt: skip
    return name in asked or bool(caught & {"AttributeError", "ImportError"})


def unguarded(tree):
    for nodes in functions_and_rest(tree):
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                yield from (one for one in modules if one in MODULES and not is_asked_for(one, nodes))
            elif isinstance(node, ast.Attribute) and ast.unparse(node) in NAMES and not is_asked_for(node.attr, nodes):
                yield ast.unparse(node)


def test_what_only_some_systems_have_is_asked_for_before_it_is_used():
    mentioned = [*NAMES, *(f"import {module}" for module in MODULES), *(f"from {module}" for module in MODULES)]
    texts = {path: path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")}
    asked = {
        path: list(unguarded(ast.parse(text))) for path, text in texts.items() if any(map(text.__contains__, mentioned))
    }
    assert asked  # of files that have such names
    assert not {path.name: found for path, found in asked.items() if found}


def test_the_check_above_finds_what_it_looks_for():
    code = "import pwd, os\ndef f():\n    return os.getuid()\ndef g():\n    return hasattr(os, 'fork') and os.fork()"
    assert sorted(unguarded(ast.parse(code))) == ["os.getuid", "pwd"]


@pytest.fixture
def windows_files(monkeypatch):
    """`thalweg._files` as a system without fcntl loads it, where only files open for writing can be synced."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    spec = importlib.util.spec_from_file_location("files_without_locks", SOURCE / "_files.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    fsync = os.fsync

    def strict(handle):
        os.write(handle, b"")  # fails on a handle for reading, as the sync of Windows does
        fsync(handle)

    monkeypatch.setattr(os, "fsync", strict)
    return module


def test_files_are_written_without_locks(windows_files, tmp_path):
    windows_files.write_text(tmp_path / "a.json", "old")
    windows_files.write_text(tmp_path / "a.json", "new")
    assert (tmp_path / "a.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert not windows_files.CAN_HOLD
    with (tmp_path / "a.json").open("rb") as file:
        assert windows_files.hold(file)
    assert not windows_files.is_held(tmp_path / "a.json")


@pytest.mark.parametrize("refusals", [2, 1000])
def test_a_reader_in_the_way_of_a_rename_is_waited_for_but_not_forever(windows_files, tmp_path, monkeypatch, refusals):
    """Windows renames nothing over a file that someone has open: the page reads a summary while a run writes it."""
    left = [refusals]
    replace = os.replace

    def busy(*paths):
        left[0] -= 1
        if left[0] >= 0:
            raise PermissionError(13, "in use")
        replace(*paths)

    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr(windows_files.time, "sleep", lambda _: None)
    if refusals < 10:
        windows_files.write_text(tmp_path / "a.json", "new")
        assert (tmp_path / "a.json").read_text() == "new"
    else:
        with pytest.raises(StorageError, match=r"a\.json"):
            windows_files.write_text(tmp_path / "a.json", "new")
        assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="stands in for Ctrl-Break")
def test_ctrl_break_stops_a_training_as_ctrl_c_does(monkeypatch):
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    spec = importlib.util.spec_from_file_location("machine_with_break", SOURCE / "training" / "machine.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.gentle_interrupt() as asked:
        assert not asked.is_set()
        signal.raise_signal(signal.SIGUSR1)
        assert asked.is_set()


def test_every_system_has_a_signal_that_stops():
    with gentle_interrupt() as asked:
        signal.raise_signal(signal.SIGTERM)
        assert asked.is_set()


@pytest.mark.slow
def test_a_child_answers_in_utf8_whatever_the_system_speaks(monkeypatch):
    async def ask():
        process = await launch("-c", "print('训练 → 70 %')", stderr=asyncio.subprocess.STDOUT)
        return (await process.communicate())[0]

    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    with ThreadPoolExecutor(1) as thread:  # a browser's tests leave a loop that runs in this one
        answer = thread.submit(lambda: asyncio.run(ask())).result()
    assert answer.decode("utf-8").strip() == "训练 → 70 %"


@pytest.mark.parametrize(
    ("text", "posix", "windows"),
    [
        (r"C:\food", r"'C:\food'", r"C:\food"),
        (r"C:\my photos", r"'C:\my photos'", r'"C:\my photos"'),
        ("runs/food", "runs/food", "runs/food"),
        ("a&b", "'a&b'", '"a&b"'),
        ("it's", "'it'\"'\"'s'", '"it\'s"'),
        ("", "''", '""'),
    ],
)
def test_a_path_in_a_command_can_be_typed_in_the_systems_shell(text, posix, windows):
    assert word(text, windows=False) == posix
    assert word(text, windows=True) == windows
    assert typed([text]) == f"thalweg {windows if os.name == 'nt' else posix}"


@pytest.mark.parametrize(
    "name", ["con", "NUL", "aux.tar", "com1", "LPT9.txt", "nul ", "CON .x", 'a<b>:"/\\|?*', "tail. .", "\x07"]
)
def test_a_folder_of_a_class_is_one_that_windows_takes(name):
    made = folder_name(name)
    stem = made.split(".")[0].strip().lower()
    assert stem not in {"con", "prn", "aux", "nul", *(f"{one}{n}" for one in ("com", "lpt") for n in range(10))}
    assert not set(made) & set('<>:"/\\|?*\x07')
    assert made
    assert made == made.rstrip(" .")
    assert (folder_name("contour"), folder_name("com10")) == ("contour", "com10")


def test_paths_with_backslashes_are_read_as_paths():
    assert tidy(r".\img\1.jpg") == "img/1.jpg"
    assert points_outside(r"C:\secret.jpg".replace("\\", "/"))


def test_memory_is_known_without_proc(monkeypatch):
    def absent(path, *args, **options):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", absent)
    assert 1e8 < free_memory() < float("inf")  # macOS says how much there is
    monkeypatch.delattr(os, "sysconf")
    assert free_memory() == float("inf")


def test_another_c_library_keeps_its_allocator(monkeypatch):
    monkeypatch.setattr("platform.libc_ver", lambda *_: ("", ""))
    assert not keep_freed()


def test_mps_is_taken_only_where_it_is_asked_for(monkeypatch):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert settled_device("auto").type == "cpu"
    assert settled_device("mps").type == "mps"


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "gbk", "ascii"])
def test_every_sentence_is_printed_in_any_encoding(encoding, monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", out)
    speak_any_encoding()
    for path in (SOURCE / "i18n").glob("*/*.json"):
        out.write(path.read_text(encoding="utf-8"))
    out.flush()


def test_no_sign_of_an_english_sentence_becomes_a_number():
    sentences = "".join(path.read_text(encoding="utf-8") for path in (SOURCE / "i18n" / "en").glob("*.json"))
    sentences = sentences.replace("简体中文", "")  # the language's own name
    assert not re.findall(r"\\u", sentences.replace("\\", "/").encode("ascii", "thalweg-plain").decode())
    assert "‖η σ₁²‖ → √x".encode("ascii", "thalweg-plain") == b"||eta sigma12|| -> sqrtx"
