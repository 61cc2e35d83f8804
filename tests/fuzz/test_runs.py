"""Runs whose files were damaged at random: each way in works, or says what is wrong; a page of them stays whole.

A run's folder is copied, cut off by a full disk, edited by hand, sent by a stranger. Every mutation below is one such
damage, drawn by a seed, so a failure can be repeated by its number.
"""

import json
import math
import random
import re
import shutil
import struct
import warnings

import pytest
from starlette.testclient import TestClient

from fuzz.mutate import mutated, rounds
from made import SMALL
from thalweg.diagnosis import diagnose_path
from thalweg.diagnosis.inputs import run_measures
from thalweg.errors import ThalwegError
from thalweg.report import write_report
from thalweg.runs import Run, RunFolder
from thalweg.server import build_app
from thalweg.server.answers import json_text
from thalweg.server.run_index import RunIndex
from thalweg.training import train
from thalweg.training.session import reopen


ORIGIN = "http://127.0.0.1"
HOSTILE = (
    *(None, True, False, 0, -1, 1, 5, 28.5, 4096, 99_999, 2**31, 2**63, 10**400, 1e308, -1e308, 5e-324),
    *("", "x", "5", "NaN", "\0", "../..", "損失", "x" * 3_000, [], {}, [[]], {"": {}}, [None], ["a", "b"], [1e308] * 3),
)
NAMES = (
    *("config.toml", "summary.json", "data-check.json", "evaluation.safetensors", "split.csv", "watch.json"),
    *("history/steps", "history/epochs", "history/layers"),
    *("checkpoints/best.safetensors", "checkpoints/last.safetensors", "checkpoints/epoch-0001.safetensors"),
)


@pytest.fixture(scope="session")
def whole(striped, tmp_path_factory):
    """A run of two epochs, with what `watch.save` leaves beside it."""
    config = {**SMALL.to_dict(), "size": 16, "batch_size": 32, "save_every_epoch": True, "optimizer": "adam"}
    path = train(striped, type(SMALL).from_dict(config), tmp_path_factory.mktemp("whole") / "run").path
    facts = {"format": "thalweg-watch-1", "measures": {"loss": 2.3, "gradient_norm": 0.1, "steps": 6}, "problems": []}
    (path / "watch.json").write_text(json.dumps(facts))
    return path


