"""Formulas and windows drawn at random: a surface that can be drawn, or a sentence, after bounded work."""

import json
import random
import warnings

import pytest

from fuzz.mutate import rounds
from thalweg import surfaces
from thalweg.errors import UsageError
from thalweg.server.answers import answer_of
from thalweg.server.request import Form
from thalweg.server.routes.lab import draw_background, draw_traces
from thalweg.surfaces import syntax


LEAVES = ("x", "y", "w1", "pi", "e", "0", "1", "2.5", "1e-5", "1e9", "x*y", "1e99")
HOSTILE = (
    *("exp(" * 60 + "x+y" + ")" * 60, "abs(" * 110 + "x" + ")" * 110, "sigmoid(" * 40 + "x*y" + ")" * 40),
    *("*".join(f"(x+{n}*y)" for n in range(90)), "/".join(["(1+x*y"] * 20) + ")" * 20),
    *(
        "+".join(["x*y"] * 400),
        "-" * 1_900 + "x",
        "(" * 900 + "x" + ")" * 900,
        "x**y**x",
        "((x**9)**9)**9",
        "9" * 1_999,
    ),
    *(
        "__import__('os')",
        "x.__class__",
        "lambda: x",
        "x if y else x",
        "[x]",
        "x\0y",
        "x；y",
        "1/0",
        "log(-1)*x",
        "1e999",
    ),
)
PLACES = (0, 1, -1, 1e-300, 1e-9, 1e5, -1e14, 1e15, 1e16, 1e308, -1e308, 5e-324, 10**400, True, None, "1", [1])


def formula(draw, depth=0):
    """Often valid, and rarely short."""
    kind = draw.randrange(6) if depth < 5 else 0
    if kind < 2:
        return draw.choice(LEAVES)
    if kind == 2:
        return f"{draw.choice(syntax.FUNCTIONS)}({formula(draw, depth + 1)})"
    if kind == 3:
        return f"({formula(draw, depth + 1)})**{draw.choice(('2', '3', '0.5', '-1', '1.7', '65', 'x'))}"
    return f"({formula(draw, depth + 1)} {draw.choice('+-*/')} {formula(draw, depth + 1)})"


def damaged(text, draw):
    at = draw.randrange(len(text))
    return text[:at] + draw.choice(("", "(", ")", "**", "^", "1e400", "z", "²", ",", " ", "\n")) + text[at + 1 :]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_formulas_are_refused_before_anything_is_derived(text):
    """`check` builds nothing: what it lets through has so few terms that deriving it takes moments."""
    try:
        tree = syntax.check(text)
    except UsageError as error:
        assert len(str(error)) > 15  # noqa: PT017 - either is right
        return
    value, first, second = syntax.terms_of(tree)
    assert value + first + second <= syntax.MAX_TERMS


@pytest.mark.parametrize("depth", [5, 20, 80])
def test_the_terms_are_those_of_the_chain_rule(depth):
    """f(f(… x)): the slope has one factor more at each depth, so the terms grow with its square."""
    long = "sin(" * depth + "x" + ")" * depth
    if depth == 80:
        with pytest.raises(UsageError, match="50,000"):
            syntax.check(long)
    else:
        assert syntax.terms_of(syntax.check(long))[1] == (depth + 1) * (depth + 2) // 2


@pytest.mark.parametrize("seeds", rounds(2, 300))
def test_the_lab_draws_anything_or_says_why_not(seeds):
    drawn = 0
    for seed in seeds:
        draw = random.Random(seed)
        text = formula(draw) if draw.random() < 0.8 else damaged(formula(draw), draw)
        form = {"surface": text, "optimizers": [{"optimizer": draw.choice(("sgd", "adam")), "lr": 0.1}], "steps": 20}
        if draw.random() < 0.3:
            form |= {"window": [draw.choice(PLACES) for _ in range(4)], "start": [draw.choice(PLACES), 1.0]}
        work = draw.choice((draw_background, draw_traces))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                answer = answer_of(work(Form(form)))
        except UsageError as error:
            assert len(str(error)) > 15  # noqa: PT017 - either is right
            continue
        length = int.from_bytes(answer.body[:4], "little")
        json.loads(answer.body[4 : 4 + length], parse_constant=pytest.fail)
        drawn += 1
    assert drawn > len(seeds) // 4


@pytest.mark.parametrize("window", [[-1e308, 1e308] * 2, [0, 1e16, 0, 1], [1e15 - 1, 1e15, 0, 1], [0, 5e-324, 0, 1]])
def test_a_window_that_cannot_be_drawn_is_refused(window):
    with pytest.raises(UsageError, match="window"):
        draw_background(Form({"surface": "bowl", "window": window}))


def test_a_formula_without_a_value_in_its_window_is_drawn_empty():
    facts, _ = draw_background(Form({"surface": "log(-1 - x**2 - y**2)"}))
    assert facts["surface"]


def test_many_new_formulas_do_not_fill_the_memory():
    """Their code goes when 256 others have come; Numba, which would keep what it compiles, never sees them."""
    from thalweg.surfaces.kernels import slope_kernel, slope_part

    assert slope_part("x**2 + y").build().startswith("define")
    assert slope_kernel.cache_info().maxsize == 256
    assert surfaces.parse("x**2 + y").value(2.0, 1.0) == 5.0
