import hashlib
import json
import resource
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from thalweg.data.download import get_set, list_modelscope
from thalweg.data.transfer import Patience, download
from thalweg.errors import DataError, StorageError, UnknownNameError, UsageError


QUICK = Patience(attempts=3, pause_s=0.001)
CONTENT = bytes(range(256)) * 4000  # 1 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """A server that serves one content, as badly as a test wants."""

    def __init__(self):
        self.content = CONTENT
        self.dies_after = []  # bytes after which each of the next answers breaks off
        self.statuses = []  # what each of the next answers is instead
        self.ranges = True
        self.etag = '"one"'
        self.lies_about_range = False
        self.without_length = False
        self.pages = {}
        self.requests = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                """Be silent."""

            def do_GET(self):
                server.answer(self)

        class Threads(ThreadingHTTPServer):
            daemon_threads = False  # so that closing waits for the last answer

            def handle_error(self, *_):
                """A client may hang up."""

        self._server = Threads(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, handler):
        self.requests.append((handler.path, dict(handler.headers)))
        if self.statuses:
            handler.send_error(self.statuses.pop(0))
            return
        if "/repo/tree" in handler.path:
            self.answer_list(handler)
            return
        content, status, first = self.content, 200, 0
        asked = handler.headers.get("Range")
        same = handler.headers.get("If-Range") in {None, self.etag}
        if asked and self.ranges and same:
            first, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
            if first >= len(content):
                handler.send_error(416)
                return
        handler.send_response(status)
        if not self.without_length:
            handler.send_header("Content-Length", str(len(content) - first))
        if self.etag:
            handler.send_header("ETag", self.etag)
        if status == 206:
            start = first + 5 if self.lies_about_range else first
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.end_headers()
        body = content[first:]
        if self.dies_after:
            body = body[: self.dies_after.pop(0)]
        handler.wfile.write(body)

    def answer_list(self, handler):
        query = parse_qs(urlsplit(handler.path).query, keep_blank_values=True)
        files = self.pages.get((query["Root"][0], int(query["PageNumber"][0])), [])
        body = json.dumps({"Code": 200, "Data": {"Files": files}}).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    @property
    def ranges_asked(self):
        return [headers.get("Range") for _, headers in self.requests]


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "food.zip"


def leftovers(target):
    return sorted(path.name for path in target.parent.iterdir() if path != target)


def test_a_file_comes_whole(server, target):
    seen = []
    download(f"{server.url}/food.zip", target, sha256=SHA256, progress=lambda *state: seen.append(state))
    assert target.read_bytes() == CONTENT
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert leftovers(target) == []


