"""What a batch shows exactly: several classes, scores cut to zero, numbers for what is missing, dropout left on."""

import types

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, margin_ranking_loss, mse_loss, nll_loss

import thalweg
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.affine import affine_measures
from thalweg.diagnosis.measures.batch import of_batch
from thalweg.diagnosis.measures.dropout import dropout_left_on
from thalweg.probes.batches import Batch, read_batches
from thalweg.probes.copies import Copy


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer(outputs, *after):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, outputs), *after)


INPUTS_NF = drawn(64, 6)
SEVERAL_NC = (drawn(64, 5, seed=1) > -0.5).float()
LABELS_N = torch.arange(64) % 5


@pytest.mark.parametrize(
    ("targets", "loss_fn", "expected"),
    [
        (SEVERAL_NC, cross_entropy, True),
        (SEVERAL_NC, binary_cross_entropy_with_logits, None),
        (functional.one_hot(LABELS_N, 5).float(), cross_entropy, False),
        (drawn(64, 5).softmax(dim=1), cross_entropy, False),
        (LABELS_N, cross_entropy, None),
    ],
)
def test_a_softmax_for_several_classes_at_once(targets, loss_fn, expected):
    share = of_batch(layer(5), loss_fn, [Batch(INPUTS_NF, targets)]).get("several_labels")
    assert share is None if expected is None else (share > 0.5) == expected


@pytest.mark.parametrize("targets", [3 * drawn(64, 5), 4 * SEVERAL_NC], ids=["a teacher's logits", "counts"])
def test_targets_of_a_softmax_that_are_no_labels(targets):
    def distilled(outputs, scores):
        return -(scores.softmax(dim=1) * outputs.log_softmax(dim=1)).sum(dim=1).mean()

    assert "several_labels" not in of_batch(layer(5), distilled, [Batch(INPUTS_NF, targets)])


def test_scores_that_a_relu_cuts():
    model = layer(5, nn.ReLU())
    with torch.no_grad():
        model[0].bias[:2] = -50.0
    assert of_batch(model, cross_entropy, [Batch(INPUTS_NF, LABELS_N)])["scores_cut"] == pytest.approx(0.4)
    assert "scores_cut" not in of_batch(layer(5), cross_entropy, [Batch(INPUTS_NF, LABELS_N)])


def as_probabilities(outputs, labels):
    """What Keras does with the outputs of a last layer."""
    shares = (outputs / (outputs.sum(dim=1, keepdim=True) + 1e-7)).clamp(1e-7, 1 - 1e-7)
    return nll_loss(shares.log(), labels)


def as_distances(outputs, labels):
    return cross_entropy(-outputs, labels)


def test_true_classes_that_a_relu_cuts():
    torch.manual_seed(0)
    model = layer(5, nn.ReLU())
    true_N = model(INPUTS_NF).detach().gather(1, LABELS_N[:, None])
    share = float((true_N == 0).float().mean())
    assert 0.2 < share < 0.8
    for loss_fn in (cross_entropy, as_probabilities):
        assert of_batch(model, loss_fn, [Batch(INPUTS_NF, LABELS_N)])["truths_cut"] == pytest.approx(share)
    # the nearest class has the distance 0; and a linear layer holds nothing there
    assert "truths_cut" not in of_batch(model, as_distances, [Batch(INPUTS_NF, LABELS_N)])
    assert "truths_cut" not in of_batch(layer(5), cross_entropy, [Batch(INPUTS_NF, LABELS_N)])
    alone = torch.where(torch.arange(len(LABELS_N)) < 8, LABELS_N, -100)
    some = of_batch(model, cross_entropy, [Batch(INPUTS_NF, alone)])["truths_cut"]
    assert some == pytest.approx(float((true_N[:8] == 0).float().mean()))


def squared(outputs, labels):
    return (outputs - functional.one_hot(labels, 5)).square().sum(dim=1).mean()


def test_squared_errors_of_classes_fit_a_relu_that_is_not_dead():
    """Zero is the right output for all classes but one; only where every output is zero nothing can be learned."""
    torch.manual_seed(0)
    model = layer(5, nn.ReLU())
    found = of_batch(model, squared, [Batch(INPUTS_NF, LABELS_N)])
    assert "truths_cut" not in found
    assert found["outputs_dead"] == found["out_of_reach"] == 0
    with torch.no_grad():
        model[0].bias.fill_(-50.0)
    dead = of_batch(model, squared, [Batch(INPUTS_NF, LABELS_N)])
    assert dead["outputs_dead"] == 1
    assert judge({"steps": 600.0, "loss_last": 1.0, "left": 0.01} | dead).code == "dead_units"


