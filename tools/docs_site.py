"""Stage the pages of the documentation for mkdocs, and write its configuration; `make docs` runs it.

    python tools/docs_site.py FOLDER           then: mkdocs build -f FOLDER/mkdocs.yml
    python tools/docs_site.py FOLDER --finish  then: FOLDER/site asks no other host for anything

FOLDER gets `docs/` (copies of `docs`, the README, the changes, the examples and one page for each public name) and
`mkdocs.yml`. The navigation follows the files: a page that `ORDER` does not name stands at the end of its part.
"""  # noqa: INP001 - a script

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any, Final


ROOT: Final = Path(__file__).parents[1]
CHINESE: Final = ".zh-CN.md"
QUESTIONS: Final = ("stuck", "few-photos", "homework", "which-optimizer")
# The parts of the navigation: title, Chinese title, pages in their order. What no part names belongs to the guide.
ORDER: Final = (
    ("Questions", "问题", QUESTIONS),
    ("Guide", "指南", ("training", "fine-tuning", "layouts", "tables", "several-labels", "review", "distributed",
                      "scale", "watch", "find-lr", "curvature", "lessons", "page", "notebooks", "loggers", "extras",
                      "platforms")),
    ("About", "关于", ("gallery", "beside", "measured", "benchmarks", "changes", "house", "contributing")),
)  # fmt: skip
# Files outside of `docs`, and the pages that they become.
ELSEWHERE: Final = {
    "README.md": "index.md",
    "README.zh-CN.md": "index.zh-CN.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
}
SHIM: Final = "assets/iframe-worker.js"  # a name that keeps the theme from loading another from a host
_CDN: Final = "https://unpkg.com/"
_LOADING_TAG: Final = re.compile(
    r"<(?:script|link|img|iframe|source|video|audio|object|embed)\b[^>]*=\"?(?:https?:)?//[^>]*>"
)
_LINK_TO_FOLLOW: Final = re.compile(r"^<link[^>]*rel=\"?(?:canonical|alternate|prev|next)\b")
_CSS_LOAD: Final = re.compile(r"url\(\s*[\"']?((?:https?:)?//[^)]*)\)|@import\s+[\"']((?:https?:)?//[^\"']*)")
_LINK: Final = re.compile(r"(\]\(|(?:src|href)=\")(?!https?:|#|mailto:)([^)#\s\"]+)")
_FENCE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def homes() -> dict[str, str]:
    """Each public name with the package that it comes from."""
    text = (ROOT / "src/thalweg/__init__.py").read_text(encoding="utf-8")
    return dict(re.findall(r'^    "(\w+)": "\.(\w+)",$', text, re.MULTILINE))


def sources() -> dict[Path, str]:
    """Each file of the site with the name of its page or picture, relative to the site's `docs`."""
    found = {
        path: path.relative_to(ROOT / "docs").as_posix()
        for path in (ROOT / "docs").rglob("*")
        if path.is_file() and path.suffix != ".txt"
    }
    found |= {ROOT / name: page for name, page in ELSEWHERE.items()}
    found |= {path: f"examples/{path.stem}.md" for path in sorted((ROOT / "examples").glob("*.py"))}
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    found |= {path: f"notebooks/{path.name}" for path in notebooks}
    return found | {ROOT / "tools/worker_from_file.js": SHIM}


def rewritten(text: str, path: Path, pages: dict[Path, str]) -> str:
    """A page whose links to files of the repository lead to their pages; a link to a folder or script becomes words.

    Args:
        text: in Markdown.
        path: the file that it was read from.
        pages: each file with its page, as `sources` gives them.
    """
    here = Path(pages[path]).parent

    def aimed(found: re.Match[str]) -> str:
        file = Path(os.path.normpath(path.parent / found[2]))
        if file not in pages:
            return f"{found[1]}{_outside(file, here)}"
        return found[1] + Path(os.path.relpath(pages[file], here)).as_posix()

    parts, start = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(aimed, text[start : fence.start()]), fence[0]]
        start = fence.end()
    return "".join([*parts, _LINK.sub(aimed, text[start:])])


def _outside(file: Path, here: Path) -> str:
    """Where a link to a file without a page leads: a folder of examples to their list, the license to the home page."""
    page = "examples/index.md" if file == ROOT / "examples" else "index.md"
    return Path(os.path.relpath(page, here)).as_posix()


def navigation(pages: set[str]) -> list[Any]:
    """The navigation of the English pages; mkdocs finds the Chinese ones beside them."""
    top = {name.removesuffix(".md") for name in pages if "/" not in name and not name.endswith(CHINESE)} - {"index"}
    known = [name for _, _, names in ORDER for name in names]
    parts: list[Any] = [{"thalweg": "index.md"}]
    for title, _, names in ORDER:
        more = sorted(top - set(known)) if title == "Guide" else []
        parts.append({title: [f"{name}.md" for name in [*names, *more] if name in top]})
    verdicts = sorted(name for name in pages if name.startswith("verdicts/") and not name.endswith(CHINESE))
    first = "verdicts/README.md"
    parts.insert(3, {"Verdicts": [first, *(name for name in verdicts if name != first)]})
    examples = sorted(name for name in pages if name.startswith("examples/") and name != "examples/index.md")
    parts.insert(4, {"Examples": ["examples/index.md", *examples]})
    parts.insert(5, {"Python": [{f"thalweg.{name}": f"reference/{name}.md"} for name in homes()]})
    return parts


