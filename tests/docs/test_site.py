"""The site of the documentation: every page has its place, every link an end, and no page asks another host."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("docs_site", ROOT / "tools" / "docs_site.py")
docs_site = importlib.util.module_from_spec(spec)
spec.loader.exec_module(docs_site)

LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    """The folder of the pages, and the configuration."""
    folder = tmp_path_factory.mktemp("site")
    return folder / "docs", docs_site.stage(folder)


def listed(navigation):
    for entry in navigation:
        if isinstance(entry, str):
            yield entry
        else:
            for inside in entry.values():
                yield from listed([inside] if isinstance(inside, str) else inside)


def anchors(text):
    """The anchors of a page, as mkdocs makes them."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return set(re.findall(r'id="(\w+)"', text)) | {
        re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in heads
    }


def test_every_page_stands_once_in_the_navigation(staged):
    pages, config = staged
    english = {path.relative_to(pages).as_posix() for path in pages.rglob("*.md") if ".zh-CN." not in path.name}
    assert sorted(listed(config["nav"])) == sorted(english)


def test_a_page_that_is_new_finds_its_place():
    pages = {"index.md", "stuck.md", "a-new-page.md", "a-new-page.zh-CN.md", "verdicts/README.md", "verdicts/new.md"}
    assert {"a-new-page.md", "verdicts/new.md"} < set(listed(docs_site.navigation({*pages, "examples/index.md"})))


def test_every_link_leads_somewhere(staged):
    pages, _ = staged
    lost = []
    for path in pages.rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        for link in LINK.findall(re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)):
            name, _, anchor = link.partition("#")
            target = path.parent / name if name else path
            if link.startswith(("http://", "https://", "mailto:")):
                continue
            if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
                lost.append(f"{path.relative_to(pages)}: {link}")
    assert not lost


def test_every_chinese_page_has_an_english_one_and_the_pages_by_question_have_both(staged):
    pages, _ = staged
    chinese = {path.relative_to(pages).as_posix().removesuffix(".zh-CN.md") for path in pages.rglob("*.zh-CN.md")}
    assert all((pages / f"{name}.md").exists() for name in chinese)
    assert chinese >= {*docs_site.QUESTIONS, "index", "gallery", "beside", "platforms"}
    assert chinese >= {f"verdicts/{path.stem}" for path in pages.glob("verdicts/*.md") if ".zh-CN." not in path.name}


def test_a_chinese_page_leads_to_chinese_pages_where_there_are_some(staged):
    pages, _ = staged
    wrong = []
    for path in pages.rglob("*.zh-CN.md"):
        for link in LINK.findall(path.read_text(encoding="utf-8")):
            target = path.parent / link.partition("#")[0]
            twin = target.with_name(target.name.removesuffix(".md") + ".zh-CN.md")
            if twin.name != path.name and target.name.endswith(".md") and twin.resolve().exists():
                wrong.append(f"{path.relative_to(pages)}: {link}")
    assert not wrong


@pytest.mark.parametrize(
    ("location", "twice"),
    [
        ("zh-CN/stuck.html#only-a-log", False),
        ("zh-CN/watch.html", True),
        ("watch.html", False),
        ("zh-CN/verdicts/index.html", False),
        ("zh-CN/verdicts/saddle.html#证据", False),
        ("zh-CN/index.html", False),
    ],
)
def test_the_search_knows_which_chinese_pages_are_english(staged, location, twice):
    assert docs_site._is_english_twice(location, staged[0]) is twice


def test_every_public_name_has_a_page(staged):
    import thalweg

    assert {path.stem for path in (staged[0] / "reference").glob("*.md")} == set(thalweg.__all__)


@pytest.mark.parametrize(
    ("name", "text", "others"),
    [
        ("a.html", '<script src="https://x.org/a.js"></script>', 1),
        ("a.html", '<link rel="stylesheet" href="//x.org/a.css">', 1),
        ("a.html", "<img src=https://x.org/a.png>", 1),
        ("a.html", '<link rel="canonical" href="https://x.org/a">', 0),
        ("a.html", '<a href="https://x.org">a source</a><script src="assets/a.js"></script>', 0),
        ("a.css", "@font-face { src: url(https://x.org/a.woff2) }", 1),
        ("a.css", "a { background: url(a.png) }", 0),
        ("a.js", "fetch('https://unpkg.com/mermaid@11')", 1),
    ],
)
def test_what_a_page_loads_from_another_host_is_found(tmp_path, name, text, others):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert len(docs_site.loads_from_others(tmp_path)) == others


@pytest.mark.slow
def test_the_built_site_asks_nobody():
    if not (ROOT / ".venv-docs" / ".ready").exists():
        pytest.skip("make docs has not been run here")
    subprocess.run(["make", "docs"], cwd=ROOT, check=True, timeout=600)
    site = ROOT / "build" / "docs" / "site"
    assert docs_site.loads_from_others(site) == []
    assert "简体中文" in (site / "zh-CN" / "stuck.html").read_text(encoding="utf-8")
    assert "损失不下降" in (site / "zh-CN" / "stuck.html").read_text(encoding="utf-8")
    assert "学习率太大" in (site / "zh-CN" / "verdicts" / "lr_too_large.html").read_text(encoding="utf-8")
    assert '"zh-CN/verdicts/index.html"' in (site / "search" / "search_index.json").read_text(encoding="utf-8")
    assert "thalweg.train" in (site / "reference" / "train.html").read_text(encoding="utf-8")
