"""Every lesson's claim holds, its words carry its numbers, and its picture is drawn."""

import dataclasses
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import thalweg.i18n
from thalweg.cli import lesson as command
from thalweg.errors import ThalwegError, UnknownNameError
from thalweg.i18n import LANGUAGES, set_language
from thalweg.lessons import Check, get, names, title_of
from thalweg.lessons._measures import softmax
from thalweg.lessons._network import train
from thalweg.lessons.one_hot_not_numbers import fit_numbers, fit_one_hot


# Those that measure or train networks for seconds, with settings that make them short: for words and panels, and for
# a claim that then fails.
SHORT = {
    "better-valley": ({"known_each": 1, "known_steps": 1, "steps": 40}, "sooner"),
    "receptive-field": ({"side": 64}, "gap"),
    "initialization": ({"depth": 3, "networks": 1, "each": 1, "width": 32}, "vanishes"),
    "sigmoid-saturates": ({"depth": 2, "units": 50, "each": 2, "steps": 60, "learning_rate": 0.5}, "stuck"),
    "overfitting-and-validation": (
        {"each": (1, 2), "valid_each": 1, "updates": 4, "guesses": 20, "judges": (10, 20)},
        "learned",
    ),
    "early-stopping": ({"epochs": 3, "each": 2, "valid_each": 1, "test_each": 1}, "stops"),
    "augmentation-closes-the-gap": ({"policy": "flip", "epochs": 1, "each": 2, "valid_each": 1}, "different"),
    "batch-size": ({"sizes": (5, 10, 20, 40), "each": 4, "epochs": 1, "draws": 5, "hidden": 4}, "updates"),
    "batch-norm-rounds-the-valley": (
        {"unlike": 1.0, "units": (1.0, 2.0), "rates": (0.01, 0.1), "steps": 2, "each": 2, "width": 8},
        "raw",
    ),
}
QUICK = tuple(name for name in names() if name not in SHORT)
ALL = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SHORT)]
DRAWN = ("adagrad-arrives-and-bursts", "mse-or-cross-entropy")  # a picture takes longer than the lesson
PICTURES = [name if name in DRAWN else pytest.param(name, marks=pytest.mark.slow) for name in names()]
# Short, but not among those that are drawn and told at once.
LONGER = ("better-valley", "augmentation-closes-the-gap")


def shortened(name):
    return dataclasses.replace(get(name), **SHORT[name][0])


@pytest.fixture(scope="module")
def evidence_of():
    """Each lesson runs once."""
    known = {}

    def evidence(name):
        if name not in known:
            known[name] = get(name).run()
        return known[name]

    return evidence


@pytest.fixture(params=LANGUAGES)
def language(request):
    set_language(request.param)
    yield request.param
    set_language(None)


@pytest.mark.parametrize("name", ALL)
def test_the_claim_holds(evidence_of, name):
    checks = get(name).checks(evidence_of(name))
    assert len(checks) >= 4
    assert not [(check.claim, check.got, check.expected) for check in checks if not check.passed]


@pytest.mark.parametrize("name", ALL)
def test_ten_lines_are_filled_with_the_evidence(evidence_of, language, name):
    lesson = get(name)
    lines = lesson.tell(evidence_of(name))
    assert len(lines) == 10
    assert all(line and line == line.strip() and "nan" not in line for line in lines)
    text = "".join(lines)
    assert len(re.findall(r"\d", text)) >= 10
    assert ("。" in text) == (language == "zh-CN")
    assert lesson.title == title_of(name)
    for check in lesson.checks(evidence_of(name)):
        assert lesson.claim(check)


