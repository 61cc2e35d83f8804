"""Whether a loss fits a network's outputs: pairs of torch's own losses with heads, right and wrong."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.batch import of_batch
from thalweg.diagnosis.measures.head import class_dim, head_of
from thalweg.diagnosis.measures.loss import of_loss
from thalweg.probes.batches import Batch


N, C = 12, 4
FLAGS = (
    "loss_blind",
    "outputs_fixed",
    "squashed_twice",
    "softmax_misplaced",
    "log_missing",
    "outputs_dead",
    "improper",
)

LABELS = torch.arange(N) % C
HOT = functional.one_hot(LABELS, C).float()
MANY = (torch.rand(N, C, generator=torch.Generator().manual_seed(1)) > 0.5).float()
FEW = (torch.rand(N, C, generator=torch.Generator().manual_seed(1)) > 0.8).float()
ONE = (torch.arange(N) % 2).float()[:, None]
TABLE = torch.linspace(-2, 2, N)[:, None]
SHARES = torch.softmax(torch.randn(N, C, generator=torch.Generator().manual_seed(2)), dim=1)

WEIGHTED = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 1.0, 0.2]), label_smoothing=0.1)


def focal(logits, labels):
    losses = functional.cross_entropy(logits, labels, reduction="none")
    return ((1 - (-losses).exp()).square() * losses).mean()


def tokens(outputs, labels):
    return functional.cross_entropy(outputs.flatten(0, 1), labels.flatten())


def divergence(head, temperature=1.0):
    """Distillation: a divergence from soft labels, of what `head` makes of the logits."""
    return lambda logits, shares: functional.kl_div(head(logits / temperature), shares, reduction="batchmean")


def dice(head):
    def loss(outputs, targets):
        shares = head(outputs)
        return 1 - (2 * (shares * targets).sum() + 1) / (shares.sum() + targets.sum() + 1)

    return loss


def contrastive(distances, apart):
    return ((1 - apart) * distances.square() + apart * functional.relu(2 - distances).square()).mean()


def smoothed(logits, targets):
    return functional.binary_cross_entropy_with_logits(logits, 0.8 * targets + 0.1)


def likelihood(outputs, targets):
    return functional.gaussian_nll_loss(outputs[:, :1], targets, outputs[:, 1:].exp())


def none(outputs):
    return outputs * 1.0


def softmax(dim):
    return lambda outputs: outputs.softmax(dim)


def log_softmax(dim):
    return lambda outputs: outputs.log_softmax(dim)


RIGHT = [
    ("cross-entropy", C, none, functional.cross_entropy, LABELS),
    ("weighted and smoothed", C, none, WEIGHTED, LABELS),
    ("focal", C, none, focal, LABELS),
    ("soft labels", C, none, functional.cross_entropy, SHARES),
    ("NLL after log-softmax", C, log_softmax(1), functional.nll_loss, LABELS),
    ("summed NLL after log-softmax", C, log_softmax(1), nn.NLLLoss(reduction="sum"), LABELS),
    ("cross-entropy after log-softmax", C, log_softmax(1), functional.cross_entropy, LABELS),
    ("KL after log-softmax", C, log_softmax(1), nn.KLDivLoss(reduction="batchmean"), SHARES),
    ("distillation", C, none, divergence(log_softmax(1), temperature=4.0), SHARES),
    ("squared error of a softmax in the loss", C, none, lambda o, p: (o.softmax(1) - p).square().mean(), SHARES),
    ("Dice of probabilities", C, none, dice(torch.sigmoid), MANY),
    ("negative Dice", C, none, lambda o, y: dice(torch.sigmoid)(o, y) - 1, MANY),
    ("contrastive, 1 is apart", 1, torch.abs, contrastive, ONE),
    ("hinge", 1, none, lambda o, y: functional.relu(1 - o * (2 * y - 1)).mean(), ONE),
    ("smoothed BCE", C, none, smoothed, MANY),
    ("BCE of one logit", 1, none, functional.binary_cross_entropy_with_logits, ONE),
    ("BCE of many logits", C, none, functional.binary_cross_entropy_with_logits, MANY),
    ("BCE of probabilities", C, torch.sigmoid, functional.binary_cross_entropy, MANY),
    ("BCE of a softmax", C, softmax(1), functional.binary_cross_entropy, HOT),
    ("squared error", 1, none, functional.mse_loss, TABLE),
    ("absolute error", 1, none, functional.l1_loss, TABLE),
    ("Huber", 1, none, functional.huber_loss, TABLE),
    ("squared error of a softmax", C, softmax(1), functional.mse_loss, HOT),
    ("squared error after tanh", 1, torch.tanh, functional.mse_loss, TABLE / 2),
    ("squared error after a ReLU", 1, torch.relu, functional.mse_loss, TABLE + 2),
    ("a likelihood with its variance", 2, none, likelihood, TABLE),
    ("hand-written, of a softmax", C, softmax(1), lambda p, y: -(p + 1e-7).log().gather(1, y[:, None]).mean(), LABELS),
]

WRONG = [
    ("squashed_twice", C, softmax(1), functional.cross_entropy, LABELS),
    ("squashed_twice", C, softmax(1), WEIGHTED, LABELS),
    ("squashed_twice", C, softmax(1), functional.cross_entropy, SHARES),
    ("squashed_twice", C, torch.sigmoid, functional.cross_entropy, LABELS),
    ("squashed_twice", 1, torch.sigmoid, functional.binary_cross_entropy_with_logits, ONE),
    ("squashed_twice", C, torch.sigmoid, nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0)), MANY),
    ("log_missing", C, none, functional.nll_loss, LABELS),
    ("log_missing", C, softmax(1), functional.nll_loss, LABELS),
    ("log_missing", C, softmax(1), nn.KLDivLoss(reduction="batchmean"), SHARES),
    ("log_missing", C, none, nn.NLLLoss(weight=torch.tensor([1.0, 2.0, 3.0, 4.0])), LABELS),
    ("improper", C, none, divergence(softmax(1)), SHARES),
    ("improper", C, none, dice(none), FEW),
    ("softmax_misplaced", C, log_softmax(0), functional.nll_loss, LABELS),
    ("softmax_misplaced", C, softmax(0), functional.cross_entropy, LABELS),
    ("loss_blind", 1, none, functional.cross_entropy, torch.zeros(N, dtype=torch.long)),
    ("loss_blind", 1, none, functional.cross_entropy, ONE),
    ("outputs_fixed", 1, softmax(1), functional.mse_loss, TABLE),
    ("outputs_dead", 1, lambda outputs: torch.relu(outputs - 100), functional.mse_loss, TABLE + 3),
]

REACH = [
    ("sigmoid", torch.sigmoid, TABLE, 0.75),
    ("tanh", torch.tanh, 2.5 * TABLE, 10 / 12),
    ("relu", torch.relu, TABLE, 0.5),
]


def measured(width, head, loss_fn, targets):
    generator = torch.Generator().manual_seed(0)
    outputs = head(torch.randn(N, width, generator=generator).requires_grad_() * 1.5)
    return of_loss(outputs.detach(), targets, loss_fn, head_of(outputs))


@pytest.mark.parametrize("row", RIGHT, ids=lambda row: row[0])
def test_a_pair_that_fits_is_not_accused(row):
    found = measured(*row[1:])
    assert {name: found.get(name, 0.0) for name in FLAGS} == dict.fromkeys(FLAGS, 0.0)
    assert found.get("loss_floor", 0.0) > -1
    assert found.get("out_of_reach", 0.0) == 0


@pytest.mark.parametrize("row", WRONG, ids=lambda row: row[0])
def test_a_pair_that_does_not_fit_is_named(row):
    assert measured(*row[1:])[row[0]] == 1


@pytest.mark.parametrize(("name", "head", "targets", "share"), REACH, ids=lambda value: str(value)[:8])
def test_targets_beyond_the_last_activation_are_counted(name, head, targets, share):
    found = measured(1, head, functional.mse_loss, targets)
    assert found["out_of_reach"] == pytest.approx(share, abs=0.1), name


@pytest.mark.parametrize(("name", "head", "targets", "share"), REACH, ids=lambda value: str(value)[:8])
def test_a_head_of_one_number_a_sample_is_asked_what_it_reaches(name, head, targets, share):
    column = measured(1, lambda outputs: head(outputs).squeeze(1), functional.l1_loss, targets.squeeze(1))
    assert column["out_of_reach"] == pytest.approx(share, abs=0.1), name
    assert "out_of_reach" not in measured(1, lambda outputs: outputs.squeeze(1), functional.l1_loss, targets.squeeze(1))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_loss_that_falls_without_end_is_told_from_one_that_does_not(sign):
    found = measured(C, none, lambda outputs, labels: sign * functional.cross_entropy(outputs, labels), LABELS)
    assert (found["loss_floor"] < -1) == (sign < 0)


def test_the_class_dimension_of_tokens_and_pictures():
    assert class_dim(torch.zeros(2, 7, 5), torch.zeros(2, 7, dtype=torch.long)) == 2
    assert class_dim(torch.zeros(2, 5, 8, 8), torch.zeros(2, 8, 8, dtype=torch.long)) == 1
    found = measured(1, lambda outputs: outputs.expand(N, C)[None] * torch.randn(1, N, C), tokens, LABELS[None])
    assert found["squashed_twice"] == 0


@pytest.mark.parametrize(
    ("last", "name"),
    [
        (nn.Softmax(1), "softmax"),
        (nn.LogSoftmax(1), "log_softmax"),
        (nn.Sigmoid(), "sigmoid"),
        (nn.ReLU(), "relu"),
        (nn.Tanh(), "tanh"),
        (nn.Identity(), "none"),
        (nn.LeakyReLU(), "none"),
    ],
)
def test_heads_are_recognized_behind_changes_of_shape(last, name):
    network = nn.Sequential(nn.Linear(3, 4), last, nn.Unflatten(1, (2, 2)), nn.Flatten(1))
    assert head_of(network(torch.ones(5, 3))) == name
    assert head_of(network(torch.ones(5, 3)).detach()) == "unknown"


def test_a_loss_without_a_row_of_targets_for_each_output_is_probed_within_its_head():
    """CTC takes log-probabilities (T, N, C) and labels in one row; beyond them it falls without end."""
    log_TNC = torch.randn(20, 3, 6, generator=torch.Generator().manual_seed(0)).log_softmax(dim=2)
    labels = torch.tensor([1, 2, 3, 4, 5, 1])

    def ctc(outputs, targets):
        return functional.ctc_loss(outputs, targets, torch.full((3,), 20), torch.full((3,), 2))

    assert of_loss(log_TNC, labels, ctc, "log_softmax")["loss_floor"] > -1
    assert of_loss(log_TNC, labels, ctc, "none")["loss_floor"] < -1


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("flattens", [True, False])
@pytest.mark.parametrize("weight", [1.0, 0.0, math.nan])
@pytest.mark.parametrize("distance", [functional.mse_loss, functional.l1_loss])
def test_other_shapes_are_a_fault_only_if_they_change_the_loss(flattens, weight, distance):
    """Also where a network gives all samples the same output, or NaN, and any order of the targets has one loss."""

    def loss_fn(outputs, targets):
        return distance(outputs.flatten() if flattens else outputs, targets)

    batch = Batch(torch.randn(N, 3), torch.arange(N, dtype=torch.float32))
    model = nn.Linear(3, 1)
    with torch.no_grad():
        model.weight.mul_(weight)
    assert of_batch(model, loss_fn, [batch])["targets_broadcast"] == (0.0 if flattens else 1.0)


@pytest.mark.parametrize("weight", [1.0, 0.0, math.nan])
def test_scores_that_the_loss_squeezes_are_compared_each_with_its_own_label(weight):
    def loss_fn(outputs, labels):
        return functional.binary_cross_entropy_with_logits(outputs.squeeze(1), labels)

    model = nn.Linear(3, 1)
    nn.init.constant_(model.weight, weight)
    batch = Batch(torch.randn(N, 3), (torch.arange(N) % 2).float())
    assert of_batch(model, loss_fn, [batch])["targets_broadcast"] == 0


class Computing(nn.Module):
    """A network whose output is its loss."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return (self.layer(x) - x).square().mean()


