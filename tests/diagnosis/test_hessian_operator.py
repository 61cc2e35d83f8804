"""Hessian products against torch.func.hessian in float64, layers of many kinds, and what they leave behind: nothing."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy, mse_loss

from thalweg.diagnosis.curvature import HessianOperator, extremes
from thalweg.errors import TrainingError, UsageError


# torch.func.hessian compiles a decomposition in a way that torch itself warns of.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 2, batch_first=True)
        self.head = nn.Linear(2, 3)

    def forward(self, series_NTD):
        return self.head(self.lstm(series_NTD)[0][:, -1])


class Attentive(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, tokens_NTD):
        return self.head(self.layer(tokens_NTD).mean(dim=1))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens_N):
        return self.head(torch.tanh(self.embedding(tokens_N)))


class Bypassed(nn.Module):
    """Parameters without a gradient, and one that the loss is linear in."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, inputs_ND):
        return self.used(inputs_ND)


def perceptron():
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.GELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(8, 3)
    )


ZOO = {
    "perceptron": (perceptron, (4,)),
    "convolutional": (convolutional, (1, 6, 6)),
    "lstm": (Recurrent, (4, 3)),
    "attention": (Attentive, (3, 4)),
    "unused": (Bypassed, (4,)),
    "group norm": (lambda: nn.Sequential(nn.Linear(4, 4), nn.GroupNorm(2, 4), nn.SiLU(), nn.Linear(4, 3)), (4,)),
}


def build(name, counts=(7,)):
    torch.manual_seed(sum(map(ord, name)))
    make, shape = ZOO[name]
    model = make().double()
    return model, [(torch.randn(count, *shape, dtype=torch.float64), torch.randint(0, 3, (count,))) for count in counts]


def full_hessian(model, loss_fn, batches, *, reverse=False):
    """The twin: torch's own, of the mean over all examples; row by row backwards where forward mode has no formula."""
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    parameters = dict(model.named_parameters())
    sizes = [parameters[name].numel() for name in names]
    total = sum(len(targets) for _, targets in batches)

    def loss_of(flat_P):
        pieces = flat_P.split(sizes)
        weights = {name: piece.view_as(parameters[name]) for name, piece in zip(names, pieces, strict=True)}
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        return sum(
            loss_fn(functional_call(model, {**weights, **buffers}, (inputs,)), targets) * len(targets) / total
            for inputs, targets in batches
        )

    weights_P = torch.cat([parameters[name].detach().reshape(-1) for name in names])
    with sdpa_kernel(SDPBackend.MATH):
        if reverse:
            return torch.autograd.functional.hessian(loss_of, weights_P)
        return hessian(loss_of)(weights_P)


def by_columns(operator):
    return torch.stack([operator.matvec(column_P) for column_P in torch.eye(operator.size, dtype=torch.float64)], dim=1)


@pytest.mark.parametrize("counts", [(7,), (8, 5, 2)], ids=["one batch", "unequal batches"])
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "attention" else ()) for name in ZOO]
)
def test_products_are_those_of_the_full_hessian(name, mode, counts):
    model, batches = build(name, counts)
    twin = copy.deepcopy(model).train(mode == "train")
    with HessianOperator(model, cross_entropy, batches, mode=mode) as operator:
        got_PP = by_columns(operator)
        assert operator.products == operator.size
    expected_PP = full_hessian(twin, cross_entropy, batches, reverse=name in {"attention", "convolutional"})
    torch.testing.assert_close(got_PP, expected_PP, rtol=1e-8, atol=1e-10)
    values_P = torch.linalg.eigvalsh(expected_PP)
    found = extremes(operator, most=60)
    assert found.largest.value == pytest.approx(float(values_P[-1]), rel=1e-3)
    assert found.smallest.value == pytest.approx(float(values_P[0]), rel=1e-2, abs=1e-4 * float(values_P[-1]))
    assert found.negative_certified == bool(values_P[0] < -1e-8)


