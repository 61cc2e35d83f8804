"""Who is answered: nobody by a foreign name, from a foreign page, without the token, or with too much."""

import io
import struct
import zlib

import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from thalweg.server import build_app
from thalweg.server.request import LARGEST_PHOTO, LONGEST_FORM


TOKEN = "let-me-in"  # noqa: S105 - of this test


@pytest.fixture
def guarded(folder):
    with TestClient(build_app(folder, token=TOKEN), base_url="http://192.168.0.7:8642") as found:
        yield found


class TestHost:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8642", "localhost:9", "[::1]:8642"])
    def test_this_machine_is_answered(self, client, host):
        assert client.get("/", headers={"host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "192.168.0.7", "", "a@b", "[::"]
    )
    def test_any_other_name_is_refused(self, client, host):
        answer = client.get("/api/runs", headers={"host": host})
        assert answer.status_code == 421
        assert "first" not in answer.text

    def test_other_numbers_of_this_machine_are_answered(self, client):
        assert client.get("/api/runs", headers={"host": "127.0.0.2:8642"}).status_code == 200

    def test_beyond_loopback_the_name_that_visitors_are_told_is_answered(self, folder):
        app = build_app(folder, token=TOKEN, host="Studio.local")
        with TestClient(app, base_url="http://studio.local") as named:
            assert named.get("/api/runs", params={"token": TOKEN}).status_code == 200

    def test_beyond_loopback_numbers_are_answered_and_names_are_not(self, guarded):
        asked = {"token": TOKEN}
        assert guarded.get("/api/runs", params=asked).status_code == 200
        assert guarded.get("/api/runs", params=asked, headers={"host": "evil.example"}).status_code == 421


class TestOrigin:
    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1.evil"])
    def test_a_foreign_page_changes_nothing(self, client, origin):
        answer = client.post("/api/trainings/stop", json={"run": "first"}, headers={"origin": origin})
        assert answer.status_code == 403

    def test_a_browser_that_says_it_comes_from_elsewhere_is_refused(self, client):
        headers = {"sec-fetch-site": "cross-site"}
        assert client.post("/api/trainings/stop", json={"run": "first"}, headers=headers).status_code == 403

    def test_a_foreign_page_makes_us_work_for_nothing(self, client):
        assert client.get("/api/verdict?run=first", headers={"sec-fetch-site": "cross-site"}).status_code == 403
        assert client.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200  # a link to us

    def test_a_page_of_ours_is_heard(self, client):
        assert client.post("/api/trainings/stop", json={"run": "first"}).status_code == 404  # nothing to stop

    @pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": ""}])
    def test_a_foreign_socket_is_refused(self, client, headers):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("ws://127.0.0.1/api/live", headers=headers):
            pass

    def test_a_socket_without_origin_is_refused(self, folder):
        with (
            TestClient(build_app(folder), base_url="http://127.0.0.1") as bare,
            pytest.raises(WebSocketDisconnect),
            bare.websocket_connect("ws://127.0.0.1/api/live"),
        ):
            pass


class TestToken:
    @pytest.mark.parametrize("path", ["/", "/api/runs", "/static/main.js", "/player/canvas.js", "/api/none"])
    @pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=let-me-in2", "?token=%ff"])
    def test_nothing_is_given_without_it(self, guarded, path, query):
        assert guarded.get(path + query).status_code == 403

    def test_it_goes_from_the_address_into_a_cookie(self, guarded):
        first = guarded.get("/", params={"token": TOKEN, "lang": "en"}, follow_redirects=False)
        assert first.status_code == 303
        assert first.headers["location"] == "/?lang=en"
        cookie = first.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert guarded.get("/api/runs").status_code == 200

    def test_a_socket_needs_it_too(self, guarded):
        origin = {"origin": "http://192.168.0.7:8642"}
        with (
            pytest.raises(WebSocketDisconnect),
            guarded.websocket_connect("ws://192.168.0.7:8642/api/live", headers=origin),
        ):
            pass
        guarded.get("/", params={"token": TOKEN})
        with guarded.websocket_connect("ws://192.168.0.7:8642/api/live", headers=origin) as socket:
            assert "runs" in socket.receive_json()


@pytest.mark.parametrize("path", ["/", "/api/runs", "/api/none", "/static/main.js", "/api/photo?run=first"])
def test_every_answer_carries_the_policy(client, path):
    policy = client.get(path).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


class TestBounds:
    def test_a_long_form_is_refused(self, client):
        answer = client.post("/api/lab/traces", content=b'{"surface": "' + b"x" * LONGEST_FORM + b'"}')
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "page.too_long"

    def test_no_more_of_a_large_photo_is_taken_than_may_come(self, client):
        taken = []

        def endless():
            for _ in range(100):
                taken.append(0)
                yield bytes(2**20)

        answer = client.post("/api/classify", params={"run": "first"}, content=endless())
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "page.too_long"
        assert LARGEST_PHOTO < 100 * 2**20

    def test_a_bomb_is_refused_before_it_is_decoded(self, client):
        answer = client.post("/api/classify", params={"run": "first"}, content=bomb(30_000, 30_000))
        assert answer.status_code == 422
        assert answer.json()["error"]["code"] == "data.bad_too_many_pixels"

    def test_what_is_no_picture_is_named(self, client):
        answer = client.post("/api/classify", params={"run": "first"}, content=b"GIF89a but not really")
        assert answer.status_code == 422

    def test_a_picture_for_a_run_without_weights_says_so(self, client):
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "PNG")
        answer = client.post("/api/classify", params={"run": "first"}, content=file.getvalue())
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "runs.no_weights")


class TestFolder:
    @pytest.fixture(autouse=True)
    def _outside(self, folder):
        (folder.parent / "outside").mkdir()
        (folder.parent / "outside" / "config.toml").write_text((folder / "first" / "config.toml").read_text())
        (folder / "link").symlink_to(folder.parent / "outside")
        (folder / "circle").symlink_to(folder / "circle")

    @pytest.mark.parametrize(
        "name", ["", "..", "../outside", "link", "circle", "/etc", "first/../../outside", "a\0b", "x" * 5000, "first\n"]
    )
    @pytest.mark.parametrize("path", ["rows", "scores", "verdict", "photo", "embedding", "layers"])
    def test_only_runs_below_it_are_read(self, client, path, name):
        assert client.get(f"/api/{path}", params={"run": name}).status_code == 404

    def test_the_listing_has_those_below_it_and_no_others(self, client):
        assert {run["run"] for run in client.get("/api/runs").json()["runs"]} == {"first", "deep/second"}

    @pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/player/..%2fdocument.py"])
    def test_no_other_file_is_sent(self, client, path):
        assert client.get(path).status_code == 404


def bomb(width, height):
    """A PNG of few bytes that claims many pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
