"""Sets at an address: copied into the cache, continued after a cut, checked, and used without a network."""

import base64
import hashlib
import shutil
import sys
import uuid
from functools import partial
from http.server import SimpleHTTPRequestHandler
from types import SimpleNamespace

import pytest

from thalweg.cli.data import bring
from thalweg.data import open_images, open_photos
from thalweg.data.remote import local_copy
from thalweg.data.transfer import Patience
from thalweg.errors import DataError, MissingExtraError, StorageError


fsspec = pytest.importorskip("fsspec")
QUICK = Patience(attempts=3, pause_s=0.001)


@pytest.fixture
def memory():
    """A storage in memory: `memory({"train/0_1.jpg": content})` gives the address."""
    system = fsspec.filesystem("memory")
    name = uuid.uuid4().hex

    def write(files, folder="food"):
        for path, content in files.items():
            system.pipe(f"/{name}/{folder}/{path}", content)
        return f"memory://{name}/{folder}"

    yield write
    for path in [path for path in system.store if path.startswith(f"/{name}/")]:
        del system.store[path]


@pytest.fixture
def cuts(monkeypatch):
    """Break the next reads of the storage off after some bytes: `cuts([700, 900])`; it returns where reads began."""
    from fsspec.implementations.memory import MemoryFileSystem

    kept, began = MemoryFileSystem.open, []

    def plan(after):
        def opened(self, path, mode="rb", **options):
            file = kept(self, path, mode, **options)
            if "r" in mode and after:
                file = Breaking(file, after.pop(0), began)
            return file

        monkeypatch.setattr(MemoryFileSystem, "open", opened)
        return began

    return plan


class Breaking:
    def __init__(self, file, left, began):
        self.file, self.left, self.began = file, left, began

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """The next one opens the file anew."""

    def seek(self, place):
        self.began.append(place)
        return self.file.seek(place)

    def read(self, size):
        if not self.left:
            raise RuntimeError("the storage went away")
        block = self.file.read(min(size, self.left))
        self.left -= len(block)
        return block


@pytest.fixture
def downloads(monkeypatch):
    """The addresses of the files that were copied."""
    import thalweg.data.remote as module

    kept, seen = module.download, []
    monkeypatch.setattr(module, "download", lambda url, path, **how: (seen.append(url), kept(url, path, **how))[1])
    return seen


@pytest.fixture
def serving(served):
    """Start a server of a folder; the context gives its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Be silent."""

    return lambda root: served(partial(Quiet, directory=root))