def test_tied_weights_are_one_parameter():
    torch.manual_seed(0)
    model = Tied().double()
    batch = torch.tensor([0, 1, 2, 3, 4, 1]), torch.tensor([1, 2, 3, 4, 0, 3])
    operator = HessianOperator(model, cross_entropy, [batch])
    assert operator.size == 15
    torch.testing.assert_close(by_columns(operator), full_hessian(model, cross_entropy, [batch]))


def test_the_gradient_is_the_mean_over_all_examples():
    model, batches = build("perceptron", (8, 5, 2))
    inputs, targets = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
    expected = torch.autograd.grad(cross_entropy(model(inputs), targets), list(model.parameters()))
    got_P = HessianOperator(model, cross_entropy, batches).gradient_P
    torch.testing.assert_close(got_P, torch.cat([part.reshape(-1) for part in expected]))


def test_dropout_is_one_symmetric_matrix():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 3)).double()
    batches = [(torch.randn(5, 4, dtype=torch.float64), torch.randint(0, 3, (5,))) for _ in range(2)]
    got_PP = by_columns(HessianOperator(model, cross_entropy, batches))
    torch.testing.assert_close(got_PP, got_PP.T)
    assert got_PP.any()


def state_of(model):
    return {
        "modes": [module.training for module in model.modules()],
        "tensors": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "gradients": [(id(p.grad), None if p.grad is None else p.grad.clone()) for p in model.parameters()],
        "wants": [parameter.requires_grad for parameter in model.parameters()],
        "identities": [id(tensor) for tensor in (*model.parameters(), *model.buffers())],
        "versions": [tensor._version for tensor in (*model.parameters(), *model.buffers())],
        "random": torch.get_rng_state(),
        "flat": [id(w) for m in model.modules() if isinstance(m, nn.LSTM) for w in m._flat_weights],
    }


def assert_same(before, after):
    for key in ("modes", "wants", "identities", "versions", "flat"):
        assert before[key] == after[key], key
    assert torch.equal(before["random"], after["random"])
    assert [name for name, _ in before["gradients"]] == [name for name, _ in after["gradients"]]
    for (_, a), (_, b) in zip(before["gradients"], after["gradients"], strict=True):
        assert (a is None) == (b is None)
        assert a is None or torch.equal(a, b)
    assert before["tensors"].keys() == after["tensors"].keys()
    assert all(torch.equal(before["tensors"][name], after["tensors"][name]) for name in before["tensors"])


@pytest.mark.parametrize("mode", ["train", "eval", "keep"])
@pytest.mark.parametrize("name", [*ZOO, "dropout", "renormed"])
def test_the_model_does_not_notice(name, mode):
    if name == "dropout":
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 3))
        batches = [(torch.randn(6, 4), torch.randint(0, 3, (6,)))]
    elif name == "renormed":
        model = nn.Sequential(nn.Embedding(5, 4, max_norm=0.1), nn.Linear(4, 3))
        batches = [(torch.arange(5), torch.randint(0, 3, (5,)))]
    else:
        model, batches = build(name, (5, 3))
    next(model.parameters()).requires_grad_(name != "perceptron")
    list(model.children())[-1].eval()
    if name != "renormed":  # whose own forward pass would change it
        cross_entropy(model(batches[0][0]), batches[0][1]).backward()
    before = state_of(model)
    for chosen in (batches, batches[:1]):
        with HessianOperator(model, cross_entropy, chosen, mode=mode) as operator:
            extremes(operator, most=3)
            assert_same(before, state_of(model))
    assert_same(before, state_of(model))
    with pytest.raises(ZeroDivisionError):
        HessianOperator(model, lambda *_: 1 / 0, batches, mode=mode).matvec(torch.ones(operator.size))
    assert_same(before, state_of(model))


def test_hooks_of_parameters_see_nothing():
    model, batches = build("perceptron")
    seen = []
    for parameter in model.parameters():
        parameter.register_hook(seen.append)
    HessianOperator(model, cross_entropy, batches).matvec(torch.ones(sum(p.numel() for p in model.parameters())))
    assert not seen


