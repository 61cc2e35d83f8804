"""The language reads what it prints, and points at what it cannot read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.errors import UsageError
from thalweg.i18n import LANGUAGES, set_language
from thalweg.schedules import Chain, Over, Percent, Warmup, WarmupStableDecay, parse
from thalweg.schedules.arguments import Number, Span, Spans, Word
from thalweg.schedules.catalogue import SCHEDULES


def numbers(kind):
    low, high = max(kind.low, -1e300), min(kind.high, 1e300)
    if kind.whole:
        return st.integers(int(low), min(int(high), 10**6)).map(float)
    return st.floats(low, high, exclude_min=kind.above_low, exclude_max=kind.below_high)


def lengths(kind=None):
    least = 1e-6 if kind and kind.above_zero else 0
    return st.one_of(st.floats(least, 100).map(Percent), st.floats(least, 1e15), st.integers(1, 10**9))


def milestones():
    increasing = st.lists(st.floats(0, 1e9), min_size=1, max_size=5, unique=True).map(sorted)
    return st.one_of(increasing, st.lists(st.floats(0, 100), min_size=1, max_size=3, unique=True).map(percents)).map(
        tuple
    )


def percents(values):
    return [Percent(value) for value in sorted(values)]


def argument(kind):
    match kind:
        case Number():
            return numbers(kind)
        case Span():
            return lengths(kind)
        case Spans():
            return milestones()
        case Word():
            return st.sampled_from(kind.choices)


def possible(values):
    """Shares of wsd that fit into the training."""
    shares = [value.value for name, value in values.items() if name in {"warmup", "decay"} and hasattr(value, "value")]
    return sum(shares) <= 100


def simple(cls):
    values = st.fixed_dictionaries({name: argument(kind) for name, kind in cls.takes.items()})
    if cls is WarmupStableDecay:
        values = values.filter(possible)
    return values.map(lambda values: cls(**values))


SIMPLE = st.sampled_from(list(SCHEDULES.values())).flatmap(simple)
FRONT = st.one_of(
    st.builds(Warmup, st.floats(0, 20).map(Percent)),
    st.builds(Over, SIMPLE, st.floats(0, 20).map(Percent)),
    st.builds(Over, SIMPLE, st.floats(0, 1e6)),
)


def chained(front, last):
    """A chain, where its parts fit into the training."""
    try:
        return Chain((*front, last))
    except UsageError:
        return None


CHAINS = st.builds(chained, st.lists(FRONT, min_size=1, max_size=4), SIMPLE).filter(bool)


@settings(deadline=None)  # a slow machine is no wrong result
@given(st.one_of(SIMPLE, st.builds(Over, SIMPLE, lengths()), CHAINS))
def test_what_is_printed_reads_back_to_an_equal_value(schedule):
    assert parse(str(schedule)) == schedule
    assert str(parse(str(schedule))) == str(schedule)


@settings(deadline=None)  # a slow machine is no wrong result
@given(st.text(alphabet="warmupcosine(),%>=.0123456789 e-（％\t\né", max_size=40))
def test_no_text_breaks_the_reader(text):
    refused, schedule = None, None
    try:
        schedule = parse(text)
    except UsageError as error:
        refused = error
    if refused:
        assert 0 <= refused.position <= len(text)
        assert str(refused).endswith("^")
    else:
        assert parse(str(schedule)) == schedule


@pytest.mark.parametrize(
    ("spec", "printed"),
    [
        ("cosine", "cosine"),
        (" COSINE ( 0.01 ) ", "cosine(end=0.01)"),
        ("cosine()", "cosine"),
        ("step(30%, 0.1)", "step(30%)"),
        ("step(gamma=0.5, every=30%)", "step(30%, gamma=0.5)"),
        ("multi_step(30, 60%, gamma=.2)", "multi_step(30, 60%, gamma=0.2)"),
        ("warmup（5%）＞cosine", "warmup(5%) > cosine"),
        ("warmup(500)>inverse_sqrt", "warmup(500) > inverse_sqrt"),
        ("wsd(5%, 1e3, shape=sqrt)", "wsd(warmup=5%, decay=1000, shape=sqrt)"),
        ("linear over 50% > constant(1e-3)", "linear over 50% > constant(value=0.001)"),
    ],
)
def test_reads(spec, printed):
    assert str(parse(spec)) == printed


@pytest.mark.parametrize(
    ("spec", "place", "says"),
    [
        ("", "^", "name of a schedule"),
        ("warmup(5% > cosine", "          ^", '")"'),
        ("warmup(5%) > cosne", "             ^", "cosine"),
        ("cosine > linear", "^", "cosine over 30% > ..."),
        ("warmup(5%) > cosine > linear", "             ^", "cosine over 30% > ..."),
        ("cosine(end=2)", "           ^", "[0, 1]"),
        ("cosine(end=-0.1)", "           ^", "-0.1"),
        ("cosine(end=1%)", "           ^", "1%"),
        ("cosine(en=0.1)", "       ^", "end"),
        ("cosine(0.1, 3)", "            ^", "at most 1"),
        ("cosine(0.1,)", "           ^", "a number"),
        ("step", "^", "every"),
        ("step(0)", "     ^", "above 0"),
        ("step(101%)", "     ^", "101%"),
        ("step(30%, gamma=0.5, gamma=0.1)", "                           ^", "twice"),
        ("step(30%, gamma=)", "                ^", "a number"),
        ("multi_step(50%, 20%)", "                ^", "increasing"),
        ("plateau(mode=mn)", "             ^", "min, max"),
        ("one_cycle(phases=2.5)", "                 ^", "whole"),
        ("wsd(60%, 50%)", "^", "110"),
        ("warmup(5%) cosine", "           ^", '">"'),
        ("linear over", "           ^", "a number"),
        ("linear over linear", "            ^", "length"),
        ("warmup(5%) > é", "             ^", "é"),
        ("cosine(end=__import__('os'))", "                      ^", "'"),
        ("warmup（5%）＞ é", "               ^", "é"),  # full-width signs take two columns
        ("cosine(1e999)", "       ^", "inf"),
    ],
)
def test_an_error_points_at_the_character(spec, place, says):
    with pytest.raises(UsageError) as caught:
        parse(spec)
    sentence, shown, caret = str(caught.value).rsplit("\n", 2)
    assert says in sentence
    assert shown == f"  {spec}"
    assert caret == f"  {place}"
    assert caught.value.exit_code == 2


def test_a_long_text_is_refused_at_once():
    with pytest.raises(UsageError, match="1000"):
        parse("warmup(1) > " * 10**6)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("spec", ["cosin", "cosine(end=2)", "step(", "step(0)", "cosine > linear", "cosine(x=1)", "é"])
def test_errors_are_said_in_both_languages(language, spec):
    set_language(language)
    try:
        with pytest.raises(UsageError) as caught:
            parse(spec)
        assert ("。" in str(caught.value)) == (language == "zh-CN")
    finally:
        set_language(None)