class TestACopy:
    def test_it_opens_as_the_folder_does_under_its_address(self, memory, homework):
        url = memory(homework)
        images = open_images(url)
        assert (images.name, images.address, images.url) == (url, url, url)
        assert {photo.path: images.read(photo) for photo in images.photos} == homework
        assert len(open_photos(url).photos) == 4

    def test_a_second_opening_copies_nothing(self, memory, homework, downloads):
        url = memory(homework)
        open_images(url)
        assert len(downloads) == len(homework)
        open_images(url)
        assert len(downloads) == len(homework)

    def test_a_command_lists_the_storage_once(self, memory, homework, monkeypatch):
        from fsspec.implementations.memory import MemoryFileSystem

        find, listed = MemoryFileSystem.find, []
        monkeypatch.setattr(
            MemoryFileSystem, "find", lambda self, *path, **how: listed.append(path) or find(self, *path, **how)
        )
        url = memory(homework)
        for times in (1, 2):
            bring(url)
            assert open_images(url).url == url
            assert len(listed) == times
        open_images(url)  # what was brought is opened once
        assert len(listed) == 3

    def test_what_changed_there_or_here_is_copied_again(self, memory, homework, downloads, picture):
        url = memory(homework)
        copy = local_copy(url).path
        del downloads[:]
        memory({"training/0_0.jpg": picture(99)})
        (copy / "training/0_1.jpg").write_bytes(b"damaged")
        (copy / "training/0_2.jpg").unlink()
        images = open_images(url)
        assert sorted(one.rpartition("/")[2] for one in downloads) == ["0_0.jpg", "0_1.jpg", "0_2.jpg"]
        assert images.source.read("training/0_0.jpg") == picture(99)
        assert images.source.read("training/0_1.jpg") == homework["training/0_1.jpg"]

    def test_what_is_gone_there_goes_here(self, memory, homework):
        url = memory(homework)
        copy = local_copy(url).path
        fsspec.filesystem("memory").rm(url.removeprefix("memory:/") + "/training/0_0.jpg")
        assert local_copy(url).path == copy
        assert not (copy / "training/0_0.jpg").exists()

    def test_a_whole_copy_is_used_when_the_storage_cannot_be_reached(self, memory, homework, monkeypatch):
        url = memory(homework)
        open_images(url)
        from fsspec.implementations.memory import MemoryFileSystem

        def away(*_, **__):
            raise ConnectionError("no route")

        monkeypatch.setattr(MemoryFileSystem, "find", away)
        images = open_images(url)
        assert "no route" in next(str(note) for note in images.notes if note.key == "data.note_remote_offline")
        (images.root / "training/0_0.jpg").unlink()
        with pytest.raises(DataError, match="no route"):
            open_images(url)

    def test_shards_are_worth_copying_and_what_lies_beside_them_is_not(self, memory, downloads):
        url = memory({"train-0.tar": b"\0" * 1024, "README.md": b"#", "classes.txt": b"a\nb\n", "a.jpg": b"x"})
        local_copy(url)
        assert sorted(one.rpartition("/")[2] for one in downloads) == ["classes.txt", "train-0.tar"]

    def test_a_pattern_copies_its_files(self, memory):
        url = memory({f"train-{n}.tar": bytes([n]) * 512 for n in range(4)})
        copy = local_copy(url + "/train-{1..2}.tar").path
        assert sorted(file.name for file in copy.iterdir()) == ["train-1.tar", "train-2.tar"]

    def test_shards_on_the_web_need_no_package_and_later_no_network(self, monkeypatch, plant, downloads, serving):
        monkeypatch.setitem(sys.modules, "fsspec.core", None)
        root = plant({f"train-{n}.tar": bytes([n]) * 512 for n in range(3)}, "served")
        with serving(root) as url:
            copy = local_copy(url + "/train-{0..2}.tar", patience=QUICK).path
            assert [(copy / f"train-{n}.tar").read_bytes() for n in range(3)] == [bytes([n]) * 512 for n in range(3)]
            with pytest.raises(DataError, match="404"):
                local_copy(url + "/train-{2..3}.tar", patience=QUICK)
        assert len(downloads) == 5
        assert local_copy(url + "/train-{0..2}.tar", patience=QUICK).path == copy
        assert len(downloads) == 5

    def test_a_url_on_the_web_may_have_spaces_chinese_and_a_password(self, plant, monkeypatch, serving):
        root, seen = plant({"照片 集/训练-0.tar": b"\1" * 512}, "served"), []
        kept = SimpleHTTPRequestHandler.do_GET
        monkeypatch.setattr(
            SimpleHTTPRequestHandler, "do_GET", lambda self: (seen.append(self.headers["Authorization"]), kept(self))
        )
        with serving(root) as url:
            copy = local_copy(f"{url}/照片 集/训练-0.tar", patience=QUICK).path
            assert (copy.name, copy.read_bytes()) == ("训练-0.tar", b"\1" * 512)
            known = url.replace("://", "://ann:%73ecret@")
            local_copy(f"{known}/照片 集/训练-0.tar", patience=QUICK)
            with pytest.raises(DataError, match=r"ann:\*\*\*@.*404") as caught:
                local_copy(f"{known}/nothing.tar", patience=QUICK)
        assert "ecret" not in str(caught.value)
        assert seen[:2] == [None, "Basic " + base64.b64encode(b"ann:secret").decode()]


class TestCuts:
    def test_a_copy_goes_on_where_it_was_cut(self, memory, cuts):
        content = bytes(range(256)) * 8
        url = memory({"set.tar": content}) + "/set.tar"
        began = cuts([700, 900])
        copy = local_copy(url, patience=QUICK).path
        assert began == [0, 700]
        assert copy.read_bytes() == content

    def test_a_later_command_goes_on_too(self, memory, cuts):
        content = bytes(range(256)) * 8
        url = memory({"set.tar": content}) + "/set.tar"
        began = cuts([700, 0, 0, 0, 0])
        with pytest.raises(DataError, match=r"went away.*700 bytes are kept"):
            local_copy(url, patience=QUICK)
        assert local_copy(url, patience=QUICK).path.read_bytes() == content
        assert began[:2] == [0, 700]

    def test_files_that_were_whole_before_the_cut_are_kept(self, memory, cuts, downloads):
        url = memory({f"train-{n}.tar": bytes([n]) * 2000 for n in range(3)})
        cuts([3000, 3000, 10, 0, 0, 0])
        with pytest.raises(DataError):
            local_copy(url, patience=QUICK)
        del downloads[:]
        local_copy(url, patience=QUICK)
        assert len(downloads) < 3

    def test_a_file_that_changed_meanwhile_is_copied_anew(self, memory, cuts):
        url = memory({"set.tar": b"a" * 2000}) + "/set.tar"
        began = cuts([700, 0, 0])
        with pytest.raises(DataError):
            local_copy(url, patience=QUICK)
        memory({"set.tar": b"b" * 2000})
        assert local_copy(url, patience=QUICK).path.read_bytes() == b"b" * 2000
        assert began == [0, 700, 700]

    def test_a_wrong_size_is_refused_and_nothing_is_opened(self, memory, monkeypatch):
        from fsspec.implementations.memory import MemoryFileSystem

        url = memory({"set.tar": b"a" * 2000}) + "/set.tar"
        kept = MemoryFileSystem.find

        def find(self, *args, **options):
            return {name: {**facts, "size": 2500} for name, facts in kept(self, *args, **options).items()}

        monkeypatch.setattr(MemoryFileSystem, "find", find)
        monkeypatch.setattr(MemoryFileSystem, "info", lambda _, path: {"name": path, "size": 2500})
        with pytest.raises(DataError, match="2,000 of 2,500 bytes"):
            local_copy(url, patience=QUICK)

    def test_a_wrong_checksum_is_refused(self, memory, monkeypatch):
        from fsspec.implementations.memory import MemoryFileSystem

        url = memory({"set.tar": b"a" * 2000}) + "/set.tar"
        stated = hashlib.sha256(b"b" * 2000).hexdigest()

        def find(_self, path, **_):
            return {path: {"size": 2000, "lfs": {"sha256": stated}}}

        monkeypatch.setattr(MemoryFileSystem, "find", find)
        with pytest.raises(DataError, match="wrong file") as caught:
            local_copy(url, patience=QUICK)
        assert stated in str(caught.value)


