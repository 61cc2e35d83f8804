"""Sound trainings that look faulty by one number: the numbers are those of trainings that learned."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from made import train_watched
from thalweg.diagnosis import watch
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.foretold import foretold_measures
from thalweg.diagnosis.measures.gains import Gains
from thalweg.diagnosis.measures.order import order_measures
from thalweg.diagnosis.measures.rare import rare_measures, rare_of
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy
from thalweg.probes.holdout import kept_out


SOUND = {"healthy", "converged", "noise_floor", "unsure"}
FINISHED = {"steps": 1200.0, "loss_first": 0.7, "loss_last": 0.0006, "left": 0.0009, "falling": 0.02}


def test_a_small_validation_loss_that_rises_is_no_overfitting():
    """The few wrong answers of a classifier grow surer while 98 % stay right."""
    surer = FINISHED | {"valid_last": 0.087, "valid_gap": 0.99, "valid_rise": 0.4}
    assert judge(surer).code == "healthy"
    assert judge(surer | {"valid_last": 0.6}).code == "overfitting"
    assert judge(surer | {"valid_last": 0.6, "left": 0.3, "loss_last": 0.2}).code == "overfitting"


def test_one_epoch_that_learned_is_not_accused_of_its_length():
    epoch = {"steps": 45.0, "falling": 0.09, "to_constant": 0.87, "left": 0.87, "cosine": 0.29, "fit_left": 0.01}
    going_on = {"gain_same": 0.4, "tried_longer": 0.39}
    assert judge(epoch | going_on).code == "healthy"
    assert judge(epoch | going_on | {"to_constant": 0.98, "left": 0.98}).code == "too_few_steps"


@pytest.mark.parametrize(("unclipped", "sound"), [(-0.08, True), (0.3, False), (None, False)])
def test_clipping_that_trials_on_samples_kept_out_do_not_blame(unclipped, sound):
    """Copies without clipping learn one batch by heart, which says nothing of clipping."""
    measures = {"steps": 280.0, "clipped": 0.97, "gain_same": 0.38, "left": 0.39, "to_constant": 0.39, "falling": 0.0}
    measures |= {} if unclipped is None else {"tried_unclipped": unclipped}
    assert (judge(measures).code in SOUND) == sound


def test_targets_that_a_short_trial_foretells_are_not_unrelated():
    """The loss of a risk model grows with its batch, so the constant's of a smaller batch is too low."""
    measures = {"steps": 130.0, "fit_left": 0.17, "to_constant": 0.99, "left": 0.75, "falling": 0.0, "cosine": 0.26}
    measures["update_ratio"] = 0.008
    assert judge(measures | {"tried_best": 0.26}).code in SOUND
    assert judge(measures | {"tried_best": 0.97}).code == "targets_unrelated"


def test_embeddings_by_contrast_are_accused_neither_of_their_rate_nor_of_their_length():
    """Their loss has no constant, and 48 steps of Adam are steep at any rate."""
    measures = {"steps": 48.0, "left": 0.58, "falling": 0.0, "cosine": 0.62, "fit_left": 0.06}
    measures |= {"sharpness_ratio": 5.6, "tried_lower_rate": 0.1, "gain_same": 0.18}
    assert judge(measures | {"gain_tenth": 0.07}).code in SOUND
    assert judge(measures | {"gain_tenth": 0.3}).code == "lr_too_large"
    assert judge(measures | {"gain_tenth": 0.07, "left": 0.97}).code == "too_few_steps"


CLASSES = {
    "targets_kinds": 1.0,
    "targets_count": 16.0,
    "steps": 400.0,
    "left": 0.35,
    "falling": 0.1,
    "to_constant": 0.5,
}


@pytest.mark.parametrize(
    ("seen", "by_chance", "code"),
    [(0.95, 0.44, "healthy"), (1.0, None, "not_shuffled"), (0.5, 1.5e-5, "not_shuffled"), (0.0, 0.0, "not_shuffled")],
)
def test_a_small_batch_without_the_rare_class_is_no_fault(seen, by_chance, code):
    found = {"one_kind_seen": seen} | ({} if by_chance is None else {"one_kind_by_chance": by_chance})
    assert judge(CLASSES | found).code == code
    finished = CLASSES | {"left": 0.02, "to_constant": 0.02}
    assert (judge(finished | found).code == "bad_targets") == (seen == 1)


