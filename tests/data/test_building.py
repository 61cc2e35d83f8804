"""A cache that several processes build is that of one, whatever each of them does to its share."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import PIL
import pytest

from thalweg.data import build_cache, open_images
from thalweg.errors import DataError


class Crew:
    """Builders in threads; a real one has a store of torch (`tests/distributed`)."""

    def __init__(self, count):
        self.told, self.count = {}, count

    def member(self, rank, spoil=lambda _name: None):
        return Member(self, rank, spoil)


class Member:
    workers = 1

    def __init__(self, crew, rank, spoil):
        self.crew, self.rank, self.processes, self.spoil = crew, rank, crew.count, spoil

    def agree(self, text):
        self.tell("name", text)
        return self.hear("name", 0) == text

    def tell(self, name, text):
        self.spoil(name)
        self.crew.told[name, self.rank] = text

    def hear(self, name, rank):
        deadline = time.monotonic() + 20
        while (name, rank) not in self.crew.told and time.monotonic() < deadline:
            time.sleep(0.001)
        return self.crew.told[name, rank]


def together(images, count, folder, spoil=lambda _name: None, **options):
    """Build in as many threads; what the last of them does is spoiled."""
    crew = Crew(count)
    members = [crew.member(rank) for rank in range(count - 1)] + [crew.member(count - 1, spoil)]
    with ThreadPoolExecutor(count) as pool:
        return [
            future.result()
            for future in [
                pool.submit(build_cache, images, folder=folder, size=8, builders=one, **options) for one in members
            ]
        ]


def files_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def images(plant, homework):
    """Photos, of which the first, one in the middle and the last cannot be used."""
    names = sorted(homework)
    bad = {"training/0_00.jpg": b"", names[9]: b"no picture", "validation/10_9.jpg": b"\xff\xd8\xff\xe0"}
    return open_images(plant({**homework, **bad}))


@pytest.fixture(params=[1, 5, 24], autouse=True)
def segment(request, monkeypatch):
    """Photos in a file: many files, some, and one that a single process writes."""
    monkeypatch.setattr("thalweg.data.segments.SEGMENT_BYTES", request.param * 8 * 8 * 3)
    return request.param


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_the_files_are_those_of_one_process(images, tmp_path, count):
    """Of 24 photos, 40 processes have one or none."""
    alone = build_cache(images, size=8, folder=tmp_path / "alone")
    caches = together(images, count, tmp_path / "many")
    assert files_of(tmp_path / "many" / "pixels") == files_of(tmp_path / "alone" / "pixels")
    assert len(list((tmp_path / "many" / "pixels").iterdir())) == 1
    for cache in caches:
        assert cache.fingerprint == alone.fingerprint
        assert [image.path for image in cache.bad] == [image.path for image in alone.bad]
        assert np.array_equal(cache.images_NHWC, alone.images_NHWC)


@pytest.mark.parametrize("there", [False, True])
def test_photos_over_the_limit_are_jpegs_for_all(images, tmp_path, there):
    """The disk of each may have another room, and other caches, so only the limit counts."""
    alone = build_cache(images, size=8, folder=tmp_path / "alone", limit=100)
    if there:
        build_cache(images, size=8, folder=tmp_path / "many")
    caches = together(images, 3, tmp_path / "many", limit=100)
    home = caches[0].path.parent.name
    assert files_of(tmp_path / "many" / "pixels" / home) == files_of(tmp_path / "alone" / "pixels" / home)
    assert {cache.rendering.kept for cache in (alone, *caches)} == {"jpeg"}
    for cache in caches:
        assert np.array_equal(cache.images_NHWC, alone.images_NHWC)


def test_each_decodes_its_share_and_nobody_decodes_again(images, tmp_path, monkeypatch, segment):
    calls = []
    together(images, 3, tmp_path, progress=lambda done, total: calls.append((done, total)))
    totals = [total for done, total in calls if done == total]
    assert sum(totals) == len(images.photos)
    assert max(totals) - min(totals) < 2 * segment  # the last segment may be short
    monkeypatch.setattr("thalweg.data.building.decode", None)
    assert len({cache.fingerprint for cache in together(images, 3, tmp_path)}) == 1


@pytest.mark.parametrize("damage", ["cut", "other", "gone"])
def test_a_share_that_is_damaged_is_decoded_by_the_first(images, tmp_path, damage):
    build_cache(images, size=8, folder=tmp_path / "alone")

    def spoil(name):
        if name != "done":
            return
        (part,) = (tmp_path / "many" / "pixels").iterdir()
        written = [path for path in part.glob("pixels-*") if path.stat().st_size]
        if not written:  # the first has the only one
            return
        pixels = max(written)
        content = pixels.read_bytes()
        if damage == "gone":
            pixels.unlink()
        else:
            pixels.write_bytes(content[:-1] if damage == "cut" else bytes(len(content)))

    together(images, 3, tmp_path / "many", spoil)
    assert files_of(tmp_path / "many" / "pixels") == files_of(tmp_path / "alone" / "pixels")


def test_other_photos_are_refused_before_any_is_decoded(images, plant, homework, picture, tmp_path):
    others = open_images(plant({**homework, "training/0_0.jpg": picture(99)}, "others"))
    crew = Crew(2)
    first = threading.Thread(target=lambda: crew.member(0).agree("another name"))
    first.start()
    crew.told["digests", 0] = ""
    with pytest.raises(DataError, match="22 photos, or their contents, differ"):
        build_cache(others, size=8, folder=tmp_path, builders=crew.member(1))
    first.join()
    assert not (tmp_path / "pixels").exists()


def test_from_how_many_photos_the_filter_is_compiled(images, tmp_path, monkeypatch):
    compiled = threading.Event()
    monkeypatch.setattr("thalweg.data.building._compile", compiled.set)
    monkeypatch.setattr("thalweg.data.building.WORTH", 25)
    build_cache(images, size=8, folder=tmp_path / "few")
    assert not compiled.is_set()
    monkeypatch.setattr("thalweg.data.building.WORTH", 24)
    build_cache(images, size=8, folder=tmp_path / "many")
    assert compiled.is_set()


@pytest.mark.parametrize("interrupted", [False, True])
def test_nothing_is_compiled_any_more_once_photos_are_decoded(images, tmp_path, monkeypatch, interrupted):
    """Whoever forks then would have a compiler that stays locked."""
    monkeypatch.setattr("thalweg.data.building.WORTH", 1)
    monkeypatch.setattr("thalweg.data.building._compile", lambda: time.sleep(0.2))

    def progress(done, _total):
        if interrupted and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) if interrupted else nullcontext():
        build_cache(images, size=8, folder=tmp_path, progress=progress)
    assert "thalweg-compile" not in {thread.name for thread in threading.enumerate()}


def test_photos_are_decoded_where_nothing_compiles(images, tmp_path, monkeypatch):
    raised = []
    monkeypatch.setattr("threading.excepthook", raised.append)
    monkeypatch.setattr("thalweg.data.building.WORTH", 1)
    monkeypatch.setattr("thalweg.data.building.load_filter", lambda: 1 / 0)
    assert len(build_cache(images, size=8, folder=tmp_path).photos) == 21
    assert not raised


def test_a_cache_says_which_pillow_made_it(images, tmp_path):
    build_cache(images, size=8, folder=tmp_path)
    (manifest,) = tmp_path.rglob("manifest.json")
    assert json.loads(manifest.read_bytes())["pillow"] == PIL.__version__
