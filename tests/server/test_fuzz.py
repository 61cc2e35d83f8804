"""Whatever a visitor sends, the server answers with a sentence, and goes on."""

import json
import random

import pytest
from starlette.testclient import TestClient

from thalweg.diagnosis import judge
from thalweg.playground import Settings, asking
from thalweg.server import build_app
from thalweg.server.app import ROUTES
from thalweg.server.diagnoses import Diagnoses
from thalweg.server.processes import Trainings
from thalweg.server.routes import trainings


ORIGIN = "http://127.0.0.1"
NAMES = (
    *(
        "surface",
        "optimizers",
        "optimizer",
        "steps",
        "start",
        "noise",
        "seed",
        "lr",
        "schedule",
        "window",
        "parameters",
    ),
    *("name", "photos", "recipe", "options", "run", "fix", "follow", "x", ""),
    *("settings", "case", "guess", "from", "count", "stride", "points", "drawn", "widths", "loss", "of"),
)
TEXTS = (
    *("", "valley", "bowl", "x**2", "adam", "sgd", "constant", "warmup(5%) > cosine", "first", "deep/second"),
    *("../..", "builtin", "quick", "best", "epoch-1", "steps", "epochs", "a\0b", "損失", "'", '"><script>', "%00"),
    *("-1", "1e999", "9" * 400, "x" * 900, "((((", "{}", "\u202e", "NaN"),
)
FIELDS = ("run", "at", "row", "since", "stream", "name", "spec", "steps", "lang")
NUMBERS = (0, 1, -1, 2, 100, 2**31, 2**63, 10**40, 0.5, -0.0, 1e-320, 1e308, 1.5)
RAW = (b"", b"[", b"{", b"null", b"NaN", b"1e999", b'{"a": 1e999}', b'{"surface": "\\ud800"}', b"\xff\xfe", b"[" * 3000,
       b'{"a": ' * 2000, b'{"steps": ' + b"9" * 5000 + b"}")  # fmt: skip


def anything(draw, depth=0):
    kind = draw.randrange(8 if depth < 3 else 5)
    if kind < 2:
        return draw.choice(TEXTS)
    if kind < 4:
        return draw.choice(NUMBERS)
    if kind == 4:
        return draw.choice((None, True, False))
    if kind == 5:
        return [anything(draw, depth + 1) for _ in range(draw.randrange(4))]
    return {draw.choice(NAMES): anything(draw, depth + 1) for _ in range(draw.randrange(6))}


def form(draw):
    """Often nearly valid, so that it is read far."""
    body = {"surface": draw.choice(("valley", "bowl")), "optimizers": [{"optimizer": "sgd", "lr": 0.1}], "steps": 20}
    body |= {draw.choice(NAMES): anything(draw) for _ in range(draw.randrange(1, 5))}
    return draw.choice(RAW) if draw.random() < 0.1 else json.dumps(body).encode()


@pytest.fixture
def harmless(monkeypatch):
    """No process is started, whatever a visitor sends."""

    async def nothing(self, name, arguments):
        raise AssertionError(f"{name}: a training would have been started by {arguments}")

    monkeypatch.setattr(Trainings, "start", nothing)
    for question in ("verdict", "start_trial"):
        monkeypatch.setattr(Diagnoses, question, lambda *_, **__: {"state": "none"})
    for question in ("diagnose", "diagnose_case"):
        monkeypatch.setattr(asking, question, lambda *_, **__: judge({}))
    monkeypatch.setattr(trainings, "sources", lambda _service: ["nothing that is drawn"])


@pytest.fixture
def fuzzed(folder, harmless):
    (folder / "first" / "checkpoints").mkdir()
    (folder / "first" / "checkpoints" / "best.safetensors").write_bytes(b"no weights at all")
    (folder / "first" / "evaluation.safetensors").write_bytes(bytes(100))
    with TestClient(build_app(folder), base_url=ORIGIN, headers={"origin": ORIGIN}) as client:
        yield client


def ask_routes(client, seed, count):
    draw = random.Random(seed)
    routes = [(entry.method, entry.path) for entry in ROUTES if entry.path != "trainings/resume"]
    seen = set()
    for _ in range(count):
        method, path = draw.choice(routes)
        query = {draw.choice(FIELDS): str(draw.choice(TEXTS + NUMBERS)) for _ in range(draw.randrange(4))}
        if path in {"lesson", "lesson/picture"}:
            query["name"] = draw.choice(TEXTS)  # a real one would train networks
        body = form(draw) if method == "POST" else None
        answer = client.request(method, f"/api/{path}", params=query, content=body)
        assert answer.status_code < 500, (method, path, query, body)
        if answer.status_code >= 400 and "error" in answer.text:
            assert answer.json()["error"]["message"]
        seen.add((path, answer.status_code))
    assert len(seen) > 20
    assert client.get("/api/runs").status_code == 200


def send_messages(client, seed, count):
    draw = random.Random(seed)
    left = count
    while left:
        with client.websocket_connect("ws://127.0.0.1/api/live", headers={"origin": ORIGIN}) as socket:
            for _ in range(min(left, 100)):
                left -= 1
                if draw.random() < 0.3:
                    socket.send_bytes(draw.choice(RAW)[:4000])
                else:
                    socket.send_text(json.dumps({"follow": anything(draw)} if draw.random() < 0.5 else anything(draw)))
            socket.send_json({"follow": {"first": {"steps": 3}}})
            while not (answer := socket.receive()).get("bytes"):
                assert answer["type"] == "websocket.send"
    with client.websocket_connect("ws://127.0.0.1/api/live", headers={"origin": ORIGIN}) as socket:
        assert "runs" in socket.receive_json()


def test_networks_answer_any_settings(fuzzed):
    draw = random.Random(0)
    names = [*Settings().values(), "run", "of"]
    answers = set()
    for _ in range(60):
        settings = {
            "count": 20,
            "widths": [2],
            **{draw.choice(names): anything(draw) for _ in range(draw.randrange(3))},
        }
        answer = fuzzed.post("/api/network/frames", json={"settings": settings, "count": draw.choice((1, 1, 0, 2))})
        assert answer.status_code in {200, 400, 404}, settings
        answers.add(answer.status_code)
    assert answers >= {200, 400}


@pytest.mark.slow
def test_routes_answer_anything(fuzzed):
    ask_routes(fuzzed, 0, 400)


def test_the_socket_bears_anything(fuzzed):
    send_messages(fuzzed, 0, 400)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_ten_thousand_questions_and_messages(fuzzed, seed):
    ask_routes(fuzzed, seed, 1_000)
    send_messages(fuzzed, seed, 1_000)
