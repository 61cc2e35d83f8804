"""The numbers of a formula's symbols along a trace, and which terms act, are those of the formula computed by hand."""

import numpy as np
import pytest

from thalweg import optimizers, paths, surfaces
from thalweg.figures.lab.acting import NOTHING, acting_parts, along
from thalweg.figures.player.formulas import blocks_of, columns_for
from thalweg.figures.player.payload import traces_of
from thalweg.formulas import formula_of_optimizer, formula_of_schedule
from thalweg.i18n import LANGUAGES, speaking
from thalweg.schedules import parse


STEPS = 30
WALKED = 12
TURNED = surfaces.get("valley", angle=0.3)
# With noise and weight decay, so that the gradient of the formula is not the surface's.
SETTINGS = [
    *((name, {"weight_decay": 0.05}) for name in optimizers.names() if name != "rprop"),
    ("momentum", {"maximize": True}),
    ("rmsprop", {"momentum": 0.9}),
    ("adagrad", {"initial_accumulator_value": 2.0}),
    ("rprop", {}),
]


def walked(name, settings, schedule="cosine"):
    """A trace, its optimizer's formula, and the formula's history along it, by its own steps: one for each axis."""
    optimizer = optimizers.get(name, **settings)
    trace = paths.trace(TURNED, optimizer, lr=0.01, schedule=schedule, steps=WALKED, noise=0.3, seed=4)
    formula = formula_of_optimizer(optimizer)
    gradients = trace.gradients_at(np.arange(1, WALKED + 1))
    histories = []
    for axis in (0, 1):
        start = {**formula.start, "θ": trace.positions_S2[0, axis], "s": trace.lr}
        if name == "radam":
            start.pop("s")
        history = {line.key: {0: start.get(line.key, np.nan)} for line in formula.stepped}
        history |= {"g": dict(enumerate(gradients[:, axis].tolist(), 1)), "η0": trace.lr}
        history["η"] = dict(enumerate(trace.lr_S.tolist(), 1))
        for step in range(1, WALKED + 1):
            slope = history["g"][step] - trace.optimizer.decays[0] * trace.positions_S2[step - 1, axis]
            sign = -1.0 if optimizer.maximize else 1.0
            formula.step({**history, "∇L": lambda _, slope=sign * slope: slope}, step)
        histories.append(history)
    return trace, formula, histories


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_the_numbers_at_the_cursor_are_the_formula_s(name, settings):
    trace, formula, histories = walked(name, settings)
    steps_K = np.array([0, 1, 2, 7, WALKED])
    found = along(trace, formula, steps_K)
    assert {"of_g_x", "of_g_y"} <= found.keys()
    for axis, history in zip("xy", histories, strict=True):
        np.testing.assert_allclose(history["θ"][WALKED], trace.positions_S2[-1, "xy".index(axis)], rtol=1e-9)
        for key in {"g", *formula.recovered}:
            wanted = [np.nan, *(history[key][step] for step in steps_K[1:].tolist())]
            np.testing.assert_allclose(found[f"of_{key}_{axis}"], wanted, rtol=1e-6, atol=1e-12, err_msg=key)


def test_the_larger_term_acts():
    """Of momentum: what is kept of the directions before, or the gradient of now."""
    trace, formula, histories = walked("momentum", {})
    found = along(trace, formula, np.arange(WALKED + 1))
    for axis, history in zip("xy", histories, strict=True):
        old = np.abs([0.9 * history["m"][step - 1] for step in range(1, WALKED + 1)])
        new = np.abs([history["g"][step] for step in range(1, WALKED + 1)])
        np.testing.assert_array_equal(found[f"act_mean_{axis}"], [NOTHING, *(new > old)])


