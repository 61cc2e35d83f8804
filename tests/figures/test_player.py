"""The player's file: nothing from outside, every number exact, every control named, every text escaped."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from thalweg import paths, surfaces
from thalweg.errors import UsageError
from thalweg.figures.lab.columns import columns_of
from thalweg.figures.lab.heightmap import heightmap_of
from thalweg.figures.player import document, write_player
from thalweg.figures.player.packing import pack, unpack
from thalweg.figures.player.payload import MARKS, TABLE
from thalweg.figures.style import SERIES
from thalweg.i18n import LANGUAGES, set_language, t


VALLEY = surfaces.get("valley")
EIGHT = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "lion", "adagrad_mean")
MODULES = sorted(document.PAGE.glob("*.js"))


class Page(HTMLParser):
    """The elements of a page with their attributes and the text inside."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.open = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", "inside": [one["tag"] for one in self.open], **dict(attributes)}
        self.elements.append(element)
        if tag not in {"meta", "link", "input", "br"}:
            self.open.append(element)

    def handle_endtag(self, tag):
        while self.open and self.open.pop()["tag"] != tag:
            pass

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, *tags):
        return [element for element in self.elements if element["tag"] in tags]

    def by_id(self, name):
        return next(element for element in self.elements if element.get("id") == name)


@pytest.fixture(scope="module")
def traces():
    return [paths.trace(VALLEY, name, lr=0.02, steps=100_000) for name in EIGHT]


@pytest.fixture(scope="module")
def html(traces, tmp_path_factory):
    file = tmp_path_factory.mktemp("player") / "valley.html"
    write_player(VALLEY, traces, file)
    return file.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


@pytest.fixture(scope="module")
def payload(page):
    return json.loads(page.by_id("payload")["text"])


