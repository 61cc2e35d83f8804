"""Collect the measures of the wiring, of the weight decay and of a batch; one may fail without the others."""

from __future__ import annotations

import math
import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from thalweg.diagnosis.measures.accumulation import accumulation_measures
from thalweg.diagnosis.measures.affine import affine_measures
from thalweg.diagnosis.measures.aligned import with_targets_like_outputs
from thalweg.diagnosis.measures.batch import constant_of, of_batch
from thalweg.diagnosis.measures.beside import ENOUGH_BATCHES, kept_samples, lacks_classes, same_numbers, with_kept
from thalweg.diagnosis.measures.blind import blind_measures
from thalweg.diagnosis.measures.budget import A_PASS, Budget, Sizes, TooSlowError, timed_on
from thalweg.diagnosis.measures.called import called_measures
from thalweg.diagnosis.measures.collapse import collapse_measures
from thalweg.diagnosis.measures.columns import column_measures
from thalweg.diagnosis.measures.crossed import crossed_measures
from thalweg.diagnosis.measures.cut import cut_measures
from thalweg.diagnosis.measures.domain import domain_measures
from thalweg.diagnosis.measures.dropout import dropout_left_on, dropout_measures
from thalweg.diagnosis.measures.floor import floor_measures
from thalweg.diagnosis.measures.foretold import foretold_measures
from thalweg.diagnosis.measures.frozen import frozen_measures
from thalweg.diagnosis.measures.gains import Gains, scale_of
from thalweg.diagnosis.measures.gradients import curvature_of, noise_of
from thalweg.diagnosis.measures.graph import graph_measures, rival_measures
from thalweg.diagnosis.measures.hovering import hovering_measures
from thalweg.diagnosis.measures.ignored import ignored_measures
from thalweg.diagnosis.measures.initial import initial_measures
from thalweg.diagnosis.measures.layout import layout_measures
from thalweg.diagnosis.measures.leakage import leakage_measures
from thalweg.diagnosis.measures.mirrored import mirrored_measures
from thalweg.diagnosis.measures.mixing import mixing_measures
from thalweg.diagnosis.measures.numbered import numbered_measures
from thalweg.diagnosis.measures.order import forgotten_measures, order_measures
from thalweg.diagnosis.measures.outdone import outdone_measures
from thalweg.diagnosis.measures.padding import padding_measures
from thalweg.diagnosis.measures.pairing import pairing_measures
from thalweg.diagnosis.measures.penalty import penalty_measures
from thalweg.diagnosis.measures.rare import rare_measures
from thalweg.diagnosis.measures.relabeled import with_class_indices
from thalweg.diagnosis.measures.repeated import other_batch, redrawn_measures
from thalweg.diagnosis.measures.rewards import reward_measures
from thalweg.diagnosis.measures.rounding import rounding_measures
from thalweg.diagnosis.measures.running_statistics import norm_measures, restated_measures
from thalweg.diagnosis.measures.sequence import sequence_measures
from thalweg.diagnosis.measures.signs import joined_sign_measures
from thalweg.diagnosis.measures.smoothing import smoothing_measures
from thalweg.diagnosis.measures.start import start_measures
from thalweg.diagnosis.measures.symmetry import symmetry_of
from thalweg.diagnosis.measures.terms import terms_measures
from thalweg.diagnosis.measures.trends import FLAT
from thalweg.diagnosis.measures.trial_gains import TrialGains
from thalweg.diagnosis.measures.unmoved import unmoved_measures
from thalweg.diagnosis.measures.unordered import unordered_measures
from thalweg.diagnosis.measures.unread import unread_measures
from thalweg.errors import UsageError
from thalweg.probes.copies import Copy, fastest_threads, own_clock, own_randomness, seconds_of, untouching
from thalweg.probes.holdout import with_fewer


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor
    from torch.optim import Optimizer

    from thalweg.probes import Wiring
    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.kept import Rows
    from thalweg.probes.validating import ValidationMode

