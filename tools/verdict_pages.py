"""Refresh the pages of the verdicts: the tables of their thresholds in both languages, and their pictures.

    python tools/verdict_pages.py [CODE ...] [--tables | --pictures]

Each picture shows a training of the zoo that has the fault beside a healthy one: the loss, and the number that
decides (`verdict_panels`); a verdict on several processes has none. Its words are English, and the pages of both
languages show it. `--tables` writes only the tables, `--pictures` only the pictures.
"""  # noqa: INP001 - a script

from __future__ import annotations

import argparse
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.nn.utils import clip_grad_norm_
from verdict_panels import PANELS

from thalweg._files import replacing, write_text
from thalweg.diagnosis.measures.ignored import ignored_measures
from thalweg.diagnosis.measures.mixing import mixing_of
from thalweg.diagnosis.measures.symmetry import symmetry_of
from thalweg.diagnosis.measures.trends import trends
from thalweg.diagnosis.rules import REPLICA_CODES, RULES
from thalweg.diagnosis.watching import watch
from thalweg.diagnosis.zoo import load_all
from thalweg.diagnosis.zoo.running import set_rates
from thalweg.diagnosis.zoo.table import Setting
from thalweg.figures.style import BLUE, QUIET, VERMILLION, drawing, label_axes
from thalweg.i18n import set_language, t
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor
    from verdict_panels import Panel

    from thalweg.diagnosis.zoo.table import Training

PAGES = Path(__file__).parents[1] / "docs" / "verdicts"
BEGIN, END = "<!-- thresholds -->", "<!-- end of thresholds -->"
# For each language: how its pages end, the heads of the columns, and what follows a measure that need not be known.
LANGUAGES = {
    "en": (".md", ("way", "measure", "relation", "threshold", "in words"), " (if known)"),
    "zh-CN": (".zh-CN.md", ("途径", "测量项", "关系", "阈值", "含义"), "，若已知"),
}

Curve = tuple["NDArray[np.float64]", "NDArray[np.float64]"]


@dataclass(frozen=True, slots=True)
class Traces:
    """What one training leaves: its history, and the further numbers that the pictures need."""

    steps: dict[str, NDArray[np.float64]]
    layers: dict[str, NDArray[np.float64]]
    extra: dict[str, Curve]


def train(training: Training, *, wanted: str) -> Traces:
    """Train in the zoo's loop, and note the numbers that the history does not have."""
    rates = [group["lr"] for group in training.optimizer.param_groups]
    first = next(p for p in training.model.parameters() if p.ndim > 1)
    start = first.detach().clone()
    found: dict[str, list[tuple[float, float]]] = {}

    def note(name: str, step: int, value: float) -> None:
        found.setdefault(name, []).append((step + 1, value))

    with watch(training.model, training.optimizer) as watching:
        for step in range(training.steps):
            inputs, targets = training.batch(step)
            set_rates(training, rates, step)
            if training.clear:
                training.optimizer.zero_grad()
            outputs = training.model(inputs)
            loss = training.loss_fn(outputs, targets)
            loss.backward()
            if training.clip is not None:
                clip_grad_norm_(training.model.parameters(), training.clip)
            for name, value in at_step(training, inputs, targets, outputs.detach(), wanted=wanted, step=step).items():
                note(name, step, value)
            (training.stepped or training.optimizer).step()
            watching.step(loss)
            note("moved", step, float((first.detach() - start).norm() / start.norm().clamp_min(1e-12)))
            if wanted == "norm_gap" and step % 5 == 0:
                note("norm_gap", step, _evaluated(training, inputs, targets) - float(loss.detach()))
            if wanted == "valid_rise" and step % 10 == 0:
                valid = training.samples
                note("valid", step, _evaluated(training, valid.valid_inputs_NF, valid.valid_targets_N))
    if wanted == "one_batch":
        _learn_one_batch(training, note)
    steps = {name: watching.steps[name] for name in watching.steps.units}
    layers = {name: watching.layers[name] for name in watching.layers.units}
    extra = {name: (np.array(pairs)[:, 0], np.array(pairs)[:, 1]) for name, pairs in found.items()}
    return Traces(steps, layers, extra)