@pytest.mark.parametrize("name", names())
def test_no_number_of_the_words_is_typed_by_hand(name):
    """But those of the formula, the classes, the course's names and the method."""
    typed = re.compile(r"(?<![\w₁₂.{])\d+(?:\.\d+)?(?![\w}])")
    template = json.loads((Path(thalweg.i18n.__file__).parent / "en" / "lessons.json").read_text(encoding="utf-8"))[
        f"{name.replace('-', '_')}_text"
    ]
    bare = re.sub(r"\{[^}]*\}", "", template)
    assert {number for number in typed.findall(bare) if float(number) > 3} <= {"10", "100"}


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_is_drawn(evidence_of, tmp_path, name):
    path = tmp_path / "lesson.png"
    set_language("zh-CN")
    try:
        get(name).picture(evidence_of(name), path)
    finally:
        set_language(None)
    with Image.open(path) as image:
        assert image.width >= 1800
        assert len(image.convert("RGB").getcolors(1 << 22)) > 100


@pytest.mark.parametrize("name", ALL)
def test_every_panel_says_what_it_shows(evidence_of, name):
    every_panel_is_named(get(name), evidence_of(name))


def every_panel_is_named(lesson, evidence):
    figure = Figure()
    lesson.draw(evidence, figure)
    panels = [axes for axes in figure.axes if axes.get_subplotspec() and axes.get_label() != "<colorbar>"]
    assert panels
    for axes in panels:
        bars = bool(axes.containers)  # their names stand below them
        assert axes.get_title(loc="left") or axes.get_title()
        assert axes.get_ylabel()
        assert axes.get_xlabel() or bars or not axes.get_subplotspec().is_last_row()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONGER else name for name in SHORT]
)
def test_a_short_lesson_is_told_and_drawn_and_its_claim_can_fail(name):
    lesson = shortened(name)
    evidence = lesson.run()
    assert SHORT[name][1] in {check.claim for check in lesson.checks(evidence) if not check.passed}
    for tongue in LANGUAGES:
        set_language(tongue)
        assert len(lesson.tell(evidence)) == 10
        assert all(lesson.claim(check) for check in lesson.checks(evidence))
    every_panel_is_named(lesson, evidence)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_the_claim_of_a_measured_lesson_holds_from_another_seed(name):
    lesson = dataclasses.replace(get(name), seed=77)
    assert not [(check.claim, check.got) for check in lesson.checks(lesson.run()) if not check.passed]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.slow
def test_a_lesson_gives_the_same_numbers_every_time(evidence_of, name):
    again = get(name).run()
    assert dict(again.numbers) == pytest.approx(dict(evidence_of(name).numbers), rel=1e-12, abs=0, nan_ok=True)


def test_the_burst_is_where_the_course_has_it(evidence_of):
    """The known setting: the crossing at step 3,310, |y| from below 1e-28 to 1.4."""
    evidence = evidence_of("adagrad-arrives-and-bursts")
    assert evidence.numbers["crossing"] == 3310
    y_S = np.abs(evidence.data["mean"].positions_S2[:, 1])
    assert y_S[1000:4000].min() < 1e-28
    assert y_S[3400:].max() == pytest.approx(1.4, abs=0.05)


def test_a_burst_that_does_not_come_is_not_claimed():
    """At a small rate the quotient never reaches 2, and the checks say so."""
    lesson = dataclasses.replace(get("adagrad-arrives-and-bursts"), learning_rate=0.02)
    failed = {check.claim for check in lesson.checks(lesson.run()) if not check.passed}
    assert {"crosses", "bursts"} <= failed


@pytest.mark.parametrize(
    ("name", "settings", "claim"),
    [
        ("stuck-but-gradient-large", {"learning_rate": 0.02, "steps": 400, "fix_steps": 50}, "product"),
        ("convex-valley", {"condition": 100.0, "rates": 5}, "best_left"),
        ("decay-calms", {"schedules": ("constant",)}, "stays"),
        ("rmsprop-forgets", {"steps": 100}, "arrives"),
        ("adam-is-both", {"learning_rate": 0.0001}, "faster"),
        ("momentum-map", {"condition": 4.0, "rates": 5, "momenta": 5}, "faster"),
        ("momentum-map", {"steps": 30, "rates": 20, "momenta": 5}, "gap"),
        ("warm-up", {"noise": 0.0, "seeds": 3}, "cold_lost"),
        ("saddle-or-minimum", {"surface": "bowl"}, "kinds"),
        ("momentum-escapes", {"start": (3.0, 3.0)}, "lowest"),
        ("one-hot-not-numbers", {"spread": 0.05}, "numbers_right"),
        ("softmax-sharpens", {"logits": (0.3, 0.2, 0.1)}, "ratio"),
        ("mse-or-cross-entropy", {"start": (2.0, 1.0)}, "ratio"),
        ("what-a-convolution-sees", {"label": 8, "place": 39}, "blur"),
        ("full-or-convolved", {"small": 10}, "zero"),
    ],
)
def test_a_check_can_fail(name, settings, claim):
    lesson = dataclasses.replace(get(name), **settings)
    failed = {check.claim for check in lesson.checks(lesson.run()) if not check.passed}
    assert claim in failed


