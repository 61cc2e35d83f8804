import ast
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import typer

from thalweg.cli import data as command
from thalweg.errors import DataError
from thalweg.i18n import set_language


PACKAGE = Path(command.__file__).parents[1] / "data"


def run(*arguments):
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    command.register(app)
    return app(args=["data", *map(str, arguments)], standalone_mode=False) or 0


@pytest.fixture(params=["en", "zh-CN"])
def language(request):
    set_language(request.param)
    yield request.param
    set_language(None)


def test_check_says_what_it_found(plant, homework, capsys, language):
    root = plant(homework | {"training/0_9.jpg": b"", "validation/2_9.jpg": homework["training/2_1.jpg"]})
    assert run("check", root) == 0
    out, err = capsys.readouterr()
    assert str(root) in err
    assert "training/0_9.jpg" in out
    assert "training/2_1.jpg = validation/2_9.jpg" in out
    assert ("不完整" in out or "空文件" in out) == (language == "zh-CN")


def test_check_of_a_sound_set_says_so(plant, homework, capsys):
    assert run("check", plant(homework)) == 0
    assert "class 1" not in capsys.readouterr().out


def test_check_as_json(plant, homework, capsys):
    assert run("check", plant(homework), "--classes", "food11", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["layout"] == "flat"
    assert report["counts"]["train"]["Bread"] == 4


def test_strict_makes_warnings_count(plant, homework):
    root = plant(homework | {"training/0_9.jpg": b""})
    assert run("check", root) == 0
    assert run("check", root, "--strict") == 1


@pytest.fixture
def doubled(plant, homework):
    """Seven photos of the training split in the validation split, too."""
    training = [content for name, content in homework.items() if name.startswith("training")]
    return plant(homework | {f"validation/2_{n}.jpg": content for n, content in enumerate(training[:7], 50)})


def test_a_table_of_all_findings_is_written_and_told(doubled, tmp_path, capsys, language):
    assert run("check", doubled) == 0
    assert "--out FILE.csv" in capsys.readouterr().err
    table = tmp_path / "all.csv"
    assert run("check", doubled, "--out", table) == 0
    assert f"{table}" in capsys.readouterr().err
    assert table.read_text(encoding="utf-8").count("\nleaks,") == 7
    assert run("check", doubled, "--out", table, "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["csv"] == str(table)
    assert f"{table}" in err
    assert run("check", doubled, "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["csv"] is None
    assert "--out" not in err  # nothing is left out of seven


def test_of_many_classes_the_table_shows_the_ends(plant, picture, capsys, language):
    photo = picture(1, "PNG", width=8, height=8)
    assert run("check", plant({f"train/c{n:03}/{k}.png": photo for n in range(55) for k in range(2)})) == 0
    out = capsys.readouterr().out
    assert all(f"c{n:03} " in out for n in (0, 19, 35, 54))
    assert "c020 " not in out
    assert "c034 " not in out
    middle = next(line for line in out.splitlines() if "…" in line)
    assert " 15 " in middle
    assert middle.split()[-2:] == ["15", "15"]  # photos of the others in each split


def test_no_photos_is_an_error(plant):
    with pytest.raises(DataError):
        run("check", plant({"notes.txt": b""}))


def test_get_of_what_is_there_prints_the_next_command(tmp_path, capsys):
    (tmp_path / "set.zip").write_bytes(b"here already")
    assert run("get", "food11", "--url", "http://127.0.0.1:9/set.zip", "--out", tmp_path) == 0
    assert f"thalweg data check {tmp_path / 'set.zip'}" in capsys.readouterr().err
    assert run("get", "food11", "--url", "http://127.0.0.1:9/set.zip", "--out", tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["opens"] == str(tmp_path / "set.zip")


def test_photos_are_opened_cached_and_checked_without_torch(plant, homework):
    code = (
        "import sys; from thalweg.data import *; import thalweg.cli.data, thalweg.data.download\n"
        "images = open_images(sys.argv[1]); build_cache(images, size=8); check_images(images)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, plant(homework)], env=os.environ).returncode == 0


def test_every_note_that_the_code_names_is_in_the_catalogue():
    known = json.loads((PACKAGE.parent / "i18n" / "en" / "data.json").read_text(encoding="utf-8"))
    named = set()
    for module in [*PACKAGE.rglob("*.py"), Path(command.__file__)]:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and re.fullmatch(r"data\.[a-z0-9_]+", str(node.value)):
                named.add(node.value.removeprefix("data."))
    beginnings = tuple(name for name in named if name.endswith("_"))  # of f-strings
    assert named - known.keys() - set(beginnings) == set()
    assert [key for key in known.keys() - named if not key.startswith(beginnings)] == []  # no sentence is left over


def test_check_reads_shards_and_says_in_one_sentence_what_is_wrong_with_them(plant, picture, capsys, language):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for n in range(4):
            for name, content in ((f"{n}.jpg", picture(n)), (f"{n}.cls", b"%d" % (n % 2))):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    root = plant({"train-0.tar": packed.getvalue(), "val-0.tar": packed.getvalue(), "classes.txt": b"cat\ndog\n"})
    assert run("check", root, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["layout"], found["counts"]["train"]) == ("webdataset", {"cat": 2, "dog": 2})
    (root / "val-0.tar").write_bytes(packed.getvalue()[:3000])
    with pytest.raises(DataError, match=r"val-0\.tar"):
        run("check", root)


def test_check_copies_a_set_at_an_address_and_shows_the_address(homework, capsys):
    system = pytest.importorskip("fsspec").filesystem("memory")
    for name, content in homework.items():
        system.pipe(f"/a-set-to-check/{name}", content)
    assert run("check", "memory://a-set-to-check") == 0
    assert "memory://a-set-to-check:" in capsys.readouterr().err
