"""What others install: the steps of the Dockerfile name what is there, and a wheel has all that the commands read."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import thalweg


ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
STEPS = [
    tuple(line.split(maxsplit=1))
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def steps(name):
    return [words for step, words in STEPS if step == name]


def test_the_image_copies_what_is_there_and_what_the_build_needs():
    copied = {name for words in steps("COPY") for name in words.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied)
    assert {"src", "pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]} <= copied
    kept = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert kept == copied


def test_the_image_installs_what_the_project_names():
    (python,) = steps("FROM")
    version = tuple(map(int, re.search(r"python:(\d+)\.(\d+)-slim", python).groups()))
    assert version >= tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
    torch, rest = steps("RUN")
    pattern = re.search(r"\$\(grep '(.+)' constraints\.txt\)", torch)[1]
    pins = re.findall(f"{pattern}.*$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(pins) == 1
    extras = re.search(r'"\.\[([\w,]+)\]"', rest)[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    assert steps("ENTRYPOINT") == ['["thalweg"]']
    assert "thalweg" in PROJECT["scripts"]


def test_the_version_is_that_of_the_changes():
    head = re.search(r"^## (\S+?),", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert head[1] == thalweg.__version__


@pytest.mark.slow
def test_a_wheel_works_without_the_repository(tmp_path):
    """It is built, unpacked elsewhere, and run from a third folder: nothing of this one is on the path."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("thalweg-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    (tmp_path / "elsewhere").mkdir()
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); import thalweg; print(thalweg.__file__);"
        "sys.argv = ['thalweg', *sys.argv[1:]]; from thalweg.cli import main; main()"
    )
    for arguments in (["--help"], ["--lang", "zh-CN", "data", "check", "builtin"], ["surface", "bowl", "--steps", "5"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path / "elsewhere", capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        assert str(tmp_path) in done.stdout.decode().splitlines()[0]
