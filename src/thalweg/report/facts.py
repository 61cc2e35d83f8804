"""The lower part of the page: the photos, the next commands, and everything needed to repeat the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thalweg.data.photos import ends
from thalweg.i18n import quoted, t
from thalweg.report.html import Html, duration, join, table, tag
from thalweg.runs import files
from thalweg.runs.config import without_effect
from thalweg.runs.folder import mapping, number, sequence
from thalweg.runs.options import flag_of


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thalweg.runs import RunFolder

_NOT_HERE = {"class_shares", "classes", "mean", "std"}  # long, and only useful to programs
_ELSEWHERE = {"weights", "layout"}  # these have a section, or another name than in the other tables
_USUAL = {"levels": {}, "ground": "visible"}  # of photos that need neither levels nor a ground
_SPLITS = ("train", "valid", "test")


def fact_sections(folder: RunFolder) -> list[Html | None]:
    """Photos, weights, commands, configuration, machine, times, and what is missing."""
    return [
        _photos(folder),
        _weights(folder),
        _commands(folder),
        _configuration(folder),
        _pairs("environment", folder.environment),
        _pairs("times", {name: _time(value) for name, value in mapping(folder.summary.get("seconds")).items()}),
        _left_out(folder),
    ]


def _photos(folder: RunFolder) -> Html:
    left_out = _NOT_HERE | _ELSEWHERE | {name for name, value in _USUAL.items() if folder.data.get(name) == value}
    facts = {name: value for name, value in folder.data.items() if name not in left_out}
    if "layout" in folder.data:
        facts["photo_layout"] = folder.data["layout"]
    return tag(
        "section",
        tag("h2", t("report.photos")),
        *check_parts(folder.check, files.FINDINGS),
        _key_values("photos", facts) if facts else None,
    )


def _weights(folder: RunFolder) -> Html | None:
    """Where the first weights come from, and how they want their photos prepared."""
    known = mapping(folder.data.get("weights"))
    if not known:
        return None
    told = {f"weights_{name}": value for name, value in known.items()}
    for name in ("known", "head"):
        told[f"weights_{name}"] = _known(f"report.weights_{name}_{known.get(name)}", str(known.get(name)))
    share = number(known.get("share"))
    told["weights_share"] = "–" if share is None else f"{share:.1%}"
    normal = {f"weights_{name}": folder.data[name] for name in ("mean", "std") if name in folder.data}
    return _pairs("weights", {name: value for name, value in {**told, **normal}.items() if value not in ("", None)})


def check_parts(check: Mapping[str, Any], table_of_all: str = "") -> list[Html | None]:
    """What a check of photos found: the warnings, the photos that cannot be used, and those of each class.

    Args:
        check: as `Check.to_json` gives it and `data-check.json` keeps it; any part may be missing.
        table_of_all: the file with all findings, where there is one.
    """
    return [_warnings(check), _bad(check, table_of_all), _counts(check)]


def _warnings(check: Mapping[str, Any]) -> Html:
    found = [_message(warning) for warning in sequence(check.get("warnings"))]
    if not found:
        return tag("p", t("report.no_warnings" if check else "report.no_check"), class_="note")
    return tag("ul", *(tag("li", message) for message in found), class_="warning")


def _message(warning: Any) -> str:
    return str(warning.get("message", warning.get("code", warning))) if isinstance(warning, dict) else str(warning)


def _bad(check: Mapping[str, Any], table_of_all: str) -> Html | None:
    """The photos that could not be used, by name."""
    bad = [mapping(photo) for photo in sequence(check.get("bad"))]
    if not bad:
        return None
    rows = [(str(photo.get("path", "?")), str(photo.get("reason", ""))) for photo in bad]
    columns = [t("report.column_photo"), t("report.column_reason")]
    count = max(len(rows), int(number(mapping(check.get("found")).get("bad")) or 0))  # a check lists the first of many
    title = t("report.bad", count=count)
    parts = [tag("h3", title), tag("div", table(columns, rows, name=title), class_="long")]
    if count > len(rows):
        key = "report.bad_rest_in" if table_of_all else "report.bad_rest"
        parts.append(tag("p", t(key, count=count - len(rows), name=table_of_all), class_="note"))
    return join(parts)


def _counts(check: Mapping[str, Any]) -> Html | None:
    """Photos of each class in each split, if the check has counted them; of many classes, the first and the last."""
    counts = {split: mapping(mapping(check.get("counts")).get(split)) for split in _SPLITS}
    names = dict.fromkeys(name for split in _SPLITS for name in counts[split])
    if not names:
        return None

    def row(title: str, names: Sequence[str]) -> list[str]:
        sums = (sum(int(number(counts[split].get(name)) or 0) for name in names) for split in _SPLITS)
        return [title, *(f"{count:,}" for count in sums)]

    first, between, last = ends(list(names))
    rows = [row(name or t("report.unlabelled"), [name]) for name in first]
    rows += [row(t("data.classes_left_out", count=len(between)), between)] if between else []
    rows += [row(name or t("report.unlabelled"), [name]) for name in last]
    columns = [t("report.column_class"), *(t(f"report.split_{split}") for split in _SPLITS)]
    return table(columns, rows, numeric=(1, 2, 3), name=t("report.photos"))


def _commands(folder: RunFolder) -> Html:
    run = quoted(folder.path)
    lines = {
        "predict": f"thalweg predict {run} PHOTOS -o submission.csv",
        "again": f"thalweg train --resume {run}",
    }
    rows = [
        join([tag("dt", t(f"report.command_{name}")), tag("dd", tag("code", line))]) for name, line in lines.items()
    ]
    return tag("section", tag("h2", t("report.commands")), tag("dl", *rows, class_="commands"))


def _configuration(folder: RunFolder) -> Html | None:
    if not folder.training:
        return None
    return tag("section", tag("h2", t("report.configuration")), options_table(folder.training))


def options_table(training: Mapping[str, Any]) -> Html:
    """Every option as on the command line, with its help; those that the training does not use are left out.

    Args:
        training: the configuration, by field, as `TrainingConfig.to_dict` gives it.
    """
    unused = without_effect(training)
    values = {name: value for name, value in training.items() if name not in unused}
    if smaller := sequence(values.pop("smaller_sizes", None)):  # `--size 64>96>128` sets both
        values["size"] = ">".join(map(str, [*smaller, values.get("size")]))
    rows = [(tag("code", flag_of(name)), _value(value), _meaning(name)) for name, value in values.items()]
    columns = [t(f"report.column_{column}") for column in ("option", "value", "meaning")]
    return table(columns, rows, name=t("report.configuration"))


def _pairs(name: str, values: dict[str, Any]) -> Html | None:
    return tag("section", tag("h2", t(f"report.{name}")), _key_values(name, values)) if values else None


def _key_values(name: str, values: dict[str, Any]) -> Html:
    columns = [t("report.column_name"), t("report.column_value")]
    return table(
        columns,
        [(_known("report.fact_" + key, key), _value(value)) for key, value in values.items()],
        name=t(f"report.{name}"),
    )


def _meaning(field: str) -> str:
    return _known(f"training.option_{field}", "")


def _known(key: str, otherwise: str) -> str:
    """A sentence, if the catalogue has it: a run of another version may use unknown keys."""
    try:
        return t(key)
    except KeyError:
        return otherwise


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return t("report.yes" if value else "report.no")
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_value(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    return str(value)


def _time(value: Any) -> Any:
    seconds = number(value)
    return value if seconds is None else duration(seconds)


def _left_out(folder: RunFolder) -> Html | None:
    if not folder.missing:
        return None
    items = [tag("li", reason) for reason in folder.missing]
    return tag("section", tag("h2", t("report.left_out")), tag("ul", *items))