class TestWhatIsRefused:
    def test_nothing_there(self, memory):
        with pytest.raises(DataError) as caught:
            open_images(memory({}) + "/nothing")
        assert caught.value.key == "data.remote_gone"

    def test_nothing_worth_copying(self, memory):
        with pytest.raises(DataError) as caught:
            open_images(memory({"README.md": b"#"}))
        assert caught.value.key == "data.remote_nothing"

    def test_an_unknown_kind_of_address(self):
        with pytest.raises(DataError) as caught:
            open_images("nowhere://photos")
        assert caught.value.key == "data.remote_unknown"

    @pytest.mark.parametrize(
        "url", ["http:///a.tar", "http://[::1/a.tar", "https://host:port/a.tar", "http://host/a/.."]
    )
    def test_what_is_no_whole_url(self, url):
        with pytest.raises(DataError) as caught:
            open_images(url)
        assert caught.value.key == "data.get_bad_url"

    def test_a_storage_that_cannot_be_reached_at_all(self, monkeypatch):
        import fsspec.core

        def away(_url):
            raise ConnectionRefusedError("refused")

        monkeypatch.setattr(fsspec.core, "url_to_fs", away)
        with pytest.raises(DataError, match=r"ann:\*\*\*@host/photos.*refused") as caught:
            open_images("ftp://ann:secret@host/photos")
        assert caught.value.key == "data.remote_unreachable"
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        ("status", "key"), [(401, "data.remote_denied"), (403, "data.remote_denied"), (404, "data.remote_gone")]
    )
    def test_an_answer_that_will_not_change_is_told_at_once(self, memory, homework, monkeypatch, status, key):
        from fsspec.implementations.memory import MemoryFileSystem

        class RefusedError(OSError):  # as huggingface_hub's are
            response = SimpleNamespace(status_code=status)

        url, asked = memory(homework), []

        def refuse(*_, **__):
            asked.append(1)
            raise RefusedError("Client Error.\n\nAccess is restricted.")

        monkeypatch.setattr(MemoryFileSystem, "open", refuse)
        with pytest.raises(DataError) as caught:
            open_images(url)
        assert caught.value.key == key
        assert len(asked) <= len(homework)  # once for each file
        assert "\n" not in str(caught.value)
        assert ("Client Error. Access is restricted." in str(caught.value)) == (status != 404)

    def test_a_name_that_points_outside(self, memory, monkeypatch):
        from fsspec.implementations.memory import MemoryFileSystem

        url = memory({"a.jpg": b"x"})
        root = url.removeprefix("memory:/")
        monkeypatch.setattr(MemoryFileSystem, "find", lambda *_, **__: {f"{root}/../../a.jpg": {"size": 1}})
        with pytest.raises(DataError) as caught:
            open_images(url)
        assert caught.value.key == "data.get_bad_name"

    def test_a_disk_that_is_too_small(self, memory, homework, monkeypatch):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(2 << 30, 2 << 30, 1 << 20))
        with pytest.raises(StorageError) as caught:
            open_images(memory(homework))
        assert caught.value.key == "data.remote_fills_disk"

    def test_no_fsspec(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "fsspec.core", None)
        with pytest.raises(MissingExtraError, match=r"thalweg\[remote\]"):
            open_images("s3://bucket/photos")

    def test_no_package_for_the_storage(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "s3fs", None)
        with pytest.raises(DataError, match="s3fs") as caught:
            open_images("s3://bucket/photos")
        assert caught.value.key == "data.remote_package"
