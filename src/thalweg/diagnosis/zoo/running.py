"""Train, watch, diagnose, and count how often the diagnosis names the cause."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils import clip_grad_norm_

from thalweg.diagnosis.rule import WELL
from thalweg.diagnosis.watching import watch
from thalweg.diagnosis.zoo.families.program import load_families
from thalweg.diagnosis.zoo.mutations import HARMED, MUTATIONS
from thalweg.diagnosis.zoo.table import load_all
from thalweg.probes.batches import loss_function
from thalweg.training.progress import Listener


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from thalweg.diagnosis.verdict import Verdict
    from thalweg.diagnosis.zoo.table import Case, Setting, Training

VALIDATE_EVERY = 20
_CHUNK = 4  # trainings that a process takes at once


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on one training.

    Attributes:
        case: name of the case.
        truth: the codes that are correct.
        network: name of the network.
        optimizer: name of the optimizer.
        seed: of weights and data.
        code: of the verdict.
        second: the next nearest code, or empty.
        measures: all measures of the verdict.
    """

    case: str
    truth: tuple[str, ...]
    network: str
    optimizer: str
    seed: int
    code: str
    second: str
    measures: Mapping[str, float]

    @classmethod
    def of(cls, verdict: Verdict, **facts: Any) -> Outcome:
        """The outcome with a verdict's codes and measures; `facts` are the other attributes."""
        second = verdict.alternatives[0][0] if verdict.alternatives else ""
        return cls(**facts, code=verdict.code, second=second, measures=verdict.measures)

    def to_dict(self) -> dict[str, object]:
        """For JSON, without the measures."""
        return {name: value for name, value in asdict(self).items() if name != "measures"}

    @property
    def right(self) -> bool:
        """Whether the verdict names the cause."""
        return self.code in self.truth

    @property
    def near(self) -> bool:
        """Whether the cause is among the first two codes."""
        return self.right or self.second in self.truth


def train_watched(training: Training) -> Verdict:
    """Run the loop that a user would write, watched, and diagnose it with the last batch."""
    rates = [group["lr"] for group in training.optimizer.param_groups]
    batch = training.batch(0)
    loss_of = loss_function(training.loss_fn)
    if training.evaluating:
        training.model.eval()
    with watch(training.model, training.optimizer) as watching:
        for step in range(training.steps):
            batch = training.batch(step)
            set_rates(training, rates, step)
            if training.clear:
                training.optimizer.zero_grad()
            loss = loss_of(training.model(batch[0]), batch[1])
            loss.backward()
            if training.clip is not None:
                clip_grad_norm_(training.model.parameters(), training.clip)
            (training.stepped or training.optimizer).step()
            watching.step(loss)
            if training.validate and step % VALIDATE_EVERY == 0:
                watching.validate(_validation_loss(training))
    if training.other:
        batch = training.samples.batch(training.steps, training.size, training.seed)
    return watching.diagnose(batch=batch, loss_fn=training.loss_fn)


