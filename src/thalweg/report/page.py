"""The report: one self-contained HTML file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg import __version__
from thalweg._files import write_text
from thalweg.i18n import get_language, t
from thalweg.report.doubts import doubts_of_run
from thalweg.report.facts import fact_sections
from thalweg.report.html import Html, join, tag
from thalweg.report.sections import headline, picture_sections
from thalweg.report.verdict import verdict_section
from thalweg.runs import RunFolder
from thalweg.runs.files import REPORT


if TYPE_CHECKING:
    from collections.abc import Iterable

# nothing may be loaded: pictures and style are in the file, and there is no script
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_report(run: Path | str) -> Path:
    """Write `report.html` into a run's folder, in the current language.

    The page lists what the folder lacks.

    Args:
        run: the folder.

    Returns:
        The file.

    Raises:
        RunError: there is no such folder.
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> write_report(Path(tempfile.mkdtemp())).name
        'report.html'
    """
    path = Path(run) / REPORT
    write_text(path, _page(RunFolder(run).read_all()))
    return path


def _page(folder: RunFolder) -> Html:
    sections = [verdict_section(folder), *picture_sections(folder), doubts_of_run(folder), *fact_sections(folder)]
    return document(t("report.title", run=folder.path.resolve().name), [headline(folder), *sections])


def document(title: str, sections: Iterable[Html | None]) -> Html:
    """A page that is one file.

    Args:
        title: of the browser's window.
        sections: its content; None is left out.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(files("thalweg.report").joinpath("page.css").read_text(encoding="utf-8"))),
    )
    footer = tag("footer", t("report.made_by", version=__version__))
    body = tag("body", tag("main", *sections), footer)
    return join([Html("<!doctype html>\n"), tag("html", head, body, lang=get_language())])