def test_the_factor_that_changed_most_acts():
    """At a burst of AdaGrad as the course has it, σ sinks slowly and the gradient grows; in a warm-up, η grows."""
    valley = surfaces.get("valley", angle=0.05)
    trace = paths.trace(valley, "adagrad_mean", lr=0.2, steps=4_000, start=(-10, 2))
    found = along(trace, formula_of_optimizer(trace.optimizer), np.arange(4_001))
    names = [term.name for term in formula_of_optimizer(trace.optimizer).terms["change"]]
    assert names == ["rate", "direction", "scale"]
    assert set(found["act_change_y"][3_330:3_360].tolist()) == {names.index("direction")}
    assert found["act_change_y"][0] == NOTHING
    warm = paths.trace(valley, "adam", lr=0.01, schedule="warmup(100%)", steps=100)
    found = along(warm, formula_of_optimizer(warm.optimizer), np.arange(101))
    assert (found["act_change_x"][2:] == 0).all()
    still = paths.trace(valley, "sign_sgd", lr=1e-3, steps=50)
    found = along(still, formula_of_optimizer(still.optimizer), np.arange(51))
    assert (found["act_change_x"] == NOTHING).all()


def test_radam_s_cases_change_when_its_scale_is_trusted():
    trace, formula, _ = walked("radam", {})
    found = along(trace, formula, np.arange(WALKED + 1))
    trusted = trace.scale_S2[:, 0] != 1.0
    assert 0 < trusted.sum() < WALKED
    np.testing.assert_array_equal(found["act_trusted_x"][1:], trusted.astype(int))


@pytest.mark.parametrize(
    ("spec", "group", "changes"),
    [("warmup(10) > cosine", "part", [10]), ("warmup(4)", "warmup", [4]), ("one_cycle(up=7)", "phase", [7]),
     ("warmup(3) > linear over 5 > constant(0.1)", "part", [3, 8]), ("wsd(5, 8)", "lower", [23])],
)  # fmt: skip
def test_the_part_of_a_schedule_that_runs_is_lit(spec, group, changes):
    """The update of step t has the factor f(t − 1)."""
    found = acting_parts(formula_of_schedule(parse(spec), STEPS), np.arange(STEPS + 1))[f"act_{group}"]
    assert found[0] == NOTHING
    assert (np.flatnonzero(np.diff(found[1:].astype(int))) + 1).tolist()[: len(changes)] == changes


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", optimizers.names())
def test_every_symbol_of_a_page_has_its_meaning_and_every_term_its_element(name, language):
    trace = paths.trace(TURNED, name, lr=0.01, schedule="warmup(10%) > one_cycle", steps=STEPS)
    with speaking(language):
        blocks = blocks_of(trace)
    columns = columns_for(trace, np.arange(STEPS + 1))
    assert len(blocks) == 2
    for block in blocks:
        markup = "".join(block["lines"])
        assert markup.count("<math") == markup.count("</math>") == len(block["lines"])
        for symbol in block["symbols"]:
            assert symbol["meaning"]
            assert f'data-symbol="{symbol["key"]}"' in markup
        for group in block["groups"]:
            assert all(f'data-term="{term}"' in markup for term in group["terms"])
    assert all(len(column) == STEPS + 1 for column in columns.values())
    taken = {"x", "y", "lr", "loss", "m_x", "m_y", "sigma_x", "sigma_y", "height"}
    assert not taken & columns.keys()


def test_a_trace_that_diverges_has_no_numbers_after_its_end():
    trace = paths.trace(TURNED, "adam", lr=1e6, steps=50)
    found = columns_for(trace, np.arange(51))
    assert np.isnan(found["of_g_x"][trace.last + 1 :]).all()
    assert (found["act_change_x"][trace.last + 1 :] == NOTHING).all()


def test_only_the_trace_that_is_explained_has_the_numbers_of_its_formula():
    from thalweg.figures.lab.scene import make_scene

    scene = make_scene(TURNED, [paths.trace(TURNED, name, steps=5) for name in ("sgd", "adam")], limit=100)
    facts, arrays = traces_of(scene, 1)
    assert "1.of_v̂_x" in arrays
    assert not [name for name in arrays if name.startswith("0.of_")]
    assert len(facts["formulas"]) == 2