def test_a_training_with_rare_positives_is_judged_by_all_that_it_took():
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(960, 4, generator=draw)
    targets, loss_fn = (inputs[:, :1] > 1.5).float(), binary_cross_entropy_with_logits
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with watch(model, optimizer) as watching:
        rows = torch.randperm(960, generator=draw).split(16)
        train_watched(watching, model, optimizer, inputs, targets, loss_fn, rows)
    negative = (targets[:, 0] == 0).nonzero()[:16, 0]
    kept = order_measures(loss_fn, watching._probe.kept.told, Batch(None, targets[negative]))
    assert kept["one_kind_seen"] == pytest.approx(float((targets == 0).float().mean()), abs=0.05)
    assert kept["one_kind_by_chance"] > 0.1


@pytest.mark.parametrize("belong", [True, False])
def test_of_a_stream_that_never_comes_again_only_what_is_foretold_counts(belong):
    """Six hundred samples of thousands: a weak relation shows in them, and that they show none says nothing."""
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(640, 8, generator=draw)
    numbers = 0.4 * inputs[:, :1] + torch.randn(640, 1, generator=draw)
    model = nn.Linear(8, 1)
    gains = Gains(model, torch.optim.SGD(model.parameters(), lr=0.1), mse_loss, [], scale=1.0)
    found = foretold_measures(gains, Batch(inputs, numbers if belong else numbers.roll(99, 0)), {}, {})
    assert found.get("foretold", 0.0) > 5 if belong else found == {}


@pytest.mark.parametrize(("constant", "found", "code"), [(0.48, 0.04, "healthy"), (0.96, 0.04, "class_imbalance")])
def test_rare_labels_that_are_beginning_to_be_found_are_no_fault(constant, found, code):
    begun = {"steps": 128.0, "falling": 0.036, "left": 0.19, "largest_class": 0.91, "rare_said": found}
    assert judge(begun | {"to_constant": constant, "rare_found": found}).code == code
    assert judge(begun | {"to_constant": 0.48, "rare_found": 0.0, "steps": 200.0}).code == "class_imbalance"


def test_numbers_that_only_hold_a_place_are_no_bad_targets():
    """A discriminator that is shown true samples, and a loss that compares outputs with one another."""
    placed = {"steps": 300.0, "left": 0.05, "falling": 0.11, "targets_kinds": 1.0}
    assert judge(placed).code == "healthy"
    assert judge(placed | {"one_kind_seen": 0.5}).code == "healthy"
    assert judge(placed | {"one_kind_seen": 1.0}).code == "bad_targets"
    assert judge(placed | {"targets_count": 64.0}).code == "bad_targets"


def test_of_a_rare_class_all_samples_that_the_training_took_are_asked():
    """A batch of 40 has one rare sample, which the network misses; it finds a third of them."""
    inputs = torch.linspace(-1, 1, 400)[:, None]
    targets = (inputs > 0.85).float()
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 1.0)
    nn.init.constant_(model.bias, -0.95)
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), binary_cross_entropy_with_logits)
    kept, batch = Batch(inputs, targets), Batch(inputs[331:371], targets[331:371])
    of_batch = rare_of(model(batch.inputs), batch.targets, "none")
    assert of_batch["rare_found"] == 0
    found = rare_measures(copied, kept, of_batch)
    assert found["largest_class"] == pytest.approx(0.925)
    assert found["rare_found"] == pytest.approx(1 / 3, abs=0.04)
    assert rare_measures(copied, None, of_batch) == rare_measures(copied, batch, found) == {}
    assert rare_measures(copied, kept, {"targets_kinds": 1.0}) == found  # a batch without the rare class
    assert rare_measures(copied, kept, {"targets_kinds": 40.0}) == {}
    some = {"largest_class": 0.9, "rare_found": 0.5}  # of three rare labels among thirty, or thirty among three hundred
    assert rare_measures(copied, kept, some) == found
    assert rare_measures(copied, kept, some | {"rare_ranked": 0.9}) == {}