def test_the_verdict_on_true_classes_that_are_cut():
    learning = {"steps": 200.0, "loss_constant": 2.3, "loss_last": 1.0, "falling": 0.3, "left": 0.4}
    verdict = judge(learning | {"truths_cut": 0.3})
    assert verdict.code == "wrong_loss"
    assert [fix.code for fix in verdict.fixes] == ["no_last_relu"]
    assert judge(learning | {"truths_cut": 0.03}).code == "healthy"


@pytest.mark.parametrize(
    ("targets_N", "share"),
    [
        (torch.cat([drawn(62), torch.full((2,), -999.0)]), 2 / 64),
        (torch.cat([drawn(63), torch.full((1,), -999.0)]), 1 / 64),
        (drawn(64), 0),
        (drawn(64).exp() * 100, 0),
        (torch.cat([drawn(32).exp(), torch.zeros(32)]), 0),  # rain: none on half of the days
        (torch.cat([torch.zeros(60), torch.ones(4)]), 0),
    ],
)
def test_a_number_that_stands_for_missing(targets_N, share):
    found = of_batch(layer(1), mse_loss, [Batch(INPUTS_NF, targets_N[:, None])])
    assert found["targets_filled"] == pytest.approx(share)


def test_a_number_that_the_inputs_foretell_is_a_target():
    """The end of an episode is worth -10, wherever the first input is large."""
    inputs_NF = drawn(64, 3)
    inputs_NF[:4, 0] = 40.0
    targets_N1 = 0.1 * drawn(64, 1)
    targets_N1[:4] = -10.0
    model = nn.Linear(3, 1)
    assert of_batch(model, mse_loss, [Batch(inputs_NF, targets_N1)])["targets_filled"] == pytest.approx(4 / 64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[-0.25, 0.0, 0.0]]))
        model.bias.zero_()
    assert of_batch(model, mse_loss, [Batch(inputs_NF, targets_N1)])["targets_filled"] == 0


def test_targets_that_belong_to_no_single_output_are_not_judged_one_by_one():
    """Pairs to rank all say "the first is larger"; of a chosen action, the end of an episode is one number."""
    ranking = lambda scores_N2, sign_N: margin_ranking_loss(scores_N2[:, 0], scores_N2[:, 1], sign_N)  # noqa: E731
    found = of_batch(layer(2), ranking, [Batch(INPUTS_NF, torch.ones(64))])
    assert "targets_kinds" not in found
    worth = lambda values_NA, worth_N: mse_loss(values_NA[:, 0], worth_N)  # noqa: E731
    ended_N = torch.cat([drawn(62), torch.full((2,), -999.0)])
    assert "targets_filled" not in of_batch(layer(4), worth, [Batch(INPUTS_NF, ended_N)])
    assert of_batch(layer(1), mse_loss, [Batch(INPUTS_NF, torch.ones(64, 1))])["targets_kinds"] == 1


class Scores(nn.Module):
    """How well each of six words goes with a first one."""

    def __init__(self):
        super().__init__()
        self.first, self.other = nn.Embedding(20, 8), nn.Embedding(20, 8)

    def forward(self, words_N7):
        return (self.first(words_N7[:, :1]) * self.other(words_N7[:, 1:])).sum(dim=-1)


def test_scores_of_pairs_of_which_the_first_belongs_together():
    words_N7 = torch.randint(0, 20, (64, 7), generator=torch.Generator().manual_seed(0))
    signs = torch.tensor([1.0, -1, -1, -1, -1, -1]).expand(64, 6)
    sampled = lambda scores, signs: -functional.logsigmoid(scores * signs).sum(dim=1).mean()  # noqa: E731
    for loss_fn, targets in ((sampled, signs), (cross_entropy, torch.zeros(64, dtype=torch.long))):
        found = of_batch(Scores(), loss_fn, [Batch(words_N7, targets)])
        assert "targets_kinds" not in found
        assert found["loss_constant"] > 1  # one number for all of them: nothing else tells the first from the others
    for loss_fn, targets in ((sampled, signs), (cross_entropy, torch.zeros(64, dtype=torch.long))):
        assert of_batch(layer(6), loss_fn, [Batch(INPUTS_NF, targets)])["targets_kinds"] == 1
    assert of_batch(Scores(), sampled, [Batch(words_N7, torch.ones(64, 6))])["targets_kinds"] == 1
    second = torch.ones(64, dtype=torch.long)  # of a loader that is sorted by class
    assert of_batch(Scores(), cross_entropy, [Batch(words_N7, second)])["targets_kinds"] == 1