def configuration(pages: set[str]) -> dict[str, Any]:
    """What mkdocs reads. No font, script or picture comes from another host."""
    translations = {title: chinese for title, chinese, _ in ORDER} | {
        "Verdicts": "诊断结论",
        "Examples": "示例",
        "Python": "Python",
    }
    language = {"build": True, "default": False}
    return {
        "site_name": "thalweg",
        "site_url": "",
        "use_directory_urls": False,  # pages open from a folder, without a server
        "docs_dir": "docs",
        "site_dir": "site",
        "strict": True,
        "theme": {
            "name": "material",
            "font": False,
            "features": ["navigation.tabs", "navigation.top", "content.code.copy", "search.highlight"],
            "palette": [
                {"media": "(prefers-color-scheme: light)", "scheme": "default", "primary": "white"},
                {"media": "(prefers-color-scheme: dark)", "scheme": "slate", "primary": "black"},
            ],
        },
        "nav": navigation(pages),
        "extra": {"polyfills": [SHIM]},
        "markdown_extensions": ["tables", "admonition", "pymdownx.superfences", {"toc": {"permalink": True}}],
        "validation": {"links": {"anchors": "warn"}},
        "plugins": [
            {"search": {"lang": ["en", "zh"], "separator": r"[\s\u200b\-，。：；、（）()`_.]+"}},
            {
                "i18n": {
                    "docs_structure": "suffix",
                    "fallback_to_default": True,
                    "reconfigure_search": False,
                    "languages": [
                        language | {"locale": "en", "name": "English", "default": True},
                        language | {"locale": "zh-CN", "name": "简体中文", "nav_translations": translations}
                        | {"theme": {"language": "zh"}},
                    ],
                }
            },
            {
                "mkdocstrings": {
                    "enable_inventory": False,
                    "handlers": {
                        "python": {
                            "paths": [str(ROOT / "src")],
                            "inventories": [],
                            "options": {
                                "docstring_style": "google",
                                "show_source": False,
                                "show_root_heading": True,
                                "show_root_full_path": False,
                                "show_signature_annotations": True,
                                "separate_signature": True,
                                "heading_level": 1,
                                "filters": ["!^_"],
                            },
                        }
                    },
                }
            },
            "offline",
        ],
    }  # fmt: skip


def stage(folder: Path) -> dict[str, Any]:
    """Write pages and configuration into a folder, anew, and return the configuration."""
    shutil.rmtree(folder / "docs", ignore_errors=True)
    pages = sources()
    for path, page in pages.items():
        target = folder / "docs" / page
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            target.write_text(rewritten(path.read_text(encoding="utf-8"), path, pages), encoding="utf-8")
        elif path.suffix == ".py":
            code = path.read_text(encoding="utf-8")
            target.write_text(f"# {path.stem.replace('_', ' ')}\n\n```python\n{code}```\n", encoding="utf-8")
        else:
            shutil.copyfile(path, target)
    examples = [page for page in pages.values() if page.startswith("examples/")]
    made = {
        "examples/index.md": "# Examples\n\n" + "".join(f"- [{Path(one).stem}]({Path(one).name})\n" for one in examples)
    }
    for name, home in homes().items():
        made[f"reference/{name}.md"] = f"::: thalweg.{home}.{name}\n"
    for page, text in made.items():
        target = folder / "docs" / page
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    config = configuration({*(page for page in pages.values() if page.endswith(".md")), *made})
    (folder / "mkdocs.yml").write_text(
        json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8"
    )  # JSON is YAML
    return config


def finish(site: Path) -> None:
    """Make a built site ask no other host: the theme's bundle names one for what old browsers and diagrams need."""
    for path in site.rglob("*.map"):
        path.unlink()
    for path in (site / "assets" / "javascripts").glob("bundle.*.js"):
        path.write_text(path.read_text(encoding="utf-8").replace(_CDN, ""), encoding="utf-8")
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    index["docs"] = [entry for entry in index["docs"] if not _is_english_twice(entry["location"], site.parent / "docs")]
    text = json.dumps(index, ensure_ascii=False)
    (site / "search/search_index.json").write_text(text, encoding="utf-8")
    (site / "search/search_index.js").write_text(f"var __index = {text}", encoding="utf-8")
    if found := loads_from_others(site):
        sys.exit("The site loads from other hosts:\n" + "\n".join(found))


def _is_english_twice(location: str, docs: Path) -> bool:
    """Whether a page among the Chinese ones is the English one, for want of a Chinese one: the search finds it once."""
    page, _, name = location.partition("#")[0].partition("/")
    chinese = docs / name.replace(".html", CHINESE)
    return page == "zh-CN" and not chinese.exists() and not _is_readme(chinese)


def _is_readme(index: Path) -> bool:
    """Whether the first page of a folder, which the site calls its index, is a README."""
    return index.name == f"index{CHINESE}" and index.with_name(f"README{CHINESE}").exists()


def loads_from_others(site: Path) -> list[str]:
    """What a browser would load from another host: scripts, styles, fonts, pictures, frames; no link to follow."""
    found = []
    for path in site.rglob("*"):
        if path.suffix == ".html":
            tags = _LOADING_TAG.findall(path.read_text(encoding="utf-8"))
            found += [f"{path.relative_to(site)}: {tag}" for tag in tags if not _LINK_TO_FOLLOW.search(tag)]
        elif path.suffix == ".css":
            found += [f"{path.relative_to(site)}: {url}" for url in _CSS_LOAD.findall(path.read_text(encoding="utf-8"))]
        elif path.suffix == ".js" and _CDN in path.read_text(encoding="utf-8"):
            found.append(f"{path.relative_to(site)}: {_CDN}")
    return found


if __name__ == "__main__":
    if "--finish" in sys.argv:
        finish(Path(sys.argv[1]) / "site")
    else:
        stage(Path(sys.argv[1]))
