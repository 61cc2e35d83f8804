"""Traces of the lab, diagnosed by the code that diagnoses networks."""

import pytest

from thalweg import surfaces
from thalweg.diagnosis import diagnose_trace
from thalweg.paths import trace


@pytest.mark.parametrize(
    ("surface", "rule", "options", "expected"),
    [
        ("bowl", "sgd", {"lr": 1e-5, "steps": 200}, {"lr_too_small"}),
        ("bowl", "sgd", {"lr": 0.3, "steps": 200}, {"converged"}),
        ("bowl", "sgd", {"lr": 10.0, "steps": 200}, {"diverged"}),
        (
            "0.01*x**2 + 10*y**2",
            "sgd",
            {"lr": 0.098, "steps": 150, "start": (-8.0, 0.5)},
            {"ill_conditioned", "healthy"},
        ),
        ("x**2 - y**2 + y**4 + 1", "sgd", {"lr": 0.05, "steps": 300, "start": (1.0, 0.0)}, {"saddle"}),
    ],
)
def test_the_cause_of_a_path(surface, rule, options, expected):
    where = surfaces.get(surface) if surface == "bowl" else surfaces.parse(surface)
    assert diagnose_trace(trace(where, rule, **options)).code in expected


def test_curvature_is_exact():
    path = trace(surfaces.parse("3*x**2 + 0.5*y**2"), "sgd", lr=0.01, steps=50, start=(1.0, 1.0))
    measures = diagnose_trace(path).measures
    assert measures["largest_eigenvalue"] == pytest.approx(6)
    assert measures["smallest_eigenvalue"] == pytest.approx(1)
    assert measures["sharpness_ratio"] == pytest.approx(6 * 0.01 / 2)
