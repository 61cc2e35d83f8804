"""The ends of a spectrum against the full Hessian in float64: layers of many kinds, saddles, several seeds."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from thalweg.diagnosis.curvature import HessianOperator, extremes
from thalweg.errors import TrainingError, UsageError


class Matrix:
    """A symmetric matrix as an operator, which counts its products."""

    def __init__(self, matrix_PP):
        self.matrix_PP = matrix_PP
        self.dtype, self.device, self.size = matrix_PP.dtype, matrix_PP.device, len(matrix_PP)
        self.products = 0

    def matvec(self, vector_P):
        self.products += 1
        return self.matrix_PP @ vector_P


def with_spectrum(values_P, seed, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    axes_PP, _ = torch.linalg.qr(torch.randn(len(values_P), len(values_P), generator=random, dtype=torch.float64))
    matrix_PP = (axes_PP * values_P.double()) @ axes_PP.T
    return Matrix(((matrix_PP + matrix_PP.T) / 2).to(dtype))


SPECTRA = {
    "outliers": torch.cat([torch.linspace(-0.1, 1, 190), torch.tensor([5.0, 7, 9, 20])]),
    "symmetric": torch.linspace(-3, 3, 200),
    "indefinite": torch.cat([torch.linspace(-0.5, 0.4, 150), torch.tensor([-2.0, 1.5])]),
    "negative": -torch.linspace(0.1, 4, 120),
    "few values": torch.tensor([2.0] * 50 + [-1.0] * 50),
    "low rank": torch.cat([torch.zeros(100), torch.tensor([4.0, 9.0])]),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", SPECTRA)
def test_both_ends_of_a_known_spectrum(name, seed, dtype):
    values_P = SPECTRA[name]
    matrix = with_spectrum(values_P, seed, dtype)
    found = extremes(matrix, most=100, seed=seed)
    assert found.products == matrix.products
    for end, truth in ((found.largest, values_P.max()), (found.smallest, values_P.min())):
        scale = float(values_P.abs().max())
        assert end.converged
        assert end.value == pytest.approx(float(truth), rel=1e-3, abs=3e-6 * scale)
        assert (values_P - end.value).abs().min() <= end.residual
        assert end.vector_P.norm() == pytest.approx(1.0, abs=1e-5)
        assert float((matrix.matrix_PP @ end.vector_P - end.value * end.vector_P).norm()) <= 1.01 * end.residual
    assert found.negative_certified == bool(values_P.min() < -1e-6)


@pytest.mark.parametrize("most", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("name", SPECTRA)
def test_an_eigenvalue_lies_within_the_residual_however_early_it_stops(name, most):
    values_P = SPECTRA[name]
    for seed in range(5):
        found = extremes(with_spectrum(values_P, seed), most=most, tolerance=1e-9, seed=seed)
        assert found.products <= most
        for end in (found.largest, found.smallest):
            assert (values_P - end.value).abs().min() <= end.residual
        assert found.largest.value <= values_P.max() + 1e-9
        assert found.smallest.value >= values_P.min() - 1e-9


def test_negative_curvature_is_never_certified_of_a_matrix_without():
    for dtype in (torch.float32, torch.float64):
        for seed in range(10):
            values_P = torch.cat([torch.zeros(60), torch.rand(40, generator=torch.Generator().manual_seed(seed)) * 9])
            found = extremes(with_spectrum(values_P, seed, dtype), seed=seed)
            assert not found.negative_certified
            assert found.curvature_floor > -1e-2


def test_the_zero_matrix_is_flat():
    found = extremes(Matrix(torch.zeros(7, 7)))
    assert (found.largest.value, found.smallest.value, found.products) == (0.0, 0.0, 1)
    assert not found.negative_certified


def test_a_start_near_the_eigenvectors_saves_products():
    values_P = SPECTRA["indefinite"]
    first = extremes(with_spectrum(values_P, 1))
    changed = with_spectrum(values_P * 1.05, 1)
    changed.matrix_PP += 0.01 * with_spectrum(torch.linspace(-1, 1, len(values_P)), 5).matrix_PP
    again = extremes(changed, start=first)
    assert again.products <= 5 < extremes(changed, tolerance=1e-3).products
    truth_P = torch.linalg.eigvalsh(changed.matrix_PP)
    assert again.largest.value == pytest.approx(float(truth_P[-1]), rel=1e-2)
    assert again.smallest.value == pytest.approx(float(truth_P[0]), rel=1e-2)


def test_a_start_in_an_eigenvector_does_not_hide_a_larger_one():
    matrix = with_spectrum(torch.cat([torch.linspace(0, 1, 100), torch.tensor([5.0, 8.0])]), 2)
    vectors_PP = torch.linalg.eigh(matrix.matrix_PP)[1]
    assert extremes(matrix, start=vectors_PP[:, -2]).largest.value == pytest.approx(8.0, rel=1e-3)


def test_the_preconditioned_spectrum_is_that_of_the_similar_matrix():
    random = torch.Generator().manual_seed(0)
    matrix = with_spectrum(SPECTRA["indefinite"], 3)
    diagonal_P = torch.rand(matrix.size, generator=random, dtype=torch.float64) + 0.1
    truth_P = torch.linalg.eigvals(matrix.matrix_PP / diagonal_P[:, None]).real.sort()[0]
    found = extremes(matrix, preconditioner_P=diagonal_P, most=100)
    assert found.largest.value == pytest.approx(float(truth_P[-1]), rel=1e-3)
    assert found.smallest.value == pytest.approx(float(truth_P[0]), rel=1e-3)


def two_layers(seed, inputs=6, hidden=8, outputs=4, scale=1e-3):
    """A linear network near the origin, which is a saddle: its spectrum is ± the singular values of Σ y xᵀ."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(inputs, hidden, bias=False), nn.Linear(hidden, outputs, bias=False))
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(scale)
    return model, (torch.randn(30, inputs), torch.randn(30, outputs))


