"""Muon against its definition, against torch's for matrices, and the split of a network's parameters."""

import copy
from dataclasses import replace

import pytest
import torch

from thalweg import models
from thalweg.errors import UsageError
from thalweg.runs import TrainingConfig
from thalweg.training.muon import COEFFICIENTS, ITERATIONS, Muon, orthogonal, orthogonal_together
from thalweg.training.optimizers import build_optimizer, muon_split


def literal(matrix):
    """Newton and Schulz's iteration as it is written, in float64."""
    wide = matrix.double() if matrix.shape[0] <= matrix.shape[1] else matrix.double().T
    wide = wide / wide.norm()
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


@pytest.mark.parametrize("shape", [(4, 4), (16, 144), (100, 9), (64, 576)])
def test_the_iteration_in_the_gram_matrix_is_the_iteration(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    torch.testing.assert_close(orthogonal(matrix).double(), literal(matrix), rtol=1e-3, atol=1e-4)


def test_singular_values_come_close_to_one_and_directions_stay():
    torch.manual_seed(1)
    left, _ = torch.linalg.qr(torch.randn(12, 12))
    right, _ = torch.linalg.qr(torch.randn(40, 12))
    found = left.T @ orthogonal(left @ torch.diag(torch.logspace(0, -2, 12)) @ right.T) @ right
    assert (found.diagonal() > 0.6).all()
    assert (found.diagonal() < 1.25).all()
    assert (found - torch.diag(found.diagonal())).abs().max() < 1e-2


def test_matrices_taken_together_become_what_each_becomes_alone():
    torch.manual_seed(5)
    matrices = [torch.randn(shape) for shape in ((16, 144), (100, 9), (16, 144), (16, 20), (9, 9))]
    for found, matrix in zip(orthogonal_together(matrices), matrices, strict=True):
        torch.testing.assert_close(found, orthogonal(matrix), rtol=1e-3, atol=1e-4)


def test_a_step_of_all_at_once_is_a_step_of_one_by_one():
    """As a GPU does it, done here; a kernel without a gradient stays."""
    torch.manual_seed(6)
    starts = [torch.randn(8, 3, 3, 3), torch.randn(4, 8, 1, 1), torch.randn(8, 2, 3, 3)]

    def moved(together):
        kernels = [torch.nn.Parameter(start.to(memory_format=torch.channels_last, copy=True)) for start in starts]
        muon = Muon(kernels, [{"params": [torch.nn.Parameter(torch.zeros(1))]}], lr=0.02, weight_decay=0.1)
        for seed in range(3):
            gradients = [torch.randn(s.shape, generator=torch.Generator().manual_seed(seed)) for s in starts]
            gradients[2] = None
            for kernel, gradient in zip(kernels, gradients, strict=True):
                kernel.grad = gradient
            with torch.no_grad():
                if together:
                    muon._together(torch.tensor([0.02, 0.1, 0.95]), *gradients)
                else:
                    muon._one_by_one(muon.param_groups[0])
        return kernels

    for one, other in zip(moved(together=True), moved(together=False), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_for_matrices_it_is_torchs_up_to_bf16():
    torch.manual_seed(2)
    start, gradients = torch.randn(8, 20), [torch.randn(8, 20) for _ in range(4)]
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    muon = Muon([ours], [{"params": [torch.nn.Parameter(torch.zeros(1))]}], lr=0.02, weight_decay=0.1)
    reference = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        muon.step()
        reference.step()
    moved, expected = (ours - start).flatten(), (theirs - start).flatten()
    assert torch.cosine_similarity(moved, expected, dim=0) > 0.999
    assert (moved.norm() / expected.norm()).item() == pytest.approx(1, abs=0.02)


def test_the_rest_is_torchs_adamw():
    torch.manual_seed(3)
    start = torch.randn(5)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    kernel = torch.nn.Parameter(torch.randn(4, 3, 3, 3))
    muon = Muon([kernel], [{"params": [ours], "weight_decay": 0.0}], lr=0.01)
    adamw = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.0, fused=True)
    for rate in (0.01, 0.005, 0.002):
        for group in (*muon.param_groups, *adamw.param_groups):
            group["lr"] = rate
        ours.grad = theirs.grad = torch.randn(5)
        kernel.grad = torch.randn_like(kernel)
        muon.step()
        adamw.step()
    assert torch.equal(ours, theirs)


def test_kernels_are_muons_and_the_rest_is_adamws():
    model = models.build("resnet18-half", classes=3, size=32)
    matrices, rest = muon_split(model)
    assert {parameter.ndim for parameter in matrices} == {4}
    assert {parameter.ndim for parameter in rest} == {1, 2}
    assert len(matrices) + len(rest) == len(list(model.parameters()))
    groups = build_optimizer(model, TrainingConfig(optimizer="muon", lr=0.01)).param_groups
    assert [group["weight_decay"] for group in groups] == [0.05, 0.05, 0.0]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(4, 6, 3, 2), (4, 6, 1, 1), (6, 1, 3, 3), (1, 5, 2, 1)])
def test_a_kernel_moves_by_its_matrix_in_whatever_order_it_lies(order, shape):
    torch.manual_seed(7)
    start, gradient = torch.randn(shape), torch.randn(shape)
    kernel = torch.nn.Parameter(start.to(memory_format=order, copy=True))
    muon = Muon([kernel], [{"params": [torch.nn.Parameter(torch.zeros(1))]}], lr=0.02, weight_decay=0.0)
    kernel.grad = gradient.clone()
    muon.step()
    update = literal(1.95 * gradient.reshape(len(gradient), -1))
    expected = start.double() - 0.2 * 0.02 * max(update.shape) ** 0.5 * update.view(shape)
    torch.testing.assert_close(kernel.detach().double(), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["muon", "schedule-free"])
def test_a_copy_and_a_loaded_state_go_on_as_the_original(name):
    """As the diagnosis copies a model with its optimizer, and as anybody's own loop keeps one."""
    torch.manual_seed(4)
    model = models.build("resnet-small", classes=3, size=16)
    config = TrainingConfig(optimizer=name, lr=0.01)
    optimizer = build_optimizer(model, config)
    images, labels = torch.randn(8, 3, 16, 16), torch.arange(8) % 3

    def steps(model, optimizer):
        for _ in range(2):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()

    steps(model, optimizer)
    twin, twins = copy.deepcopy((model, optimizer))
    loaded = copy.deepcopy(model)
    loadeds = build_optimizer(loaded, config)
    loadeds.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # torch does not copy what it loads
    for one in ((model, optimizer), (twin, twins), (loaded, loadeds)):
        steps(*one)
    for other in (twin, loaded):
        assert all(map(torch.equal, model.parameters(), other.parameters()))


def test_a_network_without_matrices_is_refused():
    model = torch.nn.Linear(3, 2)
    model.taps = {"top": model}
    with pytest.raises(UsageError, match="adamw"):
        build_optimizer(model, replace(TrainingConfig(), optimizer="muon"))