class Dropping(nn.Module):
    def __init__(self, *, follows):
        super().__init__()
        self.layer, self.follows = nn.Linear(6, 2), follows

    def forward(self, inputs):
        return functional.dropout(self.layer(inputs), 0.3, training=self.training if self.follows else True)


def test_dropout_that_works_in_evaluation():
    batch = Batch(INPUTS_NF, LABELS_N)
    assert dropout_left_on(Dropping(follows=False), batch)["dropout_left_on"] == pytest.approx(0.3)
    assert dropout_left_on(Dropping(follows=True), batch)["dropout_left_on"] == 0
    assert dropout_left_on(layer(2, nn.Dropout(0.5)), batch)["dropout_left_on"] == 0


@pytest.mark.parametrize("bound", [False, True])
def test_a_forward_pass_put_on_an_instance_is_copied_with_it(bound):
    model = layer(2)
    inner = model.forward
    forward = types.MethodType(lambda self, x: 2 * self[0](x), model) if bound else lambda x: 2 * inner(x)
    model.forward = forward
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=1.0), cross_entropy)
    before = model(INPUTS_NF)
    copied.step(lambda: copied.model(INPUTS_NF).square().sum())
    assert torch.equal(model(INPUTS_NF), before)
    assert not torch.equal(copied.model(INPUTS_NF), before)


@pytest.mark.parametrize(
    ("model", "affine"),
    [
        (layer(8, nn.Linear(8, 3)), 1.0),
        (layer(8, nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3), nn.Softmax(dim=1)), 1.0),
        (layer(8, nn.Linear(8, 1), nn.Sigmoid()), 1.0),
        (layer(8, nn.ReLU(), nn.Linear(8, 3)), 0.0),
        (layer(3), None),  # one layer is a choice
    ],
)
def test_layers_without_an_activation(model, affine):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torch.no_grad():
        for parameter in model.parameters():  # weights that have shrunk so far that no ReLU bends
            parameter.mul_(1e-3)
    copied = Copy.of(model, optimizer, cross_entropy)
    assert affine_measures(copied, Batch(INPUTS_NF, LABELS_N)).get("affine") == affine


def test_dummies_in_place_of_targets_are_not_judged():
    def triplet(outputs, _targets):
        return outputs[:32].square().mean()

    found = of_batch(layer(3), triplet, [Batch(INPUTS_NF, torch.ones(64))])
    assert not [name for name in found if name.startswith("targets_")]
    assert of_batch(layer(1), mse_loss, [Batch(INPUTS_NF, torch.ones(64, 1))])["targets_kinds"] == 1


def test_a_network_that_calls_many_samples_rare_does_not_neglect_them():
    labels_N = torch.zeros(64, dtype=torch.long)
    labels_N[0] = 1
    said = []
    for bias in (-50.0, 50.0):
        model = layer(2)
        with torch.no_grad():
            model[0].bias[1] = bias
        said.append(of_batch(model, cross_entropy, [Batch(INPUTS_NF, labels_N)])["rare_said"])
    assert said == [0.0, 64.0]


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("seen", [True, False])
def test_a_network_that_tells_rare_samples_from_others_could_find_them(columns, seen):
    inputs = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    rare = inputs[:, 0] > 1.8
    model = nn.Sequential(nn.Linear(3, columns))
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].weight[-1, 0 if seen else 1] = 0.1  # it never says that one is rare
        model[0].bias[-1] = -9.0
    targets, loss_fn = (
        (rare.float()[:, None], binary_cross_entropy_with_logits) if columns == 1 else (rare.long(), cross_entropy)
    )
    found = of_batch(model, loss_fn, [Batch(inputs, targets)])
    assert found["rare_found"] == found["rare_said"] == 0
    assert (found["rare_ranked"] > 0.99) == seen
    few = of_batch(model, loss_fn, [Batch(inputs[:60], targets[:60])])
    assert few["largest_class"] > 0.9
    assert "rare_ranked" not in few


def test_a_network_that_could_find_the_rare_samples_and_does_not():
    falling = {
        "steps": 400.0,
        "falling": 0.1,
        "loss_first": 0.6,
        "loss_last": 0.09,
        "loss_constant": 0.14,
        "left": 0.15,
    }
    rare = {"largest_class": 0.97, "rare_found": 0.05, "rare_said": 0.05}
    assert judge(falling | rare | {"rare_ranked": 0.97}).code == "class_imbalance"
    assert judge(falling | rare | {"rare_ranked": 0.6}).code == "healthy"
    assert judge(falling | rare | {"rare_ranked": 0.97, "rare_found": 0.6}).code == "healthy"
    half = falling | {"largest_class": 0.95, "rare_ranked": 0.98, "learns": 1.0}
    assert judge(half | {"rare_found": 0.5, "rare_said": 0.53}).code == "class_imbalance"
    assert judge(half | {"rare_found": 0.5, "rare_said": 0.9}).code == "healthy"