@pytest.mark.parametrize("seed", range(8))
def test_a_saddle_with_a_symmetric_spectrum_is_seen(seed):
    model, (inputs, targets) = two_layers(seed)
    found = extremes(HessianOperator(model, mse_loss, [(inputs, targets)]), seed=seed)
    truth = float(torch.linalg.matrix_norm(2 * targets.T @ inputs / targets.numel(), 2))
    assert found.negative_certified
    assert found.products <= 40
    assert found.largest.value == pytest.approx(truth, rel=2e-3)
    assert found.smallest.value == pytest.approx(-truth, rel=2e-3)


def test_at_the_very_saddle_the_gradient_is_no_start():
    model, batch = two_layers(0, scale=0.0)
    hessian = HessianOperator(model, mse_loss, [batch])
    assert not hessian.gradient_P.any()
    assert extremes(hessian).negative_certified


def test_what_cannot_be_meant_is_said():
    matrix = with_spectrum(SPECTRA["low rank"], 0)
    with pytest.raises(UsageError, match="tolerance"):
        extremes(matrix, tolerance=0.0)
    with pytest.raises(UsageError, match="at least 1"):
        extremes(matrix, most=0)
    with pytest.raises(UsageError, match="preconditioner"):
        extremes(matrix, preconditioner_P=torch.zeros(matrix.size))
    with pytest.raises(UsageError, match="shape"):
        extremes(matrix, preconditioner_P=torch.ones(3))
    matrix.matrix_PP[3, 3] = float("nan")
    with pytest.raises(TrainingError, match="finite"):
        extremes(matrix)


def test_it_takes_no_random_number_of_the_users():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    torch.manual_seed(5)
    extremes(HessianOperator(model, cross_entropy, [(torch.ones(2, 4), torch.tensor([0, 1]))]), most=5)
    assert torch.equal(torch.rand(3), expected)