def set_rates(training: Training, rates: Sequence[float], step: int) -> None:
    """Set the rates of a step, from those that the optimizer started with."""
    if training.rate_at is not None:
        for group, rate in zip(training.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * training.rate_at(step)


@torch.no_grad()
def _validation_loss(training: Training) -> float:
    training.model.eval()
    outputs = training.model(training.samples.valid_inputs_NF)
    loss = loss_function(training.loss_fn)(outputs, training.samples.valid_targets_N)
    training.model.train()
    return float(loss)


def run_case(case: Case, setting: Setting) -> Outcome:
    """Train one case and return its verdict."""
    verdict = train_watched(case.make(setting))
    return Outcome.of(
        verdict,
        case=case.name,
        truth=case.truth,
        network=setting.network,
        optimizer=setting.optimizer,
        seed=setting.seed,
    )


def run_zoo(
    *,
    seeds: Iterable[int] = range(5),
    cases: Iterable[str] | None = None,
    processes: int = 1,
    listener: Listener | None = None,
) -> list[Outcome]:
    """Run the whole zoo, or some of its cases.

    Args:
        seeds: of weights and data.
        cases: names of cases; None: all.
        processes: number of processes that share the work, with one thread each.
        listener: receives the progress.

    Returns:
        One outcome per training, in the order of the table.
    """
    table = load_all()
    chosen = list(table) if cases is None else list(cases)
    work = [(name, setting) for name in chosen for setting in table[name].settings(seeds)]
    return list(_each(_one, work, processes, listener, chunk=_CHUNK))


def _each(
    run: Callable[[Any], Any], work: Sequence[Any], processes: int, listener: Listener | None, *, chunk: int = 1
) -> Iterator[Any]:
    """Run each piece of work, in this process or in several with one thread each, and yield the results in order."""
    listener = listener or Listener()
    listener.working("trainings", 0, len(work))
    with ExitStack() as stack:
        if processes == 1:
            found = map(run, work)
        else:
            pool = stack.enter_context(get_context("spawn").Pool(processes, initializer=_one_thread))
            found = pool.imap(run, work, chunksize=chunk)
        for done, result in enumerate(found, start=1):
            listener.working("trainings", done, len(work))
            yield result


def confusion(outcomes: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    """Count how often each cause got each code: truth to code to count."""
    counts: dict[str, dict[str, int]] = {}
    for outcome in outcomes:
        truth = "healthy" if set(outcome.truth) & WELL else outcome.truth[0]
        said = "healthy" if truth == "healthy" and outcome.right else outcome.code
        row = counts.setdefault(truth, {})
        row[said] = row.get(said, 0) + 1
    return counts


def shares(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """The zoo's figures: how often the cause comes first or second, and false alarms on healthy trainings."""
    ill = [outcome for outcome in outcomes if not set(outcome.truth) & WELL]
    well = [outcome for outcome in outcomes if set(outcome.truth) & WELL]
    alarms = [outcome for outcome in well if outcome.code not in WELL | {"unsure"}]
    return {
        "ill": float(len(ill)),
        "first": sum(outcome.right for outcome in ill) / len(ill) if ill else math.nan,
        "first_two": sum(outcome.near for outcome in ill) / len(ill) if ill else math.nan,
        "well": float(len(well)),
        "false_alarms": len(alarms) / len(well) if well else math.nan,
        "well_named": sum(outcome.right for outcome in well) / len(well) if well else math.nan,
    }


def run_program(family: str, seed: int, mutation: str = "") -> tuple[Outcome, float]:
    """Train one program of a family, healthy or with one fault.

    Args:
        family: its name.
        seed: of weights and data.
        mutation: name of the fault; empty: none.

    Returns:
        The outcome, and the held-out score: 0 for a constant predictor, 1 for a perfect one.
    """
    program = load_families()[family](seed)
    truth = MUTATIONS[mutation].truth if mutation else ("healthy", "converged")
    if mutation:
        MUTATIONS[mutation].inject(program)
    training = program.training()
    verdict = train_watched(training)
    outcome = Outcome.of(
        verdict,
        case=f"{family}/{mutation or 'healthy'}",
        truth=truth,
        network=family,
        optimizer=type(training.optimizer).__name__,
        seed=seed,
    )
    return outcome, program.held_out()


def run_families(
    *,
    seeds: Iterable[int] = (0,),
    families: Iterable[str] | None = None,
    faults: bool = True,
    processes: int = 1,
    listener: Listener | None = None,
) -> list[Outcome]:
    """Run program families: each healthy program, and each of its mutations that does harm.

    Args:
        seeds: of weights and data.
        families: their names; None: all.
        faults: whether to run the mutations, too.
        processes: number of processes that share the work, with one thread each.
        listener: receives the progress.

    Returns:
        One outcome per training; a mutation that leaves three quarters of the healthy twin's score is left out.
    """
    table = load_families()
    chosen = [(name, seed) for seed in seeds for name in (table if families is None else families)]
    work = [(name, seed, "") for name, seed in chosen]
    for name, seed in chosen if faults else ():
        program = table[name](seed)
        work += [(name, seed, fault.name) for fault in MUTATIONS.values() if fault.applies(program)]
    score_of: dict[tuple[str, int], float] = {}
    outcomes: list[Outcome] = []
    for (name, seed, fault), (outcome, score) in zip(work, _each(_one_program, work, processes, listener), strict=True):
        if not fault:
            score_of[name, seed] = score
        if not fault or score < HARMED * score_of[name, seed]:
            outcomes.append(outcome)
    return outcomes


def _one_program(item: tuple[str, int, str]) -> tuple[Outcome, float]:
    return run_program(*item)


def _one(item: tuple[str, Setting]) -> Outcome:
    name, setting = item
    return run_case(load_all()[name], setting)


def _one_thread() -> None:
    torch.set_num_threads(1)