def test_a_loss_that_the_network_computes_is_not_judged_by_its_outputs():
    batch = Batch(torch.randn(N, 3), torch.randn(N, 3))
    found = of_batch(Computing(), lambda outputs, _targets: outputs, [batch])
    assert not {"loss_floor", "loss_blind", "loss_constant"} & found.keys()
    assert found["loss_batch"] > 0


def test_a_policy_gradient_is_no_loss_without_end():
    def loss(logits, taken):
        chosen = logits.log_softmax(1).gather(1, taken[:, :1].long())[:, 0]
        return -(chosen * taken[:, 1]).mean()

    advantages = torch.linspace(-1, 1, N)
    taken = torch.stack([LABELS.float(), advantages], 1)
    assert measured(C, none, loss, taken).get("loss_floor", 0.0) > -1


def test_labels_beyond_the_outputs_are_no_fault_where_the_loss_takes_them():
    """A contrastive loss makes its own logits: as many as samples, more than the outputs have columns."""

    def contrastive(codes, positions):
        return functional.cross_entropy(codes @ codes.T, positions)

    model = nn.Linear(6, 3)
    inputs, positions = torch.randn(N, 6), torch.arange(N)
    assert of_batch(model, contrastive, [Batch(inputs, positions)])["targets_outside"] == 0
    found = of_batch(model, functional.cross_entropy, [Batch(inputs, positions)])
    assert found["targets_outside"] == (N - 3) / N