@pytest.mark.parametrize("captured", [True, False])
def test_a_loss_that_reads_the_parameters_itself(captured):
    model, batches = build("perceptron")
    kept = list(model.parameters())

    def decayed(outputs, targets):
        weights = kept if captured else model.parameters()
        return cross_entropy(outputs, targets) + 0.5 * sum(weight.square().sum() for weight in weights)

    decay_PP = by_columns(HessianOperator(model, decayed, batches))
    decay_PP -= by_columns(HessianOperator(model, cross_entropy, batches))
    torch.testing.assert_close(decay_PP, torch.eye(len(decay_PP), dtype=torch.float64))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_inputs_may_be_several():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 1)

        def forward(self, left, right):
            return self.head(left * right)

    torch.manual_seed(0)
    model, left, right, targets = Two(), torch.randn(6, 4), torch.randn(6, 4), torch.randn(6, 1)
    first = HessianOperator(model, mse_loss, [((left, right), targets)]).matvec(torch.ones(5))
    second = HessianOperator(model, mse_loss, [({"right": right, "left": left}, targets)]).matvec(torch.ones(5))
    plain = HessianOperator(model.head, mse_loss, [(left * right, targets)]).matvec(torch.ones(5))
    assert torch.equal(first, second)
    torch.testing.assert_close(first, plain)


def test_chosen_parameters_frozen_ones_too():
    model, batches = build("perceptron")
    full_PP = full_hessian(model, cross_entropy, batches)
    model[2].weight.requires_grad_(False)
    operator = HessianOperator(model, cross_entropy, batches, parameters=[model[2].weight])
    torch.testing.assert_close(by_columns(operator), full_PP[25:40, 25:40])
    assert not model[2].weight.requires_grad


def test_sparse_embeddings_and_autocast_and_no_grad():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(4, 3), nn.Tanh(), nn.Linear(3, 3)).double()
    batch = torch.tensor([0, 1, 2, 1]), torch.tensor([0, 1, 2, 2])
    expected_PP = full_hessian(model, cross_entropy, [batch], reverse=True)
    model[0].sparse = True
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        got_PP = by_columns(HessianOperator(model, cross_entropy, [batch]))
    torch.testing.assert_close(got_PP, expected_PP)
    assert model[0].sparse


def test_a_loss_without_curvature_gives_zeros():
    model = nn.Linear(3, 1)
    operator = HessianOperator(model, lambda outputs, _: outputs.mean(), [(torch.randn(4, 3), torch.zeros(4))])
    assert not operator.matvec(torch.ones(4)).any()


def test_invalid_arguments_are_refused():
    model, batches = build("perceptron")
    with pytest.raises(UsageError, match="no batch"):
        HessianOperator(model, cross_entropy, [])
    with pytest.raises(UsageError, match="pair"):
        HessianOperator(model, cross_entropy, ["text"])
    with pytest.raises(UsageError, match="belong"):
        HessianOperator(model, cross_entropy, batches, parameters=[torch.ones(3)])
    with pytest.raises(UsageError, match="no parameter"):
        HessianOperator(nn.ReLU(), cross_entropy, batches)
    with pytest.raises(UsageError, match=r"\(7,\)"):
        HessianOperator(model, nn.CrossEntropyLoss(reduction="none"), batches).gradient_P  # noqa: B018
    with pytest.raises(UsageError, match="shape"):
        HessianOperator(model, cross_entropy, batches).matvec(torch.ones(3))
    with pytest.raises(TrainingError, match="nan"):
        HessianOperator(model, lambda outputs, _: outputs.sum() * float("nan"), batches).gradient_P  # noqa: B018


def test_a_compiled_model_is_unwrapped():
    model, batches = build("perceptron")
    wrapped = torch.compile(model, backend="eager")
    vector_P = torch.ones(sum(p.numel() for p in model.parameters()), dtype=torch.float64)
    got_P = HessianOperator(wrapped, cross_entropy, batches).matvec(vector_P)
    assert torch.equal(got_P, HessianOperator(model, cross_entropy, batches).matvec(vector_P))
