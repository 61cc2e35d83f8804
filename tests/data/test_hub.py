"""`hf://` through fsspec, against a server on this machine that answers as the hub does."""

import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

import pytest

from thalweg.data import open_images
from thalweg.data.remote import local_copy
from thalweg.errors import DataError


config = pytest.importorskip("fsspec.config")
pytest.importorskip("huggingface_hub")
REPOSITORY = "someone/food"


class Hub(BaseHTTPRequestHandler):
    """One data set; `refused` is the status for its files."""

    protocol_version = "HTTP/1.1"
    files: dict[str, bytes]
    asked: list[str]
    refused: int
    damage: bytes

    def log_message(self, *_):
        """Be silent."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if tree := re.fullmatch(rf"/api/datasets/{REPOSITORY}/tree/main(?:/(.+))?", path):
            below = f"{tree[1]}/" if tree[1] else ""
            entries = [self.entry(name) for name in self.files if name.startswith(below)]
            return self.answer(json.dumps(entries).encode()) if entries else self.fail(404, "EntryNotFound")
        if path in {f"/api/datasets/{REPOSITORY}", f"/api/datasets/{REPOSITORY}/revision/main"}:
            return self.answer(json.dumps({"id": REPOSITORY, "sha": "a" * 40, "siblings": []}).encode())
        if not (named := re.fullmatch(rf"/datasets/{REPOSITORY}/resolve/main/(.+)", path)):
            return self.fail(404, "RepoNotFound")
        self.asked.append(named[1])
        if self.refused:
            return self.fail(self.refused, "GatedRepo")
        first, last = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups()
        content = self.files[named[1]]
        whole = content[: len(content) - len(self.damage)] + self.damage
        part = whole[int(first) : int(last) + 1]
        return self.answer(part, 206, {"Content-Range": f"bytes {first}-{last}/{len(whole)}"})

    def entry(self, name):
        content = self.files[name]
        lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        blob = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        return {"type": "file", "oid": blob, "size": len(content), "path": name, "lfs": lfs}

    def answer(self, content, status=200, headers=None):
        self.send_response(status)
        for name, value in ({"Content-Length": len(content)} | (headers or {})).items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def fail(self, status, code):
        self.answer(b'{"error": "no"}', status, {"X-Error-Code": code, "X-Error-Message": "Access is restricted."})


@pytest.fixture
def hub(homework, monkeypatch, served):
    kind = type("Set", (Hub,), {"files": dict(homework), "asked": [], "refused": 0, "damage": b""})
    with served(kind) as address:
        options = {"endpoint": address, "token": False, "skip_instance_cache": True}
        monkeypatch.setitem(config.conf, "hf", options)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield kind


URL = f"hf://datasets/{REPOSITORY}"


def test_a_set_opens_under_its_address(hub, homework):
    images = open_images(URL)
    assert {photo.path: images.read(photo) for photo in images.photos} == homework
    assert sorted(hub.asked) == sorted(homework)


def test_only_what_has_changed_is_copied_again(hub, homework):
    local_copy(URL)
    hub.asked.clear()
    local_copy(URL)
    assert hub.asked == []
    name, other, *_ = sorted(homework)
    hub.files[name] = hub.files[other]
    local_copy(URL)
    assert hub.asked == [name]


def test_damage_on_the_way_is_noticed_by_the_checksum_of_the_hub(hub):
    hub.damage = b"damaged"
    with pytest.raises(DataError) as caught:
        local_copy(URL)
    assert caught.value.key == "data.get_checksum"


def test_a_set_that_asks_for_consent_is_told_so(hub, homework):
    hub.refused = 403
    with pytest.raises(DataError, match="Access is restricted") as caught:
        local_copy(URL)
    assert caught.value.key == "data.remote_denied"
    assert len(hub.asked) <= len(homework)


@pytest.mark.usefixtures("hub")
def test_another_name_has_nothing():
    with pytest.raises(DataError) as caught:
        local_copy("hf://datasets/someone/else")
    assert caught.value.key == "data.remote_gone"
