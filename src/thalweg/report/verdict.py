"""A verdict as HTML, and the section with the verdict on a run's history: what the report can say without measuring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thalweg.i18n import joined, quoted, t
from thalweg.report.html import Html, tag


if TYPE_CHECKING:
    from thalweg.diagnosis import Verdict
    from thalweg.runs import RunFolder


def verdict_section(folder: RunFolder) -> Html | None:
    """The verdict, its evidence and its first fix; None for a run without steps."""
    verdict = verdict_of(folder)
    if verdict is None:
        return None
    command = f"thalweg diagnose {quoted(folder.path)}" + (" --try-fix" if verdict.fixes else "")
    return tag(
        "section",
        tag("h2", t("report.verdict")),
        *verdict_parts(verdict),
        tag("p", t("report.verdict_about"), class_="note"),
        tag("dl", tag("dd", tag("code", command)), class_="commands"),
    )


def verdict_parts(verdict: Verdict, title: str | None = None) -> list[Html | None]:
    """The cause in a sentence, the evidence for it, and what to change.

    Args:
        verdict: of anything.
        title: the words above; None: the title of the verdict.
    """
    told = verdict.to_dict()
    evidence = [tag("li", line["text"]) for line in told["evidence"] if line["supports"]]
    fixes = [
        tag("li", fix["text"], tag("br") if fix["line"] else None, tag("code", fix["line"]) if fix["line"] else None)
        for fix in told["fixes"]
    ]
    return [
        tag("p", tag("strong", title or told["title"]), class_="verdict", data_code=verdict.code),
        tag("p", told["text"]),
        _unchecked(verdict),
        tag("p", t("diagnosis.evidence_head"), class_="note") if evidence else None,
        tag("ul", *evidence) if evidence else None,
        tag("p", t("diagnosis.fixes_head"), class_="note") if fixes else None,
        tag("ol", *fixes) if fixes else None,
    ]


def _unchecked(verdict: Verdict) -> Html | None:
    """What an undecided verdict lacks."""
    if verdict.code != "unsure" or not verdict.unchecked:
        return None
    from thalweg.diagnosis.verdict import unchecked_text

    names = joined(map(unchecked_text, verdict.unchecked), long=True)
    return tag("p", t("diagnosis.unchecked_head", names=names))


def verdict_of(folder: RunFolder) -> Verdict | None:
    """The verdict on a run's history alone; None for a run without steps."""
    if folder.steps is None or not len(folder.steps) or "loss" not in folder.steps.units:
        return None
    from thalweg.diagnosis.judging import judge
    from thalweg.diagnosis.measures.run import of_run

    return judge(of_run(folder.steps, folder.epochs, configuration=folder.training, processes=folder.processes))