@pytest.mark.parametrize("weight", [1.0, 40.0])
def test_a_rare_class_that_the_given_batch_lacks(weight):
    torch.manual_seed(0)
    draw = torch.Generator().manual_seed(0)
    targets = (torch.rand(2400, 1, generator=draw) < 1 / 40).float()
    inputs = torch.randn(2400, 6, generator=draw) + 0.4 * targets
    model = nn.Linear(6, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)

    def loss_fn(outputs, targets):
        return binary_cross_entropy_with_logits(outputs, targets, pos_weight=torch.tensor(weight))

    with watch(model, optimizer) as watched:
        train_watched(
            watched, model, optimizer, inputs, targets, loss_fn, torch.randint(2400, (200, 48), generator=draw)
        )
    common = (targets[:, 0] == 0).nonzero()[:48, 0]
    verdict = watched.diagnose(batch=(inputs[common], targets[common]), loss_fn=loss_fn, seconds=0.2)
    assert 0.3 < verdict.measures["to_constant"] < 2
    assert (verdict.code == "class_imbalance") == (weight == 1)


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ({"rise": 712.0}, "diverged"),
        ({"peak": 98.0}, "lr_too_large"),
        ({"update_ratio_first": 0.29}, "lr_too_large"),
        ({"update_ratio": 0.2, "late_noise": 1.6}, "lr_too_large"),
        ({"loss_first": 16.0, "loss_zero": 1.0, "loss_last": 1.5, "loss_constant": 1.0}, "exploding_gradients"),
    ],
)
def test_nothing_is_relative_to_the_first_loss_of_a_single_sample(numbers, code):
    """A sample that happens to fit has next to no loss, and one far off has many times the usual."""
    measures = {"steps": 500.0, "left": 3.1, "falling": 0.0, **numbers}
    assert judge(measures | {"batch_size": 1.0}).code in SOUND
    assert judge(measures | {"batch_size": 32.0}).code == code


@pytest.mark.parametrize("binary", [True, False])
def test_the_constants_loss_is_not_that_of_one_sample(binary):
    """It is that of the samples which the training took, or unknown where gradients do not tell their targets."""
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(200, 3, generator=draw)
    targets = inputs.sum(dim=1, keepdim=True) + torch.randn(200, 1, generator=draw)
    targets, loss_fn = ((targets > 0).float(), binary_cross_entropy_with_logits) if binary else (targets, mse_loss)
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    with watch(model, optimizer) as watching:
        train_watched(
            watching, model, optimizer, inputs, targets, loss_fn, torch.randperm(200, generator=draw).split(1)
        )
    measures = watching.diagnose(batch=(inputs[:1], targets[:1]), loss_fn=loss_fn).measures
    assert measures["loss_constant"] == pytest.approx(0.69 if binary else math.nan, abs=0.1, nan_ok=True)
    assert "tried_lower_rate" not in measures  # the loss of one sample says nothing


def test_small_batches_are_judged_by_several():
    batches = [Batch(torch.zeros(2, 1), torch.zeros(2, 1))] * 16
    train, held = kept_out(batches)
    assert (len(train), len(held)) == (12, 4)
    train, held = kept_out([Batch(torch.zeros(32, 1), torch.zeros(32, 1))] * 8)
    assert (len(train), len(held)) == (7, 1)


def test_a_noise_floor_is_neither_a_saddle_nor_a_rate_that_fell_too_early():
    """What a few samples kept out gain at the full rate is their scatter, and another start comes no lower."""
    floor = {"steps": 235.0, "left": 0.75, "falling": 0.0, "to_constant": 0.6, "cosine": 0.19, "lr_left": 4e-5}
    decayed = {"gain_lr_most": 0.37, "gain_same": 1e-9}
    assert judge(floor | decayed | {"tried_full_rate": 0.07, "cosine": 0.1}).code in SOUND
    assert judge(floor | decayed | {"tried_full_rate": 0.31}).code == "decayed_too_early"
    assert judge(floor | {"to_constant": 1.04, "tried_anew": 0.2}).code in SOUND


def test_what_is_known_by_heart_while_a_fifth_of_the_validation_loss_is_left():
    by_heart = {"falling": 0.0, "to_constant": 1e-6, "left": 1e-6, "steps": 300.0, "valid_gap": 1.0, "valid_rise": 0.0}
    by_heart |= {"decrease_possible": 1e-9, "valid_lost": 0.0}
    assert judge(by_heart | {"valid_left": 0.29}).code == "overfitting"
    assert judge(by_heart | {"valid_left": 0.14}).code == "converged"
    assert judge(by_heart | {"valid_left": 0.29, "left": 0.02}).code == "converged"
