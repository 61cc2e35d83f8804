"""Pictures that tests make, and a cache of their own for each test."""

import threading
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from io import BytesIO

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("THALWEG_CACHE", str(folder))
    return folder


def smooth(seed, width=48, height=48):
    """A picture without hard edges, so that every way to reduce it gives about the same."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, kind="JPEG", **options):
    file = BytesIO()
    image.save(file, kind, **({"quality": 95} if kind == "JPEG" else {}) | options)
    return file.getvalue()


@pytest.fixture
def picture():
    """Bytes of a picture: `picture(seed)`, `picture(seed, "PNG", width=…)`."""

    def make(seed=0, kind="JPEG", *, width=48, height=48, **options):
        return encoded(smooth(seed, width, height), kind, **options)

    return make


@pytest.fixture
def plant(tmp_path):
    """Write files: `plant({"training/0_1.jpg": content})` gives the folder."""

    def write(files, folder="photos"):
        root = tmp_path / folder
        root.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return root

    return write


@pytest.fixture
def homework(picture):
    """The files of a set in the homework's layout: three classes, two photos each, and four unlabeled ones."""
    names = [f"training/{label}_{n}.jpg" for label in (0, 2, 10) for n in range(4)]
    names += [f"validation/{label}_{n}.jpg" for label in (0, 2, 10) for n in range(2)]
    names += [f"testing/{n:04}.jpg" for n in range(1, 5)]
    return {name: picture(seed) for seed, name in enumerate(names)}


@pytest.fixture
def served():
    """Start a server of a handler on this machine; the context gives its address."""

    @contextmanager
    def start(handler):
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()
                thread.join()

    return start