@pytest.mark.parametrize("relation", ["<", "≤", "=", "≥", ">"])
def test_no_number_is_never_a_pass(relation):
    assert Check("any", math.nan, relation, 1.0).passed is False
    assert isinstance(Check("any", np.float64(1.0), relation, 1.0).passed, bool), "the page writes it as JSON"


def test_softmax_is_torch_s():
    import torch

    logits = np.random.default_rng(0).normal(scale=100, size=(50, 4))
    expected = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    np.testing.assert_allclose(softmax(logits), expected, rtol=1e-12)


def test_a_regression_on_numbers_is_the_mean_of_the_one_hot_outputs():
    """Σ k f_k: why a point halfway between the classes 1 and 3 is called 2."""
    generator = np.random.default_rng(5)
    points, classes = generator.normal(size=(60, 2)), np.arange(60) % 3
    features = np.column_stack([points, np.ones(60)])
    outputs = features @ np.linalg.lstsq(features, np.eye(3)[classes], rcond=None)[0]
    np.testing.assert_array_equal(fit_numbers(points, classes)(points), np.rint(outputs @ np.arange(3)).clip(0, 2))
    np.testing.assert_array_equal(fit_one_hot(points, classes)(points), outputs.argmax(axis=1))


def test_the_network_descends_by_its_gradient():
    """The loss falls, by the first order of what the gradient says."""
    short = train(1e-4, 2, seed=1)
    assert short.loss_S[0] - short.loss_S[1] == pytest.approx(1e-4 * short.norm_S[0] ** 2, rel=0.05)
    longer = train(1e-4, 3, seed=1)
    resumed = train(1e-4, 1, weights=short.weights)
    np.testing.assert_array_equal(resumed.weights, longer.weights)


def test_without_torch_the_lesson_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ThalwegError, match="torch"):
        get("stuck-but-gradient-large").run()


@pytest.fixture
def run(command_runner):
    return command_runner(command, "lesson")


def test_the_command_lists_draws_tells_and_checks(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [entry["name"] for entry in json.loads(run("--json").stdout)] == list(names())
    assert "softmax-sharpens" in run().stdout
    result = run("softmax-sharpens")
    assert result.exit_code == 0
    assert "0.88" in result.stdout
    assert (tmp_path / "softmax-sharpens.png").exists()
    run("softmax-sharpens", "-o", "other.png")
    assert (tmp_path / "other.png").exists()


def test_the_document_has_the_numbers(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document = json.loads(run("softmax-sharpens", "--json").stdout)
    assert document["numbers"]["share_1"] == pytest.approx(math.exp(3) / (math.exp(3) + math.e + math.exp(-3)))
    assert document["passed"] is True
    assert len(document["text"]) == 10
    assert {"claim", "sentence", "got", "relation", "bound", "passed"} == document["checks"][0].keys()
    assert not list(tmp_path.iterdir())


def test_a_claim_that_fails_exits_with_one(run, monkeypatch):
    lesson = dataclasses.replace(get("softmax-sharpens"), logits=(0.3, 0.2, 0.1))
    monkeypatch.setattr("thalweg.lessons.get", {lesson.name: lesson}.__getitem__)
    result = run("softmax-sharpens", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["passed"] is False


def test_an_unknown_lesson_is_refused(run):
    with pytest.raises(UnknownNameError, match="softmax-sharpens"):
        run("softmax-sharpen")