class Numbers(nn.Module):
    """Multiplies whole numbers as they are, or looks them up."""

    def __init__(self, *, looks_up):
        super().__init__()
        self.table = nn.Embedding(60, 2) if looks_up else None
        self.layer = nn.Linear(16 if looks_up else 8, 2)

    def forward(self, numbers):
        return self.layer(self.table(numbers).flatten(1) if self.table else numbers.float())


def test_whole_numbers_that_are_multiplied_as_they_are():
    labels = torch.arange(64) % 2

    def asked(model, numbers):
        return of_batch(model, cross_entropy, [Batch(numbers, labels)]).get("ids_as_numbers")

    words = torch.randint(60, (64, 8), generator=torch.Generator().manual_seed(0))
    assert asked(Numbers(looks_up=False), words) == 1
    assert asked(Numbers(looks_up=True), words) is None
    assert asked(Numbers(looks_up=False), words.to(torch.uint8)) == 0
    outdone = {"steps": 300.0, "falling": 0.0, "left": 0.98, "loss_last": 0.68, "loss_constant": 0.69, "fit_left": 0.02}
    verdict = judge(outdone | {"ids_as_numbers": 1.0, "avoidable": 0.36})
    assert (verdict.code, [fix.code for fix in verdict.fixes]) == ("bad_inputs", ["look_up"])
    assert judge(outdone | {"ids_as_numbers": 1.0, "avoidable": 0.0}).code != "bad_inputs"


def test_labels_that_the_loss_leaves_out_are_no_class():
    labels = torch.arange(64) % 3
    left_out = torch.where(torch.arange(64) < 24, 2, -100)
    few = torch.where(torch.arange(64) < 40, labels, -100)
    alone, several = (of_batch(layer(3), cross_entropy, [Batch(INPUTS_NF, one)]) for one in (left_out, few))
    assert (alone["targets_kinds"], alone["targets_count"]) == (1, 24)
    assert (several["targets_kinds"], several["targets_count"]) == (3, 40)
    assert several["largest_class"] == pytest.approx(14 / 40)
    assert judge({"steps": 100.0, **alone}).code == "bad_targets"


def from_one(outputs, labels):
    labels -= 1
    return cross_entropy(outputs, labels)


def squashing(outputs, targets):
    outputs.sigmoid_()
    return mse_loss(outputs, targets)


class Scaling(nn.Module):
    """Writes into its inputs."""

    def __init__(self, outputs):
        super().__init__()
        self.layer = nn.Linear(6, outputs)

    def forward(self, x):
        return self.layer(x.mul_(2))


@pytest.mark.parametrize(
    ("loss_fn", "targets"),
    [(from_one, LABELS_N + 1), (squashing, SEVERAL_NC), (cross_entropy, LABELS_N)],
    ids=["labels", "outputs", "inputs"],
)
def test_what_a_loss_or_a_network_writes_into_stays_the_user_s(loss_fn, targets):
    model = Scaling(5) if loss_fn is cross_entropy else layer(5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs, given = INPUTS_NF.clone(), targets.clone()
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(20):
            optimizer.zero_grad()
            loss = loss_fn(model(inputs.clone()), given.clone())
            loss.backward()
            optimizer.step()
            watch.step(loss)
    verdict = watch.diagnose(batch=(inputs, given), loss_fn=loss_fn, seconds=0.2)
    assert torch.equal(inputs, INPUTS_NF)
    assert torch.equal(given, targets)
    assert verdict.code not in ("bad_targets", "wrong_loss")
    assert "batch_fails" not in verdict.unchecked
    assert "loss_constant" in verdict.measures


def test_one_tensor_that_is_input_and_target_is_still_one():
    """The loss of a differential equation takes derivatives by the inputs, which it gets as targets."""
    x = torch.linspace(0, 1, 16)[:, None].requires_grad_()
    (batch,) = read_batches((x, x), nn.Linear(1, 1))
    assert batch.inputs is batch.targets
    assert batch.inputs.requires_grad
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    (slope,) = torch.autograd.grad(batch.outputs(model).sum(), batch.targets)
    assert bool(slope.any())
