"""The commands print formulas, and give them to programs."""

import json

import pytest

from thalweg.cli import lesson, schedule, surface
from thalweg.formulas import names
from thalweg.i18n import speaking
from thalweg.lessons import get
from thalweg.lessons import names as lesson_names


def test_a_surface_prints_the_formulas_of_its_optimizers_and_schedule(command_runner):
    run = command_runner(surface, "surface")
    arguments = (
        "bowl",
        "--optimizers",
        "adam,adam=0.5,adagrad_mean",
        "--schedule",
        "multi_step(50%, 75%)",
        "--steps",
        "9",
    )
    printed = run(*arguments).stdout
    assert printed.count("m̂_t = m_t / (1 − β₁ᵗ)") == 1
    assert "σ_t = √((1 / t) ∑_{i=1}^t g_i²) + ε" in printed
    assert "with β₁ = 0.9, β₂ = 0.999, ε = 10⁻⁸" in printed
    assert "with γ = 0.1, s₁ = 4.5, s₂ = 6.75" in printed
    found = json.loads(run(*arguments, "--json").stdout)["formulas"]
    assert [one["name"] for one in found] == ["adam", "adam", "adagrad_mean", "multi_step(50%, 75%)"]
    assert found[0]["settings"]["β₁"] == 0.9


def test_a_schedule_prints_its_formula(command_runner):
    run = command_runner(schedule, "schedule")
    with speaking("zh-CN"):
        printed = run("warmup(5%) > cosine", "--steps", "200").stdout
    assert "公式" in printed
    assert "f(t) = {f₁(t), t < b₁; f₂(t − b₁), t ≥ b₁}" in printed
    assert "其中 b₁ = 10、" in printed
    assert json.loads(run("cosine", "--json").stdout)["formula"] == ["f(t) = e + (1 − e) (1 + cos(π t / T)) / 2"]


def test_a_lesson_prints_its_formulas(command_runner):
    run = command_runner(lesson, "lesson")
    found = json.loads(run("softmax-sharpens", "--json").stdout)["formulas"]
    assert found == [{"name": "softmax", "lines": ["p_c = e^y_c / (∑_{k=1}^C e^y_k)"], "settings": {}}]


@pytest.mark.parametrize("name", lesson_names())
def test_a_lesson_s_formulas_are_known(name):
    assert set(get(name).formulas) <= set(names())
