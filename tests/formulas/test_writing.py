"""One tree, written four ways: as Unicode, as MathML that is well-formed, as mathtext that matplotlib draws."""

import re
from xml.etree import ElementTree as ET

import pytest
from matplotlib.mathtext import MathTextParser

from thalweg import formulas, optimizers
from thalweg.errors import UnknownNameError
from thalweg.figures.formulas import formula_rows
from thalweg.figures.style import drawing
from thalweg.formulas import formula_of_optimizer, formula_of_schedule
from thalweg.formulas.mathml import mathml_of
from thalweg.formulas.mathtext import mathtext_of
from thalweg.formulas.text import text_of
from thalweg.formulas.tree import Fence, Minus, Symbol, call, cases, root, series, when
from thalweg.i18n import LANGUAGES, speaking, t
from thalweg.schedules import parse


EVERY = [
    *map(formulas.get, formulas.names()),
    *(formulas.cross_entropy(0.1), formulas.mse(0.1)),
    formula_of_optimizer(optimizers.get("sgd", momentum=0.9, dampening=0.5, weight_decay=0.1, maximize=True)),
    formula_of_optimizer(optimizers.get("adagrad", lr_decay=0.5, initial_accumulator_value=1.0)),
    formula_of_schedule(parse("warmup(5%) > one_cycle(phases=3) over 50% > cosine_restarts(3, mult=2)"), 100),
    formula_of_schedule(parse("plateau(mode=max, threshold_mode=abs)")),
]


def parsed(markup):
    return ET.fromstring(markup)  # noqa: S314 - the markup is this package's own


a, b, v, step = Symbol("a"), Symbol("β", "1"), Symbol("v", mark="hat"), Symbol("t")


@pytest.mark.parametrize(
    ("part", "text", "brackets"),
    [
        (a - (b - 1), "a − (β₁ − 1)", 1),
        (-(a + b), "−(a + β₁)", 1),
        (a * (b + 1) ** 2, "a (β₁ + 1)²", 1),
        ((a * b) ** 2, "(a β₁)²", 1),
        (a / (b / 2), "a / (β₁ / 2)", 0),
        (a / (b * 2), "a / (β₁ 2)", 0),
        ((a + 1) / b, "(a + 1) / β₁", 0),
        (root(v[step - 1]), "√v̂_{t−1}", 0),
        (root(a + 1), "√(a + 1)", 0),
        (a[2] ** (step + 1), "a₂^(t + 1)", 0),
        (b**step, "β₁ᵗ", 0),
        (Fence(a, "⌊⌋"), "⌊a⌋", 0),
        (1e-8 * a, "10⁻⁸ a", 0),
        (Minus(a) * b, "(−a) β₁", 1),
        (series("∑", step, 1, a, v[step] ** 2), "∑_{t=1}^a v̂_t²", 0),
        (call("max", a, 0), "max(a, 0)", 1),
        (cases((a, when(step, "<", 3)), (b, when(step, "≥", 3))), "{a, t < 3; β₁, t ≥ 3}", 0),
    ],
)
def test_brackets_stand_where_the_meaning_needs_them(part, text, brackets):
    """A line of text needs more of them than fractions, roots and raised exponents do."""
    assert text_of(part) == text
    parsed(f"<math>{mathml_of(part)}</math>")
    assert mathml_of(part).count("<mo>(</mo>") == brackets
    assert mathtext_of(part).count(r"\left(") == brackets


@pytest.mark.parametrize("formula", EVERY, ids=lambda formula: formula.name)
def test_every_formula_is_well_formed_and_drawn(formula):
    parser = MathTextParser("path")
    for written, markup, text in zip(formula.mathtext, formula.mathml, formula.texts, strict=True):
        element = parsed(markup)
        assert element.attrib["alttext"] == text
        width, height, *_ = parser.parse(written)
        assert width > 10
        assert height > 5
        assert not re.search(r"[^\x00-\x7f]", written), "mathtext has commands, or its font lacks the sign"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_symbol_is_explained(language):
    with speaking(language):
        for formula in EVERY:
            assert all(t(f"formulas.symbol_{symbol.meaning}") for symbol in formula.symbols())
            assert formula.title


def test_two_symbols_of_one_formula_with_one_key_mean_one_thing():
    for formula in EVERY:
        meanings = {}
        for line in formula.lines:
            for part in (*line.left.walk(), *line.right.walk()):
                if isinstance(part, Symbol) and part.meaning:
                    assert meanings.setdefault(part.key, part.meaning) == part.meaning, (formula.name, part)


def test_names_and_unknown_names():
    assert set(optimizers.names()) < set(formulas.names())
    assert formulas.get("cross-entropy").title in {"cross-entropy", "交叉熵"}
    with pytest.raises(UnknownNameError, match="adam"):
        formulas.get("adamm")


def test_rows_below_a_picture_fit_and_name_each_formula_once():
    rows = formula_rows([formulas.get("adam"), formulas.get("adam"), formulas.get("radam")], 12)
    assert [name for name, *_ in rows if name] == ["adam", "radam"]
    with drawing(width=12, height=6) as figure:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        from thalweg.figures.formulas import write_formulas

        rows = formula_rows(EVERY[-6:], 12)
        figure.set_size_inches(12, 6 + 0.5 * len(rows))
        write_formulas(figure, rows)
        renderer = FigureCanvasAgg(figure).get_renderer()
        ends = [text.get_window_extent(renderer).x1 for text in figure.texts]
        assert max(ends) <= 12 * figure.dpi