def test_masks_up_to_255_are_told_from_a_wrong_sign():
    masks = 255 * MANY
    found = measured(C, none, functional.binary_cross_entropy_with_logits, masks)
    assert found["targets_above_one"] == pytest.approx(float(MANY.mean()))
    turned = measured(C, none, lambda o, y: -functional.binary_cross_entropy_with_logits(o, y), MANY)
    assert turned["loss_floor"] < -1
    assert "targets_above_one" not in turned


@pytest.mark.parametrize(
    ("masks", "largest"),
    [
        (MANY / 255, 1 / 255),
        (MANY / 20, 1 / 20),
        (MANY, None),
        (0.03 * (torch.arange(N * C) < 2).float().reshape(N, C), None),
        (functional.one_hot(torch.arange(12) % 3, 3).repeat(1, 20).float() / 20, None),
        (torch.tensor([[0.05]]), None),
    ],
    ids=["bytes twice", "a twentieth", "0 and 1", "two soft labels", "shares", "one sample"],
)
def test_masks_that_are_faint_are_told_from_soft_labels(masks, largest):
    torch.manual_seed(0)
    outputs = torch.randn(masks.shape)
    found = of_loss(outputs, masks, functional.binary_cross_entropy_with_logits, "none")
    assert found.get("targets_largest") == (None if largest is None else pytest.approx(largest))