def at_step(
    training: Training, inputs: Tensor, targets: Tensor, outputs: Tensor, *, wanted: str, step: int
) -> dict[str, float]:
    """The numbers that a step's batch, outputs and gradients tell; the costly ones only if wanted."""
    gradients = [p.grad for p in training.model.parameters() if p.grad is not None]
    whole = torch.stack([gradient.norm() for gradient in gradients])
    matrices = torch.stack([gradient.norm() for gradient in gradients if gradient.ndim > 1])
    found = {
        "inputs_scale": max(abs(float(inputs.mean())), float(inputs.std())),
        "off_one": float((outputs.sum(dim=-1) - 1).abs().max()),
        "matrix_gradient": float(matrices.norm() / whole.norm()),
    }
    if wanted == "targets_kinds":
        found[wanted] = len(targets.unique())
    if wanted == "rare_found":
        found[wanted] = float((outputs.argmax(dim=1) == targets)[targets == 1].float().mean())
    if wanted == "samples_mixed" and step % 10 == 0:
        found |= mixing_of(training.model, Batch(inputs, targets))
    if wanted == "inputs_seen" and step % 10 == 0:
        copied = Copy.of(training.model, training.optimizer, training.loss_fn)
        found |= ignored_measures(copied, Batch(inputs, targets))
    if wanted == "column_emptied" and step % 5 == 0:
        emptied = inputs.clone()
        emptied[:, 0] = 0.0
        found[wanted] = _evaluated(training, emptied, targets) / np.log(10)
    if wanted == "twin_units" and step % 10 == 0:
        found |= symmetry_of(training.model)
    return found


@torch.no_grad()
def _evaluated(training: Training, inputs: Tensor, targets: Tensor) -> float:
    training.model.eval()
    loss = float(training.loss_fn(training.model(inputs), targets))
    training.model.train()
    return loss


def _learn_one_batch(training: Training, note: Callable[[str, int, float], None]) -> None:
    inputs, targets = training.batch(training.steps - 1)
    adam = torch.optim.Adam(training.model.parameters(), lr=1e-2)
    for step in range(80):
        adam.zero_grad()
        loss = training.loss_fn(training.model(inputs), targets)
        loss.backward()
        adam.step()
        note("one_batch", step, float(loss.detach()) / np.log(3))


def derive(traces: Traces, measure: str) -> Curve:  # noqa: PLR0911 - a table of formulas
    """The number that decides, at each step; a trend at a step is that of the history up to it."""
    step, loss = traces.steps["step"], traces.steps["loss"]
    if measure == "valid_rise":
        at, valid = traces.extra["valid"]
        lowest = np.minimum.accumulate(valid)
        return at, (valid - lowest) / lowest
    if measure == "norm_gap":
        at, gap = traces.extra[measure]
        return at, gap / np.log(10)
    if measure in traces.extra:
        return traces.extra[measure]
    if measure == "to_constant":
        return step[19:], np.convolve(loss, np.full(20, 1 / 20), mode="valid") / np.log(10)
    if measure == "over_zero":
        return step, loss / np.log(10)
    if measure == "lr_share":
        return step, traces.steps["lr"] / np.maximum.accumulate(traces.steps["lr"])
    if measure in {"above_lowest", "falling", "left"}:
        ends = range(20, len(loss) + 1, 5)
        return np.array(ends, dtype=np.float64), np.array([trends({"loss": loss[:end]})[measure] for end in ends])
    if measure == "weight_norm_left":
        norm = traces.steps["weight_norm"]
        known = np.isfinite(norm)
        return step[known], norm[known] / norm[known][0]
    if measure == "gradient_first_to_last":
        norms = np.array([v for name, v in traces.layers.items() if name.endswith(".gradient_norm")])
        third = max(1, len(norms) // 3)
        return traces.layers["step"], np.median(norms[:third], axis=0) / norms[-third:].max(axis=0)
    values = traces.steps[measure]
    known = np.isfinite(values)
    return step[known], values[known]


def draw(code: str) -> None:
    """Draw the picture of one verdict."""
    panel = PANELS[code]
    setting = Setting("perceptron", panel.optimizer, 0)
    runs = [
        (_words(panel.case), VERMILLION if code not in {"healthy", "converged"} else BLUE),
        (panel.twin_name, BLUE if code not in {"healthy", "converged"} else VERMILLION),
    ]
    pair = (load_all()[panel.case].make, panel.twin)
    traces = [train(make(setting), wanted=panel.measure) for make in pair]
    with drawing(width=9, height=5, dpi=90) as figure:
        above, below = figure.subplots(2, 1)
        for (name, color), trace, dashes in zip(runs, traces, ("-", "--"), strict=True):
            step, loss = trace.steps["step"][panel.mean - 1 :], _mean(trace.steps["loss"], panel.mean)
            above.plot(step[: panel.last], loss[: panel.last], dashes, color=color, label=name, linewidth=1.2)
            at, value = derive(trace, panel.measure)
            value = value if panel.mean == 1 else _mean(np.pad(value, 2, mode="edge"), 5)
            below.plot(at[: panel.last], value[: panel.last], dashes, color=color, linewidth=1.4)
        unit = "loss" if panel.mean == 1 else f"loss, mean of {panel.mean} steps"
        label_axes(above, title=t(f"diagnosis.verdict_{code}_title"), x="step", y=unit)
        label_axes(below, x=panel.x, y=panel.name)
        if panel.log:
            below.set_yscale("log")
        if panel.log_loss:
            above.set_yscale("log")
        for text, value in {**_threshold(panel), **panel.marks}.items():
            below.axhline(value, color=QUIET, linewidth=1, linestyle=":", label=text)
            below.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
        above.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, ncols=2)
        figure.align_ylabels()
        whole = BytesIO()
        figure.savefig(whole, format="png")
    with replacing(PAGES / "pictures" / f"{code}.png") as path:
        Image.open(whole).convert("RGB").quantize(48).save(path, format="PNG", optimize=True)


