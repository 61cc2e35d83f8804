"""The page's files: small, local, in two languages, with no sentence in a script."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from thalweg.i18n import LANGUAGES
from thalweg.server.answers import frame
from thalweg.server.scripts import PLAYER, STATIC, modules, slim


TESTS = Path(__file__).parents[1]
SCRIPTS = sorted(STATIC.glob("*.js"))
LARGEST = 300_000  # bytes of the whole page


@pytest.fixture(params=LANGUAGES)
def page(client, request):
    return client.get("/", params={"lang": request.param}).text


def test_it_speaks_the_language_that_is_asked_for(client):
    assert 'lang="zh-CN"' in client.get("/", headers={"accept-language": "zh-TW,en;q=0.5"}).text[:60]
    assert 'lang="en"' in client.get("/", headers={"accept-language": "en-GB,zh;q=0.5"}).text[:60]
    assert 'lang="en"' in client.get("/?lang=en", headers={"accept-language": "zh"}).text[:60]


def test_no_slot_is_left_and_every_control_has_a_name(page):
    assert "{{" not in page
    for button in re.findall(r"<button[^>]*>.*?</button>", page):
        assert "aria-label=" in button or re.sub(r"<[^>]*>", "", button).strip(), button
    inside = re.sub(r"<label[^>]*>.*?</label>", "", page, flags=re.DOTALL)
    for field in re.findall(r"<(?:input|select)[^>]*>", inside):
        assert "aria-label=" in field, field


def test_nothing_is_asked_of_another_host(page):
    for text in (page, *(path.read_text(encoding="utf-8") for path in [*SCRIPTS, *STATIC.glob("*.css")])):
        assert not re.search(r"""["'(]\s*(?:https?:)?//[a-z0-9]""", text), text[:100]


def test_no_script_or_style_is_inline(page):
    for script in re.findall(r"<script([^>]*)>", page):
        assert "src=" in script or 'type="application/json"' in script
    assert not re.search(r"<style|\son\w+=|\sstyle=", page)


def test_the_whole_page_is_small(client, page):
    own = [f"/static/{path.relative_to(STATIC).as_posix()}" for path in STATIC.rglob("*") if path.is_file()]
    shared = ["/player/style.css", *(f"/player/{path.name}" for path in PLAYER.glob("*.js"))]
    sent = [client.get(address) for address in [*own, *shared] if address != "/static/index.html"]
    assert all(answer.status_code == 200 for answer in sent)
    assert len(page.encode()) + sum(len(answer.content) for answer in sent) <= LARGEST


def test_a_script_is_sent_without_what_only_its_readers_need(client):
    source = (STATIC / "address.js").read_text(encoding="utf-8")
    answer = client.get("/static/address.js")
    assert "javascript" in answer.headers["content-type"]
    bare = re.sub(r"/\*\*.*?\*/", "", source, flags=re.DOTALL)
    bare = re.sub(r"^\s*//.*$|\s+// [^\"'`\n]*$", "", bare, flags=re.MULTILINE)
    assert "".join(answer.text.split()) == "".join(bare.split())
    assert len(answer.content) < 0.9 * len(source)
    assert client.get("/static/address.js", headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    assert client.get("/static/nothing.js").status_code == 404
    assert client.get("/static/..%2f..%2fapp.js").status_code == 404


@pytest.mark.parametrize(
    ("source", "sent"),
    [
        ("a;\n  // why\n\n  b; // here\n", "a;b;\n"),
        ("a; // it's said\n", "a; // it's said\n"),
        ('a(" // "); // b\n', 'a(" // ");\n'),
        ("/**\n * What it does.\n */\nexport const a = 1;\n", "export const a=1;\n"),
        ("if (a >= b && c) {\n  d = a ? -1 : +1;\n}\n", "if(a>=b&&c){d=a?-1:+1;}\n"),
        ("  /** @type {any} */ (a).b();\n/* c */\nd;\n", "/** @type {any} */ (a).b();d;\n"),
        ('a = f("x = y", b);\n', 'a=f("x = y",b);\n'),
        ("a = f('x = y', b);\n", "a = f('x = y', b);\n"),
        ('const a = "// no comment";\n', 'const a = "// no comment";\n'),
    ],
)
def test_only_comments_and_needless_space_are_left_out(source, sent):
    assert slim(source) == sent


def test_no_text_of_a_script_goes_over_several_lines():
    """Their indentation would be left out."""
    for path in [*SCRIPTS, *PLAYER.glob("*.js")]:
        for line in path.read_text(encoding="utf-8").splitlines():
            assert line.strip().startswith(("//", "*", "/*")) or line.count("`") % 2 == 0, f"{path.name}: {line}"


def test_every_module_that_is_asked_for_first_is_there(client):
    assert "static/lab.js" in modules()
    for path in modules():
        answer = client.get(f"/{path}")
        assert answer.status_code == 200
        assert "javascript" in answer.headers["content-type"]


def test_every_sentence_that_a_script_names_is_in_the_catalogue():
    known = json.loads((STATIC.parents[1] / "i18n" / "en" / "page.json").read_text(encoding="utf-8"))
    for script in SCRIPTS:
        for key in re.findall(r"""\bt\("(\w+)\"""", script.read_text(encoding="utf-8")):
            assert key in known, f"{key} ({script.name})"
        for prefix in re.findall(r"\bt\(`(\w+)\$\{", script.read_text(encoding="utf-8")):
            assert any(key.startswith(prefix) for key in known), f"{prefix} ({script.name})"


@pytest.mark.parametrize("home", [STATIC / "vendor", TESTS / "vendor" / "axe-core"], ids=lambda path: path.name)
def test_foreign_files_are_those_of_the_manifest(home):
    manifest = json.loads((home / "MANIFEST.json").read_text(encoding="utf-8"))
    listed = {name: digest for entry in manifest.values() for name, digest in entry["sha256"].items()}
    assert {path.name for path in home.iterdir()} == {*listed, "MANIFEST.json"}
    for name, digest in listed.items():
        assert hashlib.sha256((home / name).read_bytes()).hexdigest() == digest


def test_the_server_is_imported_without_what_is_heavy():
    code = (
        "import sys, thalweg.server.app, thalweg.server.serving;"
        "print([name for name in ('torch', 'matplotlib', 'sympy', 'sklearn', 'numba') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.skipif(not shutil.which("node"), reason="node runs the page's pure modules where it is installed")
def test_the_script_reads_frames_as_python_writes_them(tmp_path):
    arrays = {"odd": np.array([np.nan, -1e-300, np.inf]), "few": np.array([7], np.uint16), "half": np.float32([0.5])}
    (tmp_path / "block").write_bytes(frame({"run": "损失"}, arrays))
    (tmp_path / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    shutil.copy(STATIC / "frames.js", tmp_path)
    (tmp_path / "check.mjs").write_text(
        'import { readFileSync } from "node:fs"; import { readFrame } from "./frames.js";\n'
        'const bytes = readFileSync("block");\n'
        "const { header, arrays } = readFrame(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));\n"
        "const found = { odd: [...arrays.odd].map(String), few: [...arrays.few], half: [...arrays.half] };\n"
        "console.log(JSON.stringify({ header, ...found }));\n",
        encoding="utf-8",
    )
    done = subprocess.run(["node", "check.mjs"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "header": {"run": "损失"}, "odd": ["NaN", "-1e-300", "Infinity"], "few": [7], "half": [0.5],
    }  # fmt: skip
