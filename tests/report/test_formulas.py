"""The report states the formulas of the run's own loss, optimizer and schedule, and none that it does not know."""

import re

import pytest

from thalweg.i18n import LANGUAGES, speaking
from thalweg.report.formulas import formula_section


class Folder:
    """The part of a run's folder that the section reads."""

    def __init__(self, **training):
        self.training = training


def said(folder):
    """The alternative texts of the equations, and the words."""
    html = formula_section(folder) or ""
    return re.findall(r'display="block" alttext="([^"]*)"', html), re.sub(r"<[^>]*>", " ", html)


def test_a_usual_run():
    folder = Folder(loss="cross-entropy", label_smoothing=0.1, optimizer="adamw", weight_decay=0.05,
                    schedule="warmup(5%) > cosine")  # fmt: skip
    equations, words = said(folder)
    assert equations[0] == "L = −∑_{c=1}^C t_c ln(p_c)"
    assert "t_c = (1 − s) o_c + s / C" in equations
    assert "θ_t = (1 − η_t λ) θ_{t−1} − η_t m̂_t / σ_t" in equations
    assert "f(t) = {f₁(t), t &lt; b₁; f₂(t − b₁), t ≥ b₁}" in equations
    assert "λ = 0.05" in words
    assert "s = 0.1" in words


@pytest.mark.parametrize(
    ("training", "equation"),
    [
        ({"optimizer": "sgd", "momentum": 0.9}, "m_t = μ m_{t−1} + g_t"),
        ({"optimizer": "sgd", "weight_decay": 0.1}, "g_t = ∇L(θ_{t−1}) + λ θ_{t−1}"),
        ({"loss": "mse", "label_smoothing": 0.0}, "L = ∑_{c=1}^C (t_c − p_c)²"),
        ({"schedule": "cosine over 50% > linear"}, "f₂(t) = s₂ + (e₂ − s₂) t / T₂"),
    ],
)
def test_what_the_configuration_says(training, equation):
    assert equation in said(Folder(**training))[0]


def test_a_decay_that_is_not_written_down_has_no_number():
    assert "λ =" not in said(Folder(optimizer="adamw"))[1]
    assert "λ = 0.2" in said(Folder(optimizer="adamw", weight_decay=0.2))[1]


def test_a_fit_of_the_classifier_has_no_optimizer_and_no_schedule():
    training = {"loss": "cross-entropy", "optimizer": "adamw", "schedule": "cosine", "label_smoothing": 0.0}
    equations, words = said(Folder(**training, fit_head=True, freeze="all"))
    assert (equations, words) == said(Folder(loss="cross-entropy", label_smoothing=0.0))
    assert equations != said(Folder(**training, fit_head=True, freeze="stem"))[0]


def test_muon_has_its_own_formula_and_that_of_the_rest():
    equations, words = said(Folder(optimizer="muon", weight_decay=0.05))
    assert "θ_t = (1 − η_t λ) θ_{t−1} − 0.2 η_t √max(R, K) O_t" in equations
    assert "θ_t = (1 − η_t λ) θ_{t−1} − η_t m̂_t / σ_t" in equations
    assert "μ = 0.95" in words


@pytest.mark.parametrize(
    "training",
    [{}, {"optimizer": "rotor"}, {"optimizer": 3, "loss": [], "schedule": None}, {"optimizer": "sgd", "momentum": -1},
     {"schedule": "cosin("}, {"loss": "cross-entropy", "label_smoothing": 7}],
)  # fmt: skip
def test_what_has_no_formula_is_left_out(training):
    assert formula_section(Folder(**training)) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_name_is_escaped_and_symbols_are_explained(language):
    with speaking(language):
        html = formula_section(Folder(optimizer="adam", schedule="warmup(5%) > cosine"))
    assert "warmup(5%) &gt; cosine" in html
    assert ("梯度" if language == "zh-CN" else "gradient") in html
    assert html.count("<math") == html.count("</math>")
