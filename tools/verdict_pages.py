"""Refresh the pages of the verdicts: the tables of their thresholds, and their pictures.

    python tools/verdict_pages.py [CODE ...] [--tables]

Each picture shows a training of the zoo with that fault beside a healthy one: the loss, and the number that
decides. `--tables` leaves the pictures alone.
"""  # noqa: INP001 - a script

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.nn.utils import clip_grad_norm_

from thalweg._files import replacing, write_text
from thalweg.diagnosis.measures.trends import trends
from thalweg.diagnosis.rules import RULES
from thalweg.diagnosis.watching import watch
from thalweg.diagnosis.zoo import load_all
from thalweg.diagnosis.zoo.data import noisy_digits
from thalweg.diagnosis.zoo.table import Setting, plain
from thalweg.figures.style import BLUE, QUIET, VERMILLION, drawing, label_axes
from thalweg.i18n import set_language, t


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from thalweg.diagnosis.zoo.table import Training

PAGES = Path(__file__).parents[1] / "docs" / "verdicts"
BEGIN, END = "<!-- thresholds -->", "<!-- end of thresholds -->"

Curve = tuple["NDArray[np.float64]", "NDArray[np.float64]"]


@dataclass(frozen=True, slots=True)
class Traces:
    """What one training leaves: its history, and what the pictures ask beyond it."""

    steps: dict[str, NDArray[np.float64]]
    layers: dict[str, NDArray[np.float64]]
    extra: dict[str, Curve]


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture: which training, what it is beside, and the number that decides."""

    case: str
    measure: str  # a column of the history, or a name of `derive`
    name: str
    twin: Callable[[Setting], Training] = plain
    optimizer: str = "sgd"
    threshold: tuple[str, str] | None = None  # code and measure in the table of rules
    log: bool = False
    twin_name: str = "healthy"
    x: str = "step"
    log_loss: bool = False
    last: int | None = None  # step at which the picture ends
    mean: int = 1  # steps over which the loss is averaged
    marks: dict[str, float] = field(default_factory=dict)


def _clean(case: str, **changes: object) -> Callable[[Setting], Training]:
    """A case of the zoo with some of its settings changed."""

    def make(setting: Setting) -> Training:
        training = load_all()[case].make(setting)
        for name, value in changes.items():
            setattr(training, name, value)
        return training

    return make


def _validated(setting: Setting) -> Training:
    training = plain(setting, times=0.3)
    training.validate = True
    training.steps = 400
    return training


def _hidden_layer(setting: Setting) -> Training:
    training = load_all()["line_for_rings"].make(setting)
    torch.manual_seed(setting.seed)
    training.model = torch.nn.Sequential(torch.nn.Linear(2, 48), torch.nn.ReLU(), torch.nn.Linear(48, 3))
    training.optimizer = setting.optimize(training.model.parameters())
    return training


def _valley_with_adam(setting: Setting) -> Training:
    training = load_all()["convex_valley"].make(setting)
    training.optimizer = torch.optim.Adam(training.model.parameters(), lr=1e-2)
    return training


def _large_batches(setting: Setting) -> Training:
    training = plain(setting, times=0.4)
    training.samples, training.size, training.steps = noisy_digits(wrong=0.4, seed=setting.seed), 256, 1000
    return training


def _with_norm(setting: Setting) -> Training:
    training = plain(setting, norm=True)
    training.change = lambda inputs_NF, targets_N: (inputs_NF * 3 + 4, targets_N)
    return training


def _slow(setting: Setting) -> Training:
    training = plain(setting, times=1e-3)
    training.steps = 100
    return training


def _slow_long(setting: Setting) -> Training:
    training = load_all()["few_learned_whole"].make(setting)
    for group in training.optimizer.param_groups:
        group["lr"] /= 30
    return training


PANELS: dict[str, Panel] = {
    "bad_inputs": Panel(
        "inputs_not_scaled",
        "inputs_scale",
        "scale of the inputs",
        threshold=("bad_inputs", "inputs_scale"),
        log=True,
        log_loss=True,
    ),
    "bad_targets": Panel(
        "labels_shuffled",
        "to_constant",
        "mean loss of 20 steps\n/ the constant predictor's",
        threshold=("bad_targets", "to_constant"),
    ),
    "batchnorm_mismatch": Panel(
        "statistics_never_updated",
        "norm_gap",
        "loss with running statistics\nless that with the batch's / ln 10",
        twin=_with_norm,
        threshold=("batchnorm_mismatch", "norm_gap"),
    ),
    "converged": Panel(
        "few_learned_whole",
        "left",
        "loss lately / first loss",
        twin=_slow_long,
        optimizer="adam",
        twin_name="at a thirtieth of the rate: still on its way",
        threshold=("converged", "left"),
        log=True,
    ),
    "dead_units": Panel(
        "killed_by_a_spike",
        "dead_units",
        "share of dead units\nin the worst layer",
        threshold=("dead_units", "dead_units"),
    ),
    "decayed_too_early": Panel(
        "decayed_at_a_tenth",
        "lr_share",
        "learning rate\n/ largest so far",
        twin=lambda setting: plain(setting, times=0.3),
        threshold=("decayed_too_early", "lr_left"),
        log=True,
    ),
    "diverged": Panel("rate_diverges", "gradient_norm", "gradient norm", log=True, log_loss=True, last=30),
    "exploding_gradients": Panel(
        "weights_too_large",
        "over_constant",
        "loss / the constant predictor's",
        threshold=("exploding_gradients", "loss_first_to_constant"),
        log=True,
        log_loss=True,
    ),
    "zero_grad_missing": Panel(
        "zero_grad_forgotten",
        "uncleared",
        "old gradient still there\n(1: yes, 0: no)",
        twin=plain,
        threshold=("zero_grad_missing", "uncleared"),
    ),
    "healthy": Panel(
        "digits_short",
        "falling",
        "fall of the loss\n/ first loss",
        twin=_slow,
        twin_name="faulty: a thousandth of the rate",
        threshold=("healthy", "falling"),
    ),
    "lr_too_large": Panel(
        "rate_too_large",
        "above_lowest",
        "last tenth above the lowest\n/ first loss",
        optimizer="momentum",
        threshold=("lr_too_large", "above_lowest"),
    ),
    "lr_too_small": Panel(
        "rate_a_thousandth",
        "update_ratio",
        "update-to-weight ratio",
        threshold=("lr_too_small", "update_ratio"),
        log=True,
    ),
    "model_too_small": Panel(
        "line_for_rings",
        "one_batch",
        "loss of one batch alone / ln 3",
        twin=_hidden_layer,
        twin_name="healthy: one hidden layer more",
        threshold=("model_too_small", "fit_left"),
        x="step of Adam on one batch, after the training",
    ),
    "noise_floor": Panel(
        "noise_of_four_samples",
        "cosine",
        "cosine between successive\ngradients, mean of 5",
        twin=_large_batches,
        twin_name="256 samples a step, 0.4 of the rate",
        threshold=("noise_floor", "cosine"),
        mean=20,
    ),
    "overfitting": Panel(
        "learned_by_heart",
        "valid_rise",
        "validation loss above its\nlowest / the lowest",
        twin=_validated,
        twin_name="healthy: 1,500 pictures in place of 80",
        threshold=("overfitting", "valid_rise"),
    ),
    "untrained_parameters": Panel(
        "hidden_layers_forgotten", "moved", "way of the first layer\n/ its initial norm", log=False
    ),
    "ill_conditioned": Panel(
        "convex_valley",
        "cosine",
        "cosine between\nsuccessive gradients",
        optimizer="momentum",
        twin=_valley_with_adam,
        twin_name="the same with Adam",
        threshold=("ill_conditioned", "cosine"),
        log_loss=True,
    ),
    "saddle": Panel(
        "weights_all_zero",
        "matrix_gradient",
        "gradient of the matrices\n/ whole gradient",
        threshold=("saddle", "matrix_gradient"),
    ),
    "saturated_units": Panel(
        "tanh_at_its_ends",
        "saturated_units",
        "share of saturated outputs\nin the worst layer",
        twin=lambda setting: plain(setting, activation=torch.nn.Tanh),
        threshold=("saturated_units", "saturated_units"),
    ),
    "vanishing_gradients": Panel(
        "deep_sigmoids",
        "gradient_first_to_last",
        "gradient of the first layers\n/ of the last",
        threshold=("vanishing_gradients", "gradient_first_to_last"),
        log=True,
    ),
    "weight_decay_too_strong": Panel(
        "decay_too_strong",
        "weight_norm_left",
        "weight norm / at the start",
        threshold=("weight_decay_too_strong", "weight_norm_left"),
    ),
    "wrong_loss": Panel(
        "softmax_twice",
        "off_one",
        "largest |sum of a sample's\noutputs − 1|",
        marks={"taken for probabilities below 0.001": 1e-3},
        log=True,
    ),
}


def train(training: Training, *, wanted: str) -> Traces:
    """The zoo's loop, with what the pictures ask beyond the history."""
    rates = [group["lr"] for group in training.optimizer.param_groups]
    first = next(p for p in training.model.parameters() if p.ndim > 1)
    start = first.detach().clone()
    found: dict[str, list[tuple[float, float]]] = {}

    def note(name: str, step: int, value: float) -> None:
        found.setdefault(name, []).append((step + 1, value))

    with watch(training.model, training.optimizer) as watching:
        for step in range(training.steps):
            inputs, targets = training.batch(step)
            if training.rate_at is not None:
                for group, rate in zip(training.optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * training.rate_at(step)
            if training.clear:
                training.optimizer.zero_grad()
            outputs = training.model(inputs)
            loss = training.loss_fn(outputs, targets)
            loss.backward()
            if training.clip is not None:
                clip_grad_norm_(training.model.parameters(), training.clip)
            note("inputs_scale", step, max(abs(float(inputs.mean())), float(inputs.std())))
            note("off_one", step, float((outputs.detach().sum(dim=-1) - 1).abs().max()))
            grads = [p.grad.norm() for p in training.model.parameters() if p.ndim > 1 and p.grad is not None]
            total = [p.grad.norm() for p in training.model.parameters() if p.grad is not None]
            note("matrix_gradient", step, float(torch.stack(grads).norm() / torch.stack(total).norm()))
            training.optimizer.step()
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


@torch.no_grad()
def _evaluated(training: Training, inputs: torch.Tensor, targets: torch.Tensor) -> float:
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
    """The number that decides, against steps; trends of a history are those of its first steps, one after another."""
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
    if measure == "over_constant":
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


def table(code: str) -> str:
    """All rules of a verdict as a table: each rule is a way to it, and all its conditions must hold."""
    lines = ["| way | measure | relation | threshold | in words |", "|---|---|---|---|---|"]
    for way, rule in enumerate((rule for rule in RULES if rule.code == code), start=1):
        for condition in rule.conditions:
            words = t(f"diagnosis.evidence_{condition.name}").replace("|", "\\|")
            words += " (where it is known)" if condition.optional else ""
            lines.append(f"| {way} | `{condition.name}` | {condition.relation} | {condition.threshold:g} | {words} |")
    return "\n".join(lines)


def refresh(code: str) -> None:
    """Write the table anew between its markers."""
    path = PAGES / f"{code}.md"
    head, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, found, tail = rest.partition(END)
    if not found:
        raise SystemExit(f"{path.name}: has no {BEGIN} ... {END}")
    write_text(path, f"{head}{BEGIN}\n{table(code)}\n{END}{tail}")


def main() -> None:
    """Refresh the pages that are named, or all."""
    set_language("en")
    torch.set_num_threads(1)
    chosen = [name for name in sys.argv[1:] if not name.startswith("-")] or sorted(PANELS)
    (PAGES / "pictures").mkdir(parents=True, exist_ok=True)
    for code in chosen:
        if "--pictures" not in sys.argv:
            refresh(code)
        if "--tables" not in sys.argv:
            draw(code)


if __name__ == "__main__":
    main()