MOST_BATCHES = 8
FEW_SAMPLES = 8  # of fewer, the best constant's loss is next to nothing
A_TWENTIETH = 0.05  # of the seconds


def ask(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: LossFunction,
    batches: Sequence[Batch],
    known: Mapping[str, float],
    *,
    seconds: float,
    start: Mapping[str, Tensor] | None = None,
    rows: Sequence[Rows] = (),
    progress: Callable[[str, float, float], None] = lambda _stage, _done, _total: None,
) -> tuple[dict[str, float], list[str]]:
    """Take all measures that need a batch, on copies of the model.

    Args:
        model: only copies of it run.
        optimizer: only copies of it step.
        loss_fn: of (outputs, targets); only copies of it run.
        batches: at least one.
        known: the measures of the history.
        seconds: about how long all of it may take, but for what other programs take from it. The questions of a few
            passes are always asked, and the short runs get at least two fifths of the seconds.
        start: the weights and buffers that the training started from, by name; None: unknown.
        rows: samples that the training was seen to take.
        progress: receives the stage (the names of failures), and how much of it is done.

    Returns:
        The measures, and the names of those that failed or
        `not_copied:WHAT` if the model cannot be copied: then it is asked nothing.
    """
    found: dict[str, float] = {}
    failed: list[str] = []
    clock = own_clock()
    budget = Budget(seconds, clock)
    try:
        written, copied = batches, Copy.of(model, optimizer, loss_fn)
        began = clock()
        untouched = untouching(copied, loss_fn, batches[0])
        a_pass = clock() - began
        loss_fn, batches = with_class_indices(Copy.of(model, optimizer, untouched), untouched, batches)
        loss_fn, batches = with_targets_like_outputs(Copy.of(model, optimizer, loss_fn), loss_fn, batches)
        copied, as_written = Copy.of(model, optimizer, loss_fn), Copy.of(model, optimizer, untouched).loss_fn
    except UsageError as error:
        return {}, [f"not_copied:{error.values['what']}"]

    asked = _Asked(found, failed, progress)
    timed, at_first = Copy.of(model, optimizer, loss_fn), timed_on(batches[0], a_pass)
    given, kept = batches, kept_samples(copied.loss_fn, rows, batches[0])
    as_given = kept if same_numbers(given[0], written[0]) else None  # its labels are as the program writes them
    with fastest_threads(partial(_step, timed, at_first)) as its_step:
        whole_step = its_step * given[0].size / at_first.size
        sizes = Sizes.of(given, whole_step, seconds, divides=partial(_passes, timed.model))
        first, batches = sizes.passes[0], sizes.steps
        a_step = its_step if batches[0].size == at_first.size else seconds_of(partial(_step, timed, batches[0]))
        whole = first if sizes.fewer else given[0]
        written = with_fewer(written, whole.size) if sizes.fewer else written
        new = partial(Copy.of, model, optimizer, loss_fn)
        asked.attempt("batch", lambda: of_batch(copied.model, copied.loss_fn, sizes.seen))
        if "loss_constant" in found and (whole.size < FEW_SAMPLES or lacks_classes(whole, kept)):
            found["loss_constant"] = math.nan
            asked.attempt("batch", lambda: {} if kept is None else constant_of(new(), kept))
        asked.attempt("blind", lambda: _of_blind(found, new, batches, a_step, seconds))
        scale = found["scale"] = scale_of(found.get("loss_constant", math.nan), known.get("loss_first", math.nan))
        questions: dict[str, Callable[[], dict[str, float]]] = {
            "called": lambda: called_measures(new(), whole),
            "floor": lambda: floor_measures(new(), first, found.get("loss_constant", math.nan)),
            "domain": lambda: (
                domain_measures(new(), start or {}, first) if known.get("nonfinite_step", 0.0) > 0 else {}
            ),
            "graph": lambda: (
                graph_measures(copied, first, model, optimizer) | rival_measures(model, optimizer, loss_fn)
            ),
            "mixing": lambda: mixing_measures(new(), first, scale),
            "smoothing": lambda: smoothing_measures(new(), start or {}, first),
            "ignored": lambda: ignored_measures(new(), first),
            "cut": lambda: cut_measures(new(), first) | unmoved_measures(new(), first),
            "collapse": lambda: collapse_measures(new(), start or {}, first),
            "layout": lambda: layout_measures(given[0]),
            "columns": lambda: column_measures(new(), kept),
            "rare": lambda: rare_measures(new(), kept, found),
            "order": lambda: order_measures(copied.loss_fn, rows, first),
            "forgotten": lambda: (
                forgotten_measures(new(), kept, known.get("loss_last", math.nan), given[0].size)
                if "quantiles_together" in found
                else {}
            ),
            "leakage": lambda: leakage_measures(copied.model, as_written, written, as_given),
            "pairing": lambda: (
                pairing_measures(new(), first) | joined_sign_measures(new(), first) | crossed_measures(new(), first)
            ),
            "rewards": lambda: reward_measures(new(), first),
            "mirrored": lambda: mirrored_measures(copied, first),
            "unread": lambda: unread_measures(new(), [first], rows),
            "symmetry": lambda: weights_of(copied.model, start or {}),
            "start": lambda: start_measures(new(), start or {}, first),
            "repeated": lambda: other_batch(given, known) | redrawn_measures(given[0], rows),
            "dropout_left_on": lambda: dropout_left_on(new().model, first),
            "affine": lambda: affine_measures(new(), first),
            "penalty": lambda: penalty_measures(new(), first),
            "terms": lambda: terms_measures(new(), start or {}, first),
            "rounding": lambda: rounding_measures(new(), new(), first),
            "statistics": lambda: (
                norm_measures(new().model, first, given[0].size)
                | restated_measures(new(), kept, first, given[0].size, scale)
            ),
            "sequence": lambda: sequence_measures(copied.model, copied.loss_fn, first),
            "noise": lambda: noise_of(copied.model, copied.loss_fn, batches),
            "hovering": lambda: _of_hovering(new, kept, known, A_TWENTIETH * seconds / max(a_step, 1e-9)),
            "curvature": lambda: curvature_of(
                new(), sizes.curved, scale=scale, a_step=a_step, seconds=budget.left(), clock=clock
            ),
        }
        for name, question in questions.items():
            asked.attempt(name, question)
        budget.begin_runs()
        gains = Gains(model, optimizer, loss_fn, batches, scale, a_step, left=budget.left)
        _ask_runs(asked, gains, budget, known=known, start=start or {}, kept=kept)
    return found, failed


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is found, and what failed."""

    found: dict[str, float]
    failed: list[str]
    progress: Callable[[str, float, float], None]

    def attempt(self, what: str, question: Callable[[], dict[str, float]]) -> None:
        """Ask a question that may fail."""
        self.progress(what, 0, 1)
        try:
            with own_randomness(0), warnings.catch_warnings():  # the user's model may draw random numbers, and warn
                warnings.simplefilter("ignore")
                self.found.update(question())
        except TooSlowError:
            self.failed.append(f"{what}_too_slow")
        except Exception:  # noqa: BLE001 - the verdict reports it, and the others go on
            self.failed.append(what)


def _ask_runs(
    asked: _Asked,
    gains: Gains,
    budget: Budget,
    *,
    known: Mapping[str, float],
    start: Mapping[str, Tensor],
    kept: Batch | None,
) -> None:
    """Ask the questions of short runs, each with the seconds that are left."""

    def attempt(what: str, question: Callable[[Gains], dict[str, float]], samples: int = 0) -> None:
        """Ask, unless there is no time for a pass of so many samples."""
        a_pass = A_PASS * gains.a_step * samples / gains.batches[0].size
        now = replace(gains, seconds=budget.left(), progress=partial(asked.progress, what))
        asked.attempt(what, lambda: question(now) if budget.affords(a_pass) else {})

    attempt("short_runs", lambda gains: gains.measures({**known, **asked.found}))
    attempt("numbered", lambda gains: numbered_measures(gains, kept))
    attempt("accumulation", lambda gains: accumulation_measures(gains, known, start))
    attempt("padding", lambda gains: padding_measures(_of_many(gains, kept)))
    alone = None if asked.found.get("samples_mixed", 0.0) > 0 else kept
    count = 0 if alone is None else alone.size

    def foretold(gains: Gains) -> dict[str, float]:
        return {} if alone is None else foretold_measures(gains, alone, start, {**known, **asked.found})

    def trials(gains: Gains) -> dict[str, float]:
        return TrialGains(_of_many(gains, kept), {**known, **asked.found}, start, gains.progress).measures()

    attempt("foretold", foretold, count)
    attempt("dropout", dropout_measures)
    attempt("outdone", lambda gains: {} if alone is None else outdone_measures(gains.copied(), alone), count)
    attempt("unordered", lambda gains: {} if alone is None else unordered_measures(gains.copied(), alone), count)
    attempt("trial_gains", trials)


def _step(timed: Copy, batch: Batch) -> None:
    """A step to time; what fails here is reported by a question."""
    with suppress(Exception), warnings.catch_warnings(), own_randomness(0), torch.enable_grad():
        warnings.simplefilter("ignore")
        timed.step(partial(batch.loss, timed.model, timed.loss_fn))


def _of_blind(
    found: Mapping[str, float], new: Callable[[], Copy], batches: Sequence[Batch], a_step: float, seconds: float
) -> dict[str, float]:
    """The constant's loss, where outputs did not tell it."""
    if "loss_constant" in found:
        return {}
    return blind_measures(new, batches[:ENOUGH_BATCHES], a_step=a_step, seconds=seconds)