def changed_value(value, draw):
    """A value like it, with one part inside it exchanged, dropped, doubled or nested."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    if inner and draw.random() < 0.8:
        key, part = draw.choice(inner)
        copy = value.copy()
        kind = draw.randrange(8)
        if kind == 0:
            del copy[key]
        elif kind == 1 and isinstance(copy, list):
            copy.append(part)
        elif kind == 1:
            copy["another"] = part
        else:
            copy[key] = changed_value(part, draw)
        return copy
    if isinstance(value, int | float) and not isinstance(value, bool) and draw.random() < 0.3:
        return draw.choice((-value, value + 1, value * 1000, value / 2, value * 1e200))
    if draw.random() < 0.1:
        for _ in range(draw.choice((3, 60))):
            value = [value]
        return value
    return draw.choice(HOSTILE)


def changed_json(text, draw):
    """A JSON text with one value exchanged; sometimes for what JSON has no numbers for, or nested past any depth."""
    kind = draw.randrange(10)
    if kind == 0:
        return draw.choice(("[" * 100_000, '{"a":' * 50_000, "NaN", "", "[]", "{}", "1e999", "null", '"x"'))
    if kind == 1:
        numbers = list(re.finditer(r"(?<=: )-?[\d.e+-]+", text))
        if numbers:
            place = draw.choice(numbers)
            word = draw.choice(("NaN", "Infinity", "-Infinity", "1e999", "9" * 400))
            return text[: place.start()] + word + text[place.end() :]
    return json.dumps(changed_value(json.loads(text), draw))


def changed_toml(text, draw):
    """A table with one value exchanged, a line dropped, or one more."""
    lines = text.splitlines()
    at = draw.choice([number for number, line in enumerate(lines) if " = " in line])
    name, _, _ = lines[at].partition(" = ")
    kind = draw.randrange(8)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, f"more{draw.randrange(9)} = 5")
    elif kind == 2:
        lines[at] = (
            f"{name} = {draw.choice(('nan', 'inf', '-inf', '1979-05-27', '{a = 1}', '[' * 3000, '[[]]', '1e400'))}"
        )
    else:
        value = draw.choice([one for one in HOSTILE if one is not None and one != 10**400])
        lines[at] = f"{name} = {json.dumps(value) if not isinstance(value, dict) else '{}'}"
    return "\n".join(lines) + "\n"


def changed_tensors(content, draw):
    """A safetensors file whose header tells other shapes, types, places or facts, often still consistent."""
    length = struct.unpack("<Q", content[:8])[0]
    header, body = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    names = [name for name in header if name != "__metadata__"]
    kind = draw.randrange(7)
    if kind < 3 and "__metadata__" in header and "thalweg" in header["__metadata__"]:
        header["__metadata__"]["thalweg"] = changed_json(header["__metadata__"]["thalweg"], draw)
    elif kind == 3:
        one = header[draw.choice(names)]
        one["dtype"] = draw.choice(("BF16", "F16", "I16", "U8", "F64", "I64", "BOOL", "F8_E4M3", "C64", "X"))
    elif kind == 4:
        one = header[draw.choice(names)]
        size = math.prod(one["shape"])
        one["shape"] = draw.choice(([size], [1, size], [size, 1], [2**40, 2**20], [], [0, 2**62], [-1], [2.5]))
    elif kind == 5:
        one = draw.choice(names)
        header[draw.choice(("other", one + ".0", "optimizer.x.y", "optimizer.99.step", "model.x"))] = header.pop(one)
    elif body:
        words = {"F32": struct.pack("<f", math.nan) + struct.pack("<f", math.inf), "I64": struct.pack("<q", 2**40)}
        one = header[draw.choice(names)]
        word, start = words.get(one["dtype"], b"\xff" * 8), one["data_offsets"][0]
        body[start : start + len(word)] = word[: one["data_offsets"][1] - start]
    written = json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + bytes(body)


def changed_history(content, draw):
    """A history with another header, or rows that are no numbers."""
    head, _, rows = content.partition(b"\n")
    if draw.random() < 0.6:
        return changed_json(head.decode(), draw).encode() + b"\n" + rows
    width = draw.choice((0, 1, 7, 8, len(rows) - 3))
    return (
        head + b"\n" + draw.choice((rows[:width], rows + b"\xff" * 80, b"\xff" * len(rows), rows[8:], bytes(len(rows))))
    )


def damage(run, draw):
    """Damage one file of a run, or two."""
    for _ in range(draw.choice((1, 1, 1, 2))):
        name = draw.choice(NAMES)
        file = run / name
        if not file.is_file():
            continue
        content = file.read_bytes()
        try:
            if draw.random() < 0.2:
                content = mutated(content, draw.randrange(2**31))
            elif name.endswith(".toml"):
                content = changed_toml(content.decode(), draw).encode()
            elif name.endswith(".json"):
                content = changed_json(content.decode(), draw).encode("utf-8", "replace")
            elif name.endswith(".safetensors"):
                content = changed_tensors(content, draw)
            elif name.startswith("history"):
                content = changed_history(content, draw)
            else:
                content = mutated(content, draw.randrange(2**31))
        except ValueError:  # a second damage to the same file
            content = content[: len(content) // 2]
        if draw.random() < 0.03:
            file.unlink()
            file.mkdir()
            continue
        file.write_bytes(content)


def ways_in(path):
    """Every way to read a run, by name."""
    yield "summary", lambda: Run.open(path).summary()
    yield "temperature", lambda: Run.open(path).temperature
    yield "probabilities", lambda: Run.open(path).probabilities()
    yield "network", lambda: Run.open(path).load_network()
    yield "weights", lambda: Run.open(path).load_weights(1)
    yield "steps", lambda: Run.open(path).steps()
    yield "epochs", lambda: Run.open(path).epochs()
    yield "layers", lambda: Run.open(path).layers()
    yield "split", lambda: Run.open(path).read_split("valid")
    yield "photos", lambda: Run.open(path).open_photos()
    yield "resume", lambda: run_measures(reopen(path))
    yield "watch", lambda: str(diagnose_path(path))
    yield "report", lambda: write_report(path)


def sentence_of(way):
    """What an error of ours says; None if there is none. Any other error passes."""
    try:
        way()
    except ThalwegError as error:
        return str(error)
    return None


def ask(run):
    """Go every way in: whatever is raised is ours and has one sentence."""
    for name, way in ways_in(run):
        said = sentence_of(way)
        assert said is None or len(said.strip()) > 15, name
    RunFolder(run).read_all()
    rows = RunIndex(run.parent).listing()
    text = json_text(rows)
    assert not (run / "config.toml").is_file() or [row["run"] for row in rows] == [run.name]
    json.loads(text, parse_constant=pytest.fail)


@pytest.fixture(autouse=True)
def deep(tmp_path, monkeypatch):
    """A working directory from which damaged paths do not lead to the whole disk."""
    home = tmp_path / "a" / "b"
    home.mkdir(parents=True)
    monkeypatch.chdir(home)


@pytest.mark.parametrize("seeds", rounds(6, 300))
def test_a_damaged_run_works_or_says_what_is_wrong(whole, tmp_path, seeds):
    for seed in seeds:
        run = shutil.copytree(whole, tmp_path / f"{seed}" / "run")
        damage(run, random.Random(seed))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ask(run)
        shutil.rmtree(run.parent)


QUESTIONS = (
    *(("GET", f"rows?stream={stream}&since={since}") for stream in ("steps", "epochs") for since in (0, 5, 10**11)),
    *(("GET", path) for path in ("layers", "scores", "photo?row=3", "photo?row=99999&side=512", "trial")),
    *(("GET", f"embedding?at={name}") for name in ("best", "epoch-0001", "epoch-1", "last", "..")),
    *(("POST", f"classify/own?row={row}") for row in (0, 10**9)),
)


@pytest.mark.parametrize("seeds", rounds(2, 60))
def test_the_page_answers_about_a_damaged_run(whole, tmp_path, seeds):
    """Whatever is asked about it: JSON with finite numbers, a picture, or a sentence; the other run stays listed."""
    for seed in seeds:
        root = tmp_path / f"{seed}"
        run = shutil.copytree(whole, root / "run")
        shutil.copytree(whole, root / "other")
        damage(run, random.Random(seed))
        with TestClient(build_app(root), base_url=ORIGIN, headers={"origin": ORIGIN}) as client:
            for method, path in QUESTIONS:
                answer = client.request(method, f"/api/{path}{'&' if '?' in path else '?'}run=run")
                assert answer.status_code < 500, (seed, path)
                if answer.status_code >= 400:
                    assert len(answer.json()["error"]["message"]) > 15, (seed, path)
                elif answer.headers["content-type"] == "application/json":
                    json.loads(answer.text, parse_constant=pytest.fail)
            rows = json.loads(client.get("/api/runs").text, parse_constant=pytest.fail)["runs"]
            assert "other" in {row["run"] for row in rows}
        shutil.rmtree(root)
