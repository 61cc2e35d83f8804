"""What is printed: names on a terminal, texts in any encoding, formulas in a submission, and a result always."""

import io
import json
import os
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from made import SMALL
from thalweg.cli import main
from thalweg.cli._streams import speak_any_encoding
from thalweg.cli.train import conclude
from thalweg.data import Photo
from thalweg.prediction import Predictions, submission_notes
from thalweg.training import train


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Photos whose classes and names would command a terminal, and one that is none."""
    root = tmp_path_factory.mktemp("odd") / "photos"
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("valid", 2)):
        for name in ("\x1b[31m米饭", "b\u202ec"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}\x9b\n2J.png")
    (root / "train" / "b\u202ec" / "\x1b[2Jbad.png").write_bytes(b"\x1b[2J")
    return root


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("arguments", [(), ("--json",), ("--classes", "\x1b[2J")])
def test_no_name_reaches_the_terminal_as_a_command(odd, thalweg, arguments):
    _, out, err = thalweg("data", "check", odd, *arguments)
    for text in (out, err):
        assert all(character.isprintable() or character == "\n" for character in text)
    assert r"1b[" in out + err
    if "--json" in arguments:
        assert "\x1b[31m米饭" in json.loads(out)["counts"]["train"]


@pytest.fixture
def printed(monkeypatch):
    """Run the command line with outputs of an encoding; gives exit code, stdout, stderr."""

    def call(encoding, *arguments):
        streams = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["thalweg", *map(str, arguments)])
            patch.setattr(sys, "stdout", streams[0])
            patch.setattr(sys, "stderr", streams[1])
            with pytest.raises(SystemExit) as ended:
                main()
        for stream in streams:
            stream.flush()
        # the framework takes ASCII for a mistake, and writes UTF-8
        reader = "utf-8" if encoding == "ascii" else encoding
        return ended.value.code or 0, *(stream.buffer.getvalue().decode(reader) for stream in streams)

    return call


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "gbk", "utf-8"])
def test_any_encoding_of_the_output_will_do(odd, encoding, printed):
    code, out, _ = printed(encoding, "--lang", "zh-CN", "data", "check", odd)
    assert code == 0
    assert ("米饭" if encoding in {"gbk", "utf-8"} else r"\u7c73\u996d") in out
    code, out, _ = printed(encoding, "data", "check", odd, "--json")
    assert code == 0
    assert "\x1b[31m米饭" in json.loads(out)["counts"]["train"]
    code, _, err = printed(encoding, "--lang", "zh-CN", "data", "check", "饭")
    assert code == 1
    assert ("饭" if encoding in {"gbk", "utf-8"} else r"\u996d") in err


def test_signs_that_an_encoding_lacks_are_printed_in_ascii(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    speak_any_encoding()
    sys.stdout.write("≈ 1 × 2 → “3” … 米\udce9")
    sys.stdout.flush()
    assert sys.stdout.buffer.getvalue() == rb"""~ 1 x 2 -> "3" ... \u7c73\udce9"""


@pytest.mark.slow
def test_a_result_is_printed_though_the_photos_have_moved_away(striped, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))
    shutil.copytree(striped, tmp_path / "photos")
    run = train(tmp_path / "photos", replace(SMALL, epochs=1), tmp_path / "run")
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    run.evaluation.unlink()  # its pictures take long to draw
    conclude(run, as_json=False)
    out, err = capsys.readouterr()
    assert "Validation: accuracy" in out
    assert "The training is complete" in err
    assert "are no longer there" in err
    assert (tmp_path / "run" / "report.html").exists()


def predictions_of(paths, classes=("a", "b")):
    photos = tuple(Photo(path, "test", None) for path in paths)
    return Predictions(photos, tuple(classes), np.tile([0.75, 0.25], (len(photos), 1)), ())


@pytest.mark.parametrize("name", ["=cmd|' C'!A0", "+1+2", "-a", "@SUM(1)", "\tx", "\r=1"])
def test_a_name_that_a_spreadsheet_would_run_is_warned_about_once(name):
    (note,) = submission_notes(predictions_of([f"{name}.jpg", f"{name}2.jpg", "plain.jpg"]))
    assert str(note).startswith("2 names")
    assert not submission_notes(predictions_of(["1.jpg"], [name, "b"]), names=False)
    assert submission_notes(predictions_of(["1.jpg"], [name, "b"]), names=True)
    assert submission_notes(predictions_of(["1.jpg"], [name, "b"]), probabilities=True)


def test_numbers_are_no_formulas():
    assert not submission_notes(predictions_of(["-1.jpg", "+2.5.jpg", "0001.jpg"], ["-1", "1e-3"]), endings=False)


@pytest.mark.slow
def test_a_resumed_run_has_no_parts_of_a_killed_process(striped, tmp_path):
    from thalweg.training import resume

    run = train(striped, replace(SMALL, epochs=1), tmp_path / "run")
    left = [
        "checkpoints/.last.safetensors.x3k_9a2b.part",
        "history/.steps.aaaaaaaa.part",
        ".summary.json.12345678.part",
    ]
    for name in [*left, "notes.part"]:
        (run.path / name).write_bytes(b"half")
    resume(run.path)
    assert [path.name for path in run.path.rglob("*.part")] == ["notes.part"]


def test_a_folder_with_parts_only_is_free(striped, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".split.csv.x3k_9a2b.part").write_bytes(b"half")
    run = train(striped, replace(SMALL, epochs=1), tmp_path / "run")
    assert not list(run.path.rglob("*.part"))