def _of_hovering(
    new: Callable[[], Copy], kept: Batch | None, known: Mapping[str, float], most: float
) -> dict[str, float]:
    """What the noise of the steps adds to a loss that does not fall."""
    if not known.get("falling", 1.0) < FLAT:
        return {}
    return hovering_measures(new(), kept, int(known.get("batch_size", 0)), most=most)


def _passes(model: nn.Module, batch: Batch) -> bool:
    """Whether a network takes a batch: one that holds a graph takes all of its nodes only."""
    with suppress(Exception), warnings.catch_warnings(), own_randomness(0), torch.no_grad():
        warnings.simplefilter("ignore")
        batch.outputs(model)
        return True
    return False


def _of_many(gains: Gains, kept: Batch | None) -> Gains:
    """The same with kept samples: what is judged on samples kept out needs many."""
    return replace(gains, batches=with_kept(gains.batches, kept))


def wiring_measures(wiring: Wiring) -> dict[str, float]:
    """Turn the wiring into measures."""
    return {
        "missing": wiring.missing,
        "frozen": wiring.frozen,
        "stopped": wiring.stopped,
        "foreign": wiring.foreign,
    }


def weights_of(model: nn.Module, start: Mapping[str, Tensor]) -> dict[str, float]:
    """Measures of the weights themselves, now and at the start."""
    return symmetry_of(model) | frozen_measures(model) | initial_measures(model, start)


def mode_measures(model: nn.Module, validating: ValidationMode) -> dict[str, float]:
    """Whether the model computes something else in evaluation mode, and whether it was validated in training mode."""
    dropping = any(module.p > 0 for module in model.modules() if isinstance(module, nn.modules.dropout._DropoutNd))  # noqa: SLF001
    running = any(getattr(module, "track_running_stats", False) for module in model.modules())
    return {"mode_matters": float(dropping or running), "validated_in_training": validating.in_training}


def decay_measures(optimizer: Optimizer, found: dict[str, float]) -> dict[str, float]:
    """The weight decay relative to the gradient: `decay_to_gradient` is `λ|θ| / |g|`."""
    decays = [float(group.get("weight_decay") or 0.0) for group in optimizer.param_groups]
    decay = max(decays, default=0.0)
    if not decay:
        return {}
    gradient, norm = (found.get(name, math.nan) for name in ("gradient_last", "weight_norm"))
    return {"decay_to_gradient": decay * norm / gradient if gradient else math.inf}