def test_signs_are_told_from_a_wrong_loss():
    """Binary cross-entropy has no minimum with -1 and 1; a margin of these has one."""
    signs = 2 * MANY - 1
    found = measured(C, none, functional.binary_cross_entropy_with_logits, signs)
    assert found["targets_below_zero"] == pytest.approx(float((1 - MANY).mean()))
    for loss_fn in (functional.soft_margin_loss, functional.mse_loss, lambda o, y: (1 - o * y).relu().mean()):
        assert "targets_below_zero" not in measured(C, none, loss_fn, signs)
    assert "targets_below_zero" not in measured(C, none, functional.binary_cross_entropy_with_logits, MANY)


def test_a_loss_of_signs_with_the_wrong_sign():
    signs = 2 * MANY - 1

    def likelihood(outputs, targets):
        return functional.logsigmoid(outputs * targets).sum(1).mean()

    def of_policy(outputs, advantages):
        return -(functional.logsigmoid(outputs) * advantages).mean()

    assert measured(C, none, likelihood, signs)["loss_floor"] < -1
    for loss_fn in (functional.soft_margin_loss, of_policy, lambda o, y: (o * y).mean(), lambda o, y: -(o * y).mean()):
        assert measured(C, none, loss_fn, signs).get("loss_floor", 0.0) > -1


def test_a_loss_without_a_slope_is_seen():
    def rounded(outputs, targets):
        return (outputs.sigmoid().round() - targets).abs().mean() + 0 * outputs.sum()

    assert measured(C, none, rounded, MANY)["loss_in_steps"] == 1
    for loss_fn in (lambda o, y: (1 - o * (2 * y - 1)).relu().mean(), functional.l1_loss, functional.mse_loss):
        assert measured(C, none, loss_fn, MANY)["loss_in_steps"] == 0


def test_a_sigmoid_without_a_dimension_of_classes_is_seen():
    found = measured(1, lambda outputs: outputs.sigmoid()[:, 0], functional.binary_cross_entropy_with_logits, ONE[:, 0])
    assert found["squashed_twice"] == 1


def test_one_sample_tells_nothing_about_kinds_of_targets():
    for targets in (torch.tensor([1]), torch.tensor([[0.3]])):
        loss_fn = functional.cross_entropy if targets.ndim == 1 else functional.mse_loss
        model = nn.Linear(6, 3 if targets.ndim == 1 else 1)
        assert "targets_kinds" not in of_batch(model, loss_fn, [Batch(torch.randn(1, 6), targets)])


def test_of_thousands_of_classes_cross_entropy_is_not_linear():
    outputs, labels = torch.randn(64, 5000, generator=torch.Generator().manual_seed(1)), torch.arange(64)
    assert of_loss(outputs, labels, functional.cross_entropy, "none")["log_missing"] == 0
    assert of_loss(outputs, labels, functional.nll_loss, "none")["log_missing"] == 1


def test_a_relu_that_ends_a_network_is_the_next_cause_of_what_it_cuts():
    learning = {"steps": 300.0, "left": 0.7, "to_constant": 0.7, "falling": 0.0}
    for found in ({"scores_cut": 0.2}, {"out_of_reach": 0.5, "outputs_dead": 0.0}):
        verdict = judge(learning | found)
        assert verdict.code == "wrong_loss"
        assert verdict.alternatives[0][0] == "dead_units"
    sigmoid = judge(learning | {"out_of_reach": 0.5})
    assert sigmoid.code == "wrong_loss"
    assert sigmoid.alternatives[0][0] != "dead_units"