def _mean(values: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    return np.convolve(values, np.full(steps, 1 / steps), mode="valid")


def _words(case: str) -> str:
    return case.replace("_", " ")


def _threshold(panel: Panel) -> dict[str, float]:
    if panel.threshold is None:
        return {}
    code, name = panel.threshold
    condition = next(c for rule in RULES if rule.code == code for c in rule.conditions if c.name == name)
    return {f"speaks for the verdict: {condition.relation} {condition.threshold:g}": condition.threshold}


def table(code: str, language: str) -> str:
    """Tabulate the rules of a verdict: each is one way to reach it, and all its conditions must hold."""
    _, heads, if_known = LANGUAGES[language]
    set_language(language)
    lines = [f"| {' | '.join(heads)} |", "|---|---|---|---|---|"]
    for way, rule in enumerate((rule for rule in RULES if rule.code == code), start=1):
        for condition in rule.conditions:
            words = t(f"diagnosis.evidence_{condition.name}").replace("|", "\\|")
            words += if_known if condition.optional else ""
            lines.append(f"| {way} | `{condition.name}` | {condition.relation} | {condition.threshold:g} | {words} |")
    set_language("en")
    return "\n".join(lines)


def refresh(code: str, language: str) -> None:
    """Rewrite the table between its markers."""
    path = PAGES / f"{code}{LANGUAGES[language][0]}"
    head, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, found, tail = rest.partition(END)
    if not found:
        raise SystemExit(f"{path.name} has no {BEGIN} ... {END}")
    write_text(path, f"{head}{BEGIN}\n{table(code, language)}\n{END}{tail}")


def main() -> None:
    """Refresh the named pages, or all of them."""
    set_language("en")
    torch.set_num_threads(1)
    known = sorted({*PANELS, *REPLICA_CODES})
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("codes", nargs="*", metavar="CODE", help="of a verdict; none: all")
    only = asked.add_mutually_exclusive_group()
    only.add_argument("--tables", action="store_true", help="no pictures")
    only.add_argument("--pictures", action="store_true", help="no tables")
    given = asked.parse_args()
    (PAGES / "pictures").mkdir(parents=True, exist_ok=True)
    for code in given.codes or known:
        if not given.pictures:
            for language in LANGUAGES:
                refresh(code, language)
        if not given.tables and code not in REPLICA_CODES:
            draw(code)


if __name__ == "__main__":
    main()
