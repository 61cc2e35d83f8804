"""The section with the formulas of a run: its loss, its optimizer, its schedule."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from thalweg import optimizers
from thalweg.errors import UsageError
from thalweg.formulas import binary_cross_entropy, cross_entropy, formula_of_optimizer, formula_of_schedule, mse, muon
from thalweg.formulas.symbols import DECAY
from thalweg.formulas.text import number_text
from thalweg.i18n import joined, t
from thalweg.report.html import Html, join, tag
from thalweg.runs.config import without_effect
from thalweg.runs.folder import number
from thalweg.schedules import parse


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thalweg.formulas import Formula
    from thalweg.runs import RunFolder

_LOSSES = {"binary-cross-entropy": binary_cross_entropy, "cross-entropy": cross_entropy, "mse": mse}
_MUON_MOMENTUM = 0.95  # where the configuration has none


def formula_section(folder: RunFolder) -> Html | None:
    """What the run minimized and how it moved its weights; what has no formula here is left out."""
    training = _effective(folder.training)
    named = [(formula.title, formula) for formula in (*_losses(training), *_optimizers(training))]
    blocks = [_block(title, formula) for title, formula in (*named, *_schedules(training))]
    return tag("section", tag("h2", t("formulas.heading")), *blocks, class_="formulas") if blocks else None


def formulas_of(training: dict[str, Any]) -> list[Formula]:
    """The formulas of a run's loss and of its optimizer, as far as there are any.

    Args:
        training: the configuration, as `RunFolder` reads it.

    Example:
        >>> [formula.name for formula in formulas_of({"loss": "cross-entropy", "optimizer": "adamw"})]
        ['cross_entropy', 'adamw']
    """
    training = _effective(training)
    return [*_losses(training), *_optimizers(training)]


def _effective(training: dict[str, Any]) -> dict[str, Any]:
    """The configuration without what its training does not use."""
    unused = without_effect(training)
    return {name: value for name, value in training.items() if name not in unused}


def _losses(training: dict[str, Any]) -> Iterator[Formula]:
    loss, smoothing = training.get("loss"), number(training.get("label_smoothing")) or 0.0
    if isinstance(loss, str) and loss in _LOSSES and 0 <= smoothing < 1:
        yield _LOSSES[loss](smoothing)


def _schedules(training: dict[str, Any]) -> Iterator[tuple[str, Formula]]:
    schedule = training.get("schedule")
    if isinstance(schedule, str):
        try:
            formula = formula_of_schedule(parse(schedule))
        except UsageError:
            return
        yield t("formulas.schedule", name=formula.title), formula


def _optimizers(training: dict[str, Any]) -> Iterator[Formula]:
    """The formula of the run's optimizer; with muon, also that of AdamW, which moves what is no matrix."""
    name = training.get("optimizer")
    if name == "muon":
        yield muon(number(training.get("momentum")) or _MUON_MOMENTUM, number(training.get("weight_decay")))
        training = {**training, "optimizer": "adamw"}
    if (formula := _of_optimizer(training)) is not None:
        yield formula


def _of_optimizer(training: dict[str, Any]) -> Formula | None:
    """The formula of the run's optimizer, if the lab has it; a decay that is not written down has no number."""
    name = training.get("optimizer")
    if not isinstance(name, str) or name not in optimizers.names():
        return None
    known = {field.name for field in fields(optimizers.get(name))}
    given = {key: number(training.get(key)) for key in ("momentum", "weight_decay")}
    try:
        optimizer = optimizers.get(name, **{key: value for key, value in given.items() if value and key in known})
    except UsageError:
        return None
    formula = formula_of_optimizer(optimizer)
    if given["weight_decay"] is None:
        settings = {key: value for key, value in formula.settings.items() if key != DECAY.key}
        formula = replace(formula, settings=settings)
    return formula


def _block(title: str, formula: Formula) -> Html:
    numbers = [f"{symbol} = {number_text(value)}" for symbol, value in formula.numbers()]
    meanings = [
        tag("li", Html(f"{element} "), t(f"formulas.symbol_{symbol.meaning}"))
        for symbol, element in formula.symbol_elements()
    ]
    return join(
        [
            tag("h3", title),
            tag("div", *map(Html, formula.mathml), class_="equations", tabindex=0, role="group", aria_label=title),
            tag("p", t("formulas.settings", settings=joined(numbers)), class_="note") if numbers else None,
            tag("ul", *meanings, class_="symbols note"),
        ]
    )