class TestAlone:
    def test_nothing_is_fetched(self, html, page):
        assert not re.search(r"https?:|//[a-z0-9.-]+\.[a-z]{2,}", html)
        assert not [element for element in page.elements if "src" in element]
        assert [element["href"] for element in page.elements if "href" in element] == ["data:,"]
        spoken = re.sub(r"/\*\*.*?\*/", "", html, flags=re.DOTALL)  # comments name types by import()
        assert not re.search(r"\bfetch\(|XMLHttpRequest|\bimport\(|@import|url\(", spoken)

    def test_the_policy_allows_this_script_and_this_style_only(self, page):
        policy = next(element for element in page.all("meta") if "http-equiv" in element)["content"]
        assert "default-src 'none'" in policy
        script = next(element for element in page.all("script") if element.get("type") == "module")
        for kind, element in (("script", script), ("style", page.all("style")[0])):
            digest = base64.b64encode(hashlib.sha256(element["text"].encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}'" in policy

    def test_the_file_is_small(self, html):
        assert len(html.encode()) < 1_500_000


class TestNumbers:
    def test_every_kept_number_is_the_paths_own(self, traces, payload):
        arrays = unpack(payload["block"], payload["slots"])
        steps = arrays["steps"].astype(int)
        assert (steps[0], steps[-1]) == (0, 100_000)
        for number, path in enumerate(traces):
            np.testing.assert_array_equal(arrays[f"{number}.loss"], path.loss[steps])
            np.testing.assert_array_equal(arrays[f"{number}.x"], path.positions_S2[steps, 0])
            for name, column in columns_of(path, steps).items():
                np.testing.assert_array_equal(arrays[f"{number}.{name}"], column)

    def test_the_table_reads_m_sigma_and_step_of_every_optimizer(self, payload):
        assert [column["column"] for column in payload["table"]] == list(TABLE)
        assert {"m_x", "m_y", "sigma_x", "sigma_y", "step_length", "lr", "loss"} <= set(TABLE)
        assert {f"{number}.{name}" for number in range(8) for name in TABLE} <= payload["slots"].keys()

    def test_contour_lines_lie_where_the_surface_has_their_value(self, payload):
        arrays = unpack(payload["block"], payload["slots"])
        points = arrays["lines"].reshape(-1, 2)
        assert arrays["starts"][-1] == len(points)
        for line, start in enumerate(arrays["starts"][:-1]):
            text = payload["surface"]["levels"][arrays["level_of"][line]]
            value = VALLEY.value(*points[start])
            assert value == pytest.approx(float(text.replace(",", "")), rel=0.05, abs=1e-3)

    def test_heights_are_the_reliefs(self, payload):
        arrays = unpack(payload["block"], payload["slots"])
        side = payload["surface"]["side"]
        heightmap = heightmap_of(VALLEY, side=4 * (side - 1) + 1)
        wanted = heightmap.heights(heightmap.values_HW[::4, ::4]).ravel()
        np.testing.assert_allclose(arrays["heights"] / 65535, wanted, atol=1e-5)

    def test_what_was_left_out_is_said(self, html, payload):
        kept = payload["slots"]["steps"]["count"]
        assert kept < 100_001
        assert f"{kept:,} of 100,001" in html

    def test_events_carry_their_steps(self, traces, payload):
        told = {(event["series"], event["step"]) for event in payload["events"] if event["step"] is not None}
        happened = {(number, event.step) for number, path in enumerate(traces) for event in path.events}
        assert told
        assert told <= happened
        steps = set(unpack(payload["block"], payload["slots"])["steps"].tolist())
        firsts = {(number, path.events[0].step) for number, path in enumerate(traces) if path.events}
        assert {step for _, step in firsts} <= steps

    @pytest.mark.parametrize("dtype", ["f8", "f4", "u4", "u2", "u1"])
    def test_packing_is_exact(self, dtype):
        random = np.random.default_rng(0)
        array = random.integers(0, 255, 1000).astype(dtype)
        if dtype[0] == "f":
            array[:4] = np.nan, np.inf, -0.0, np.finfo(dtype).tiny
        block, slots = pack({"first": np.arange(3.0), "array": array})
        assert unpack(block, slots)["array"].tobytes() == array.tobytes()

    def test_packing_refuses_what_the_page_cannot_read(self):
        with pytest.raises(TypeError, match="int64"):
            pack({"steps": np.arange(3)})


class TestNames:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_every_control_is_named_in_the_language(self, tmp_path, language):
        set_language(language)
        path = paths.trace(VALLEY, "adam", lr=0.05, steps=20)
        write_player(VALLEY, [path], tmp_path / "page.html")
        page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
        assert page.all("html")[0]["lang"] == language
        for button in page.all("button"):
            assert button.get("aria-label") or button["text"].strip(), button
        for field in page.all("input", "select"):
            assert field.get("aria-label") or "label" in field["inside"], field
        for section in page.all("section", "canvas"):
            assert section.get("aria-label"), section
        assert page.by_id("play")["aria-label"] == t("lab.page_play")
        assert page.by_id("live")["aria-live"] == "polite"
        assert "{" not in page.all("title")[0]["text"]

    def test_no_slot_of_the_template_is_left(self, html):
        body = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
        assert "{{" not in body

    def test_every_mark_has_a_shape(self):
        assert {series.marker for series in SERIES} <= MARKS.keys()
        shapes = (document.PAGE / "canvas.js").read_text(encoding="utf-8")
        assert all(f"  {shape}:" in shapes for shape in set(MARKS.values()) - {"circle"})

    def test_texts_and_data_are_escaped(self):
        evil = '</script><script>alert("1")</script>'
        slots = set(re.findall(r"\{\{(\w+)\}\}", (document.PAGE / "page.html").read_text(encoding="utf-8")))
        texts = dict.fromkeys(slots - {"help", "payload", "script", "style", "script_hash", "style_hash"}, evil)
        page = Page(document.fill_page(texts, {"evil": evil}, raw={"help": ""}))
        assert len(page.all("script")) == 2
        assert json.loads(page.by_id("payload")["text"]) == {"evil": evil}
        assert page.all("h1")[0]["text"] == evil

    def test_nine_paths_are_refused(self, tmp_path, traces):
        with pytest.raises(UsageError):
            write_player(VALLEY, [*traces, traces[0]], tmp_path / "nine.html")
        assert not list(tmp_path.iterdir())


class TestScript:
    def test_every_module_is_in_the_bundle_once_and_nothing_is_imported(self):
        script = document.bundle("main")
        for module in MODULES:
            assert script.count(f"const $player_{module.stem} = (() => {{") == 1
        assert not re.search(r"^\s*(import|export)\b", script, flags=re.MULTILINE)

    @pytest.mark.skipif(not shutil.which("node"), reason="node runs the page's pure modules where it is installed")
    def test_pure_modules_agree_with_python(self, tmp_path):
        arrays = {"steps": np.arange(5.0), "odd": np.array([np.nan, -1e-300, np.inf]), "few": np.array([7], np.uint16)}
        block, slots = pack(arrays)
        shutil.copytree(document.PAGE, tmp_path / "page")
        (tmp_path / "package.json").write_text('{"type": "module"}', encoding="utf-8")
        (tmp_path / "check.mjs").write_text(CHECK, encoding="utf-8")
        given = json.dumps({"block": block, "slots": slots})
        done = subprocess.run(["node", tmp_path / "check.mjs", given], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["steps"] == [0, 1, 2, 3, 4]
        assert found["odd"] == ["NaN", "-1e-300", "Infinity"]
        assert found["few"] == [7]
        assert found["decades"] == [0.001, 0.01, 0.1, 1, 10]
        assert found["steps_axis"] == [0, 1, 10, 100]
        assert found["even"] == [-0.5, 0, 0.5, 1]
        assert found["there_and_back"] == pytest.approx(30)
        assert found["readings"] == ["–", "∞", "0", "−0.5", "1.2346e-30", "123,460"]
        assert found["ticks"] == ["0", "0.01", "−2,000", "10⁻⁵", "3·10⁷"]
        assert found["nearest"] == [0, 1, 3, 3]
        assert found["floor"] == pytest.approx(found["floor_expected"])

    @pytest.mark.skipif(not shutil.which("node"), reason="node reads the page's script where it is installed")
    def test_the_bundle_can_be_read(self, tmp_path):
        (tmp_path / "bundle.mjs").write_text(document.bundle("main"), encoding="utf-8")
        done = subprocess.run(["node", "--check", tmp_path / "bundle.mjs"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


CHECK = """
import { unpack } from "./page/unpack.js";
import { makeScale, nearestIndex, readingText, tickText, ticks } from "./page/scales.js";
import { START, projector } from "./page/camera.js";
const given = JSON.parse(process.argv[2]);
const arrays = await unpack(given.block, given.slots);
const scale = makeScale("log1p", [0, 999], [0, 300]);
const flat = projector({ ...START, azimuth: 0, elevation: Math.PI / 2 }, 375, 270);
console.log(JSON.stringify({
  steps: [...arrays.steps], odd: [...arrays.odd].map(String), few: [...arrays.few],
  decades: ticks("log", [0.0005, 50], 5), steps_axis: ticks("log1p", [0, 999], 5),
  even: ticks("linear", [-0.5, 1.2], 4),
  there_and_back: scale.invert(scale(30)),
  readings: [NaN, Infinity, 0, -0.5, 1.23456e-30, 123456].map(readingText),
  ticks: [0, 0.01, -2000, 1e-5, 3e7].map(tickText),
  nearest: [-1, 1.4, 3.6, 9].map((wanted) => nearestIndex([0, 1, 2, 4], wanted)),
  floor: flat(0.5, 0.25, 0), floor_expected: [187.5 + 50, 135 - 25],
}));
"""