def test_a_connection_that_breaks_is_taken_up_again_where_it_broke(server, target):
    server.dies_after = [300_000, 400_000]
    download(f"{server.url}/food.zip", target, sha256=SHA256, patience=QUICK)
    assert target.read_bytes() == CONTENT
    assert server.ranges_asked == [None, "bytes=300000-", "bytes=700000-"]


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(server, target):
    server.dies_after = [300_000, 0, 0, 0, 0]
    with pytest.raises(DataError, match="300,000 bytes are kept"):
        download(f"{server.url}/food.zip", target, patience=QUICK)
    assert not target.exists()
    server.dies_after, server.requests = [], []
    download(f"{server.url}/food.zip", target, patience=QUICK)
    assert target.read_bytes() == CONTENT
    assert server.ranges_asked == ["bytes=300000-"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(server, target):
    server.dies_after = [300_000, 0, 0, 0]
    with pytest.raises(DataError):
        download(f"{server.url}/food.zip", target, patience=QUICK)
    server.content, server.etag, server.dies_after = CONTENT[::-1], '"two"', []
    download(f"{server.url}/food.zip", target, patience=QUICK)
    assert target.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_mark_of_the_version_nothing_is_pieced_together(server, target, etag):
    server.etag, server.dies_after = etag, [300_000]
    download(f"{server.url}/food.zip", target, sha256=SHA256, patience=QUICK)
    assert target.read_bytes() == CONTENT
    assert server.ranges_asked == [None, None]


def test_a_server_without_ranges_sends_it_all_again(server, target):
    server.ranges, server.dies_after = False, [300_000]
    download(f"{server.url}/food.zip", target, sha256=SHA256, patience=QUICK)
    assert target.read_bytes() == CONTENT
    assert server.ranges_asked == [None, "bytes=300000-"]


def test_a_server_that_sends_another_range_is_not_believed(server, target):
    server.lies_about_range, server.dies_after = True, [300_000]
    with pytest.raises(DataError):
        download(f"{server.url}/food.zip", target, patience=QUICK)
    assert not target.exists()


def test_a_part_longer_than_the_file_is_thrown_away(server, target):
    server.dies_after = [300_000, 0, 0, 0]
    with pytest.raises(DataError):
        download(f"{server.url}/food.zip", target, patience=QUICK)
    server.content, server.dies_after = CONTENT[:1000], []
    download(f"{server.url}/food.zip", target, patience=QUICK)
    assert target.read_bytes() == CONTENT[:1000]


def test_a_part_of_another_address_is_not_continued(server, target):
    server.dies_after = [300_000, 0, 0, 0]
    with pytest.raises(DataError):
        download(f"{server.url}/other.zip", target, patience=QUICK)
    server.dies_after, server.requests = [], []
    download(f"{server.url}/food.zip", target, patience=QUICK)
    assert server.ranges_asked == [None]


def test_a_file_without_a_length_comes_whole(server, target):
    server.without_length = True
    download(f"{server.url}/food.zip", target, sha256=SHA256)
    assert target.read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing_behind(server, target):
    with pytest.raises(DataError) as caught:
        download(f"{server.url}/food.zip", target, sha256="0" * 64)
    assert caught.value.key == "data.get_checksum"
    assert SHA256 in str(caught.value)
    assert not target.exists()
    assert leftovers(target) == []


def test_a_wrong_size_is_a_wrong_file(server, target):
    with pytest.raises(DataError) as caught:
        download(f"{server.url}/food.zip", target, size=17)
    assert caught.value.key == "data.get_checksum"


def test_what_is_there_and_right_is_not_fetched_again(server, target):
    target.write_bytes(CONTENT)
    download(f"{server.url}/food.zip", target, sha256=SHA256.upper(), size=len(CONTENT))
    assert server.requests == []
    target.write_bytes(b"something else")
    download(f"{server.url}/food.zip", target, sha256=SHA256)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_refusal_is_final(server, target, status):
    server.statuses = [status]
    with pytest.raises(DataError, match=str(status)):
        download(f"{server.url}/food.zip", target, patience=QUICK)
    assert len(server.requests) == 1
    assert not target.exists()


def test_an_error_that_may_pass_is_waited_out(server, target):
    server.statuses = [503, 500]
    download(f"{server.url}/food.zip", target, patience=QUICK)
    assert target.read_bytes() == CONTENT
    server.statuses = [503] * 3
    target.unlink()
    with pytest.raises(DataError, match="503"):
        download(f"{server.url}/food.zip", target, patience=QUICK)


def test_nobody_there(target):
    with pytest.raises(DataError) as caught:
        download("http://127.0.0.1:9/food.zip", target, patience=QUICK)
    assert caught.value.key == "data.get_broken"


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/a.zip", "food.zip"])
def test_only_the_web_is_fetched_from(url, target):
    with pytest.raises(UsageError):
        download(url, target)


def test_a_folder_that_cannot_be_written_is_reported(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError):
        download(f"{server.url}/food.zip", tmp_path / "file" / "food.zip", patience=QUICK)


def test_a_full_disk_is_not_taken_for_a_broken_connection(server, target):
    # a file that may not grow is as good as a disk that is full
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(StorageError, match="File too large"):
            download(f"{server.url}/food.zip", target, patience=QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert len(server.requests) == 1
    download(f"{server.url}/food.zip", target, patience=QUICK)  # there is space again
    assert target.read_bytes() == CONTENT
    assert server.ranges_asked[1] is not None  # and what had come is not fetched again


# The homework's set


def entry(path, content=CONTENT, *, kind="blob", sha256=True):
    entry = {"Path": path, "Name": path.rpartition("/")[2], "Type": kind, "Size": len(content) if kind == "blob" else 0}
    return entry | ({"Sha256": hashlib.sha256(content).hexdigest()} if sha256 and kind == "blob" else {})


def fetch(server, tmp_path, **options):
    return get_set("food11", out=tmp_path / "out", server=server.url, patience=QUICK, **options)


def test_the_archive_of_a_set_is_fetched_and_checked(server, tmp_path):
    server.pages = {("", 1): [entry("README.md"), entry("hw3 数据.zip")]}
    fetched = fetch(server, tmp_path)
    assert fetched.opens == tmp_path / "out" / "hw3 数据.zip"
    assert fetched.opens.read_bytes() == CONTENT
    assert fetched.to_json()["files"] == [str(fetched.opens)]
    path = server.requests[-1][0]
    assert path.startswith("/api/v1/datasets/Datawhale/LeeDL-HW3-CNN/repo?Revision=master&FilePath=hw3%20")


def test_a_checksum_that_the_server_lists_is_held_to(server, tmp_path):
    server.pages = {("", 1): [entry("hw3.zip", CONTENT[::-1])]}
    with pytest.raises(DataError) as caught:
        fetch(server, tmp_path)
    assert caught.value.key == "data.get_checksum"


@pytest.mark.slow
def test_a_set_of_loose_photos_is_fetched_folder_by_folder_and_page_by_page(server, tmp_path):
    server.content = CONTENT[:5000]
    photos = [entry(f"hw3_data/train/{n % 11}_{n}.jpg", server.content) for n in range(230)]
    server.pages = {
        ("", 1): [entry("hw3_data", kind="tree"), entry("dataset_infos.json")],
        ("hw3_data", 1): [entry("hw3_data/train", kind="tree")],
        ("hw3_data/train", 1): photos[:200],
        ("hw3_data/train", 2): photos[200:],
    }
    seen = []
    fetched = fetch(server, tmp_path, progress=lambda *state: seen.append(state))
    assert fetched.opens == tmp_path / "out"
    assert len(fetched.files) == 230
    assert seen[-1] == (230 * 5000, 230 * 5000)


def test_a_server_that_knows_no_pages_is_not_asked_for_ever(server):
    photos = [entry(f"{n}_1.jpg") for n in range(200)]
    server.pages = {("", page): photos for page in range(1, 9)}
    assert len(list(list_modelscope("a/b", server=server.url))) == 200
    assert len(server.requests) == 2


def test_names_that_point_out_of_the_folder_are_refused(server, tmp_path):
    server.pages = {("", 1): [entry("../../evil.zip")]}
    with pytest.raises(DataError) as caught:
        fetch(server, tmp_path)
    assert caught.value.key == "data.get_bad_name"
    assert not list(tmp_path.rglob("evil*"))


def test_a_given_address_is_used_instead(server, tmp_path):
    fetched = fetch(server, tmp_path, url=f"{server.url}/mirror/food-11.zip?download=1", sha256=SHA256)
    assert fetched.opens == tmp_path / "out" / "food-11.zip"


@pytest.mark.parametrize("status", [404, 500])
def test_a_list_that_cannot_be_had_is_reported(server, tmp_path, status):
    server.statuses = [status]
    with pytest.raises(DataError) as caught:
        fetch(server, tmp_path)
    assert caught.value.key == "data.get_no_list"
    assert "--url" in str(caught.value)


def test_a_set_without_photos_is_reported(server, tmp_path):
    server.pages = {("", 1): [entry("README.md")]}
    with pytest.raises(DataError) as caught:
        fetch(server, tmp_path)
    assert caught.value.key == "data.get_nothing_there"


def test_an_unknown_set(tmp_path):
    with pytest.raises(UnknownNameError, match="food11"):
        get_set("food12", out=tmp_path)
