"""What a plain predictor, or the number of steps, shows of trainings that were called healthy or gave no verdict."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

import thalweg
from made import in_turn, train_watched
from thalweg.diagnosis.fixes import fixes_of
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.batch import of_batch
from thalweg.diagnosis.measures.trends import trends
from thalweg.probes.batches import Batch


STUCK = {"falling": 0.0, "to_constant": 0.7, "left": 0.7, "steps": 300.0, "avoidable": 0.4, "learns": 1.0}


@pytest.mark.parametrize(
    ("measure", "code"),
    [
        ("tried_unclipped", "clipped_too_hard"),
        ("tried_standardized", "bad_inputs"),
        ("tried_no_dropout", "dropout_too_strong"),
        ("tried_no_decay", "weight_decay_too_strong"),
    ],
)
def test_what_helps_a_network_that_is_held_back_is_its_cause(measure, code):
    assert judge(STUCK | {measure: 0.15}).code == code
    assert judge(STUCK | {measure: 0.15, "avoidable": 0.1}).code != code
    assert judge(STUCK | {measure: 0.05}).code != code


GONE = {
    "falling": 0.0,
    "steps": 300.0,
    "lr_gone": 0.8,
    "lr_left": 1e-6,
    "gain_same": 0.0,
    "tried_full_rate": 0.006,
    "cosine": 0.1,
}


def test_a_rate_that_was_gone_before_anything_was_learned():
    found = GONE | {"loss_last": 2.3, "loss_constant": 2.3, "left": 1.0, "gain_lr_most": 0.013}
    verdict = judge(found)
    assert (verdict.code, verdict.fixes[0].code) == ("decayed_too_early", "raise_rate")
    assert judge(found | {"lr_gone": 0.2}).code == "unsure", "a schedule may end with next to no rate"
    assert judge(found | {"tried_full_rate": -0.1}).code == "unsure", "the largest rate does not help"
    assert judge(found | {"gain_lr_most": 0.0}).code == "unsure"


def test_a_rate_that_was_gone_while_the_loss_was_falling():
    found = GONE | {"loss_last": 0.3, "loss_constant": 1.0, "left": 0.3, "gain_lr_most": 0.15, "fell_before": 0.5}
    flat = {"decrease_possible": 0.006, "tried_full_rate": -0.01}
    assert judge(found | flat).code == "decayed_too_early"
    assert judge(found | flat | {"fell_before": 0.0}).code == "converged"
    assert judge(found | flat | {"loss_last": 0.03, "left": 0.03}).code == "converged", "next to nothing is left"


def test_noise_holds_back_no_network_that_a_plain_predictor_beats():
    flat = STUCK | {"cosine": 0.1, "learns": 0.0, "batch_size": 4.0}
    assert judge(flat).code == "unsure"
    assert judge(flat | {"avoidable": 0.0}).code == "noise_floor"


def test_an_optimizer_that_steps_once_an_epoch_takes_too_few_steps():
    draw = torch.Generator().manual_seed(0)
    inputs_NF = torch.randn(640, 8, generator=draw)
    labels_N = (inputs_NF[:, 0] * inputs_NF[:, 1] > 0).long()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(8):
            optimizer.zero_grad()
            for number, rows in enumerate(torch.randperm(640, generator=draw).split(32)):
                loss = cross_entropy(model(inputs_NF[rows]), labels_N[rows])
                loss.backward()
                if number == 19:
                    optimizer.step()
                watch.step(loss)
    verdict = watch.diagnose(batch=(inputs_NF[:32], labels_N[:32]), loss_fn=cross_entropy)
    assert 0 < verdict.measures["stepped"] < 0.1
    assert verdict.code == "too_few_steps"
    assert [fix.code for fix in verdict.fixes] == ["step_each_batch"]
    assert "step_each_batch" not in [fix.code for fix in fixes_of("too_few_steps", {"stepped": 1.0})]


class Casting(nn.Module):
    """Takes word numbers as sizes, or looks them up."""

    def __init__(self, first):
        super().__init__()
        self.first, self.last = first, nn.Linear(6, 2)

    def forward(self, words):
        if isinstance(self.first, nn.Embedding):
            return self.last(self.first(words).mean(dim=1))
        return self.last(self.first(words.float()))


FALLING = {"steps": 90.0, "falling": 0.14, "left": 0.3, "loss_constant": 1.0, "cosine": 0.9}


def test_a_loss_that_falls_and_is_far_from_where_it_leads():
    """A line that is stopped at the beginning: a plain predictor has nearly none of its errors."""
    found = FALLING | {"loss_last": 0.7, "avoidable": 0.9, "tried_longer": 0.25, "tried_higher_rate": 0.5}
    verdict = judge(found)
    # of three programs of others of which it was said, none had too few steps: so it comes as the next cause
    assert (verdict.code, verdict.alternatives[0][0]) == ("unsure", "too_few_steps")
    assert "plain predictor" in verdict.text
    for other in ({"avoidable": 0.4}, {"loss_last": 0.4}, {"tried_longer": 0.06}, {"cosine": 0.3}):
        assert judge(found | other).code in ("healthy", "unsure"), "well on its way, or told by nothing"


def test_ten_times_the_rate_that_does_far_better():
    found = FALLING | {"loss_last": 0.93, "avoidable": 0.6, "tried_longer": 0.02, "tried_higher_rate": 0.3}
    verdict = judge(found | {"lr_last": 1e-3, "gain_hundredfold": 0.9})
    assert verdict.code == "lr_too_small"
    assert verdict.fixes[0].values["to"] == pytest.approx(1e-2), "the rate that was tried on samples kept out"
    for other in ({"avoidable": 0.1}, {"tried_higher_rate": 0.05}, {"loss_last": 0.6}, {"tried_longer": 0.15}):
        assert judge(found | other).code != "lr_too_small"


@pytest.mark.parametrize("first", [nn.Linear(5, 6), nn.Embedding(900, 6)], ids=["sizes", "looked up"])
def test_whole_numbers_that_a_layer_takes_as_sizes_have_a_scale(first):
    words = torch.randint(900, (16, 5), generator=torch.Generator().manual_seed(0))
    found = of_batch(Casting(first), cross_entropy, [Batch(words, torch.arange(16) % 2)])
    expected = float(words.double().square().mean().sqrt())
    if isinstance(first, nn.Embedding):
        assert "inputs_scale" not in found
    else:
        assert found["inputs_scale"] == pytest.approx(expected)
        assert judge(found | {"steps": 100.0}).code == "bad_inputs"


def test_pixels_that_the_model_itself_divides_are_no_sizes():
    class Divided(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(12, 2)

        def forward(self, pixels):
            return self.last(pixels.flatten(1) / 255)

    pixels = torch.randint(256, (8, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert of_batch(Divided(), cross_entropy, [Batch(pixels, torch.arange(8) % 2)])["inputs_scale"] < 1


def test_a_loss_that_begins_below_zero_has_not_risen_manyfold():
    reward = trends({"loss": np.array([-0.1, 0.3, -0.2, 0.1] * 40)})
    assert not reward.get("rise", np.nan) > 20
    assert judge(reward | {"steps": 160.0}).code != "diverged"
    assert trends({"loss": np.array([0.1, *[5.0] * 60])})["rise"] == pytest.approx(50)


def test_a_loss_that_fell_from_a_peak_and_stays_above_its_start_is_not_called_healthy():
    falling = {"steps": 400.0, "falling": 1.5, "loss_constant": 2.5, "loss_last": 0.06, "peak": 7.6}
    assert judge(falling | {"left": 0.5}).code == "healthy"
    assert judge(falling | {"left": -5.0}).code == "healthy"  # of a loss below 0
    assert judge(falling | {"left": 1.7}).code == "unsure"


FAR = {
    "update_ratio": 0.004,
    "steps": 300.0,
    "falling": 0.0,
    "left": 1.0,
    "loss_last": 4.0,
    "loss_constant": 1.0,
    "cosine": 0.95,
    "gain_same": 0.05,
    "gain_hundredfold": 3.0,
    "targets_scale": 150.0,
}


def test_outputs_that_are_far_from_their_targets():
    verdict = judge(FAR)
    assert verdict.code == "lr_too_small"
    assert [fix.code for fix in verdict.fixes] == ["raise_rate", "find_rate", "scale_targets"]
    assert "far from the targets" in verdict.text
    assert "scale_targets" not in [fix.code for fix in judge(FAR | {"targets_scale": 1.0}).fixes]
    for other in ({"loss_last": 1.2}, {"cosine": 0.5}, {"gain_hundredfold": 0.5}, {"falling": 0.3}, {"steps": 60.0}):
        assert judge(FAR | other).code != "lr_too_small"


@pytest.mark.slow
@pytest.mark.parametrize(("offset", "code"), [(50.0, "bad_targets"), (0.0, None)])
def test_ages_in_years(offset, code):
    """Outputs that start near 0 are far from them; standardized, they are learned in as many steps."""
    draw = torch.Generator().manual_seed(1)
    inputs = torch.randn(320, 8, generator=draw)
    ages = offset + (15 if offset else 1) * inputs[:, :3].sum(dim=1, keepdim=True).tanh()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with thalweg.watch(model, optimizer) as watch:
        train_watched(watch, model, optimizer, inputs, ages, mse_loss, in_turn(len(inputs), steps=200, batch=32))
    verdict = watch.diagnose(batch=(inputs[:32], ages[:32]), loss_fn=mse_loss)
    assert (verdict.code in {"bad_targets", "lr_too_small"}) == (code is not None)
    if code is not None:
        assert (verdict.code, verdict.fixes[0].code) == (code, "scale_targets")


def verdict_after(steps, *, rate=2e-3, decay=0.0, classes=4):
    """Of a network that learns which of some directions an input lies along, in batches of 64."""
    draw = torch.Generator().manual_seed(2)
    labels_N = torch.randint(classes, (640,), generator=draw)
    inputs_NF = torch.eye(classes, 16)[labels_N] * 2 + 0.7 * torch.randn(640, 16, generator=draw)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    with thalweg.watch(model, optimizer) as watch:
        train_watched(
            watch, model, optimizer, inputs_NF, labels_N, cross_entropy, in_turn(len(inputs_NF), steps=steps, batch=64)
        )
    batches = [(inputs_NF[rows], labels_N[rows]) for rows in torch.arange(256).split(64)]
    return watch.diagnose(batch=batches, loss_fn=cross_entropy)


@pytest.mark.slow
def test_a_decay_that_halves_what_a_network_learns():
    held_back = verdict_after(150, decay=0.3)
    assert held_back.code == "weight_decay_too_strong"
    assert held_back.measures["to_constant"] < 0.85  # it learns, all the same
    assert verdict_after(150, decay=1e-2).code == "healthy"


@pytest.mark.slow
def test_a_training_that_stops_at_its_beginning():
    verdict = verdict_after(30, rate=4e-4)
    assert verdict.code == "too_few_steps"
    assert verdict.measures["falling"] > 0.006  # though the loss falls
    assert verdict_after(60, rate=1e-3).code == "too_few_steps"  # a plain predictor is ahead
    assert verdict_after(110, rate=1e-3).code == "healthy"


def test_units_that_died_on_the_way_are_no_cause_of_their_own():
    """A rate, an order of the batches, or one bad batch may have killed them."""
    stuck = {"steps": 300.0, "falling": 0.0, "left": 1.0, "to_constant": 1.0, "dead_units": 0.95}
    assert judge(stuck | {"dead_units_first": 0.6}).code == "dead_units"
    thrown = {"weight_norm": 24.0, "weight_norm_first": 6.0, "dead_units_first": 0.6}
    assert judge(stuck | thrown | {"tried_lower_rate": 0.08}).code == "lr_too_large"
    died = judge(stuck | {"dead_units_first": 0.2})
    assert died.code == "unsure"
    assert died.alternatives[0][0] == "dead_units"
    weights = {"weight_norm": 150.0, "weight_norm_first": 6.0, "tried_lower_rate": -0.4}
    thrown = stuck | weights | {"dead_units_first": 0.2}
    assert judge(thrown | {"update_ratio_first": 0.07}).code == "lr_too_large"
    assert judge(thrown | {"update_ratio_first": 0.03}).code == "unsure"


def test_steps_that_clipping_holds_back_come_before_a_gradient_that_a_long_sequence_loses():
    """Where steps of full length learn, the gradient at the weak end of the sequence is enough."""
    measured = {"steps": 300.0, "left": 1.1, "to_constant": 0.95, "falling": 0.0, "sequence_gradient": 5e-5}
    measured["avoidable"] = 0.5
    assert judge(measured).code == "vanishing_gradients"
    assert judge(measured | {"clipped": 1.0, "tried_unclipped": 0.7}).code == "clipped_too_hard"


LOST = {"steps": 300.0, "nonfinite_step": 150.0, "batch_size": 32.0}


def test_why_a_loss_was_lost():
    burst = judge(LOST | {"gradient_burst": 60.0})
    assert burst.code == "exploding_gradients"
    assert burst.fixes[0].code == "clip"
    assert judge(LOST | {"gradient_burst": 60.0, "initial_scale": 9.0}).fixes[0].code == "scale_initial"
    assert judge(LOST | {"gradient_burst": 8.0}).code == "diverged"
    first = LOST | {"nonfinite_step": 2.0, "update_ratio_first": 0.99, "gradient_first": 3000.0}
    assert judge(first | {"tried_lower_rate": -0.2}).code == "exploding_gradients"
    assert judge(first | {"tried_lower_rate": 0.5}).code == "lr_too_large"
    assert judge(first | {"tried_lower_rate": -0.2, "gradient_first": 1.0}).code == "diverged", "a rate far too large"
    assert judge(first).code == "diverged"  # no trial says that the rate is not the cause
    assert judge(first | {"tried_lower_rate": -0.2, "nonfinite_step": 50.0}).code == "diverged"


LEARNING = {"steps": 300.0, "falling": 0.1, "to_constant": 0.45, "left": 0.45, "learns": 1.0}


@pytest.mark.parametrize(
    ("beyond", "within", "code"),
    [
        ({"inputs_scale": 90.0, "tried_standardized_anew": 0.2}, {"tried_standardized_anew": 0.05}, "bad_inputs"),
        ({"inputs_scale": 90.0, "tried_standardized_anew": 0.2}, {"inputs_scale": 20.0}, "bad_inputs"),
        ({"inputs_scale": 90.0, "tried_standardized_anew": 0.2}, {"to_constant": 0.1}, "bad_inputs"),
        (
            {"initial_scale": 30.0, "saturated_units_first": 0.9, "saturated_units": 0.9, "tried_other_start": 0.15},
            {"initial_scale": 2.0},
            "saturated_units",
        ),
        (
            {"decay_to_gradient": 0.8, "weight_norm": 2.0, "weight_norm_first": 7.0, "tried_no_decay": 0.15},
            {"weight_norm": 5.0},
            "weight_decay_too_strong",
        ),
    ],
)
def test_what_a_trial_shows_of_a_training_that_learns(beyond, within, code):
    assert judge(LEARNING | beyond).code == code
    assert judge(LEARNING | beyond | within).code != code


def test_a_rate_that_was_lowered_has_no_floor_any_more():
    hovering = {"steps": 300.0, "falling": 0.0, "to_constant": 0.7, "left": 0.7, "cosine": 0.0, "batch_size": 2.0}
    assert judge(hovering | {"lr_left": 1.0}).code == "noise_floor"
    assert judge(hovering | {"lr_left": 0.01}).code == "unsure"


def test_a_loss_that_is_flat_where_a_lower_rate_goes_on():
    flat = {"steps": 300.0, "falling": 0.0, "to_constant": 0.7, "left": 0.6, "update_ratio_first": 0.1}
    assert judge(flat | {"tried_lower_rate": 0.15}).code == "lr_too_large"
    assert judge(flat | {"tried_lower_rate": 0.07}).code != "lr_too_large"


def test_a_loss_that_a_burst_threw_up_and_that_stays_there():
    wreck = {"steps": 300.0, "falling": -0.2, "to_constant": 1.1, "above_lowest": 0.6, "left": 1.0, "batch_size": 32.0}
    assert judge(wreck | {"gradient_burst": 900.0, "tried_lower_rate": -0.3}).code == "lr_too_large"
    assert judge(wreck | {"gradient_burst": 4.0, "tried_lower_rate": -0.3}).code != "lr_too_large"


def test_dark_pictures_that_killed_units_on_the_way():
    dead = {
        "steps": 300.0,
        "falling": 0.0,
        "to_constant": 1.0,
        "left": 1.0,
        "dead_units": 0.94,
        "dead_units_first": 0.5,
    }
    assert judge(dead | {"tried_standardized": 0.45, "tried_standardized_anew": 0.4}).code == "bad_inputs"
    assert judge(dead | {"tried_standardized": 0.2, "tried_standardized_anew": 0.4}).code != "bad_inputs"
    rate = {"tried_lower_rate": 0.4, "update_ratio_first": 0.5}
    assert judge(dead | rate | {"tried_standardized": 0.35, "tried_standardized_anew": 0.34}).code == "lr_too_large"


def test_large_inputs_that_a_norm_takes_do_no_harm():
    large = {"steps": 400.0, "falling": 0.0, "left": 0.05, "inputs_scale": 55.0}
    assert judge(large | {"to_constant": 0.08}).code != "bad_inputs"
    assert judge(large | {"to_constant": 0.9, "left": 0.9}).code == "bad_inputs"


def test_the_loss_of_one_sample_is_no_measure_of_a_decay():
    decayed = {"steps": 1500.0, "falling": 0.0, "left": 4.8, "lr_left": 1e-6, "gain_lr_most_ratio": 1e9}
    decayed |= {"gain_lr_most": 10.0, "fell_before": 0.0}
    assert judge(decayed | {"batch_size": 32.0}).code == "decayed_too_early"
    assert judge(decayed | {"batch_size": 1.0}).code != "decayed_too_early"


def test_a_network_that_cannot_learn_one_batch_and_gains_a_little_by_width():
    narrow = {"steps": 600.0, "falling": 0.07, "to_constant": 0.54, "left": 0.47, "fit_left": 0.34, "learns": 1.0}
    assert judge(narrow | {"tried_larger": 0.04}).code == "model_too_small"
    assert judge(narrow | {"tried_larger": 0.0}).code == "healthy"
    assert judge(narrow | {"tried_larger": 0.04, "fit_left": 0.25}).code == "healthy"


def test_few_steps_that_agree_where_a_plain_predictor_is_ahead():
    begun = {"steps": 60.0, "falling": 0.33, "to_constant": 0.51, "left": 0.59, "cosine": 0.65, "learns": 1.0}
    assert judge(begun | {"avoidable": 0.32}).code == "too_few_steps"
    assert judge(begun | {"avoidable": 0.1}).code == "healthy"
    assert judge(begun | {"avoidable": 0.32, "steps": 400.0}).code != "too_few_steps"


def test_a_step_after_the_loop_learns_a_little_all_the_same():
    learning = {"steps": 480.0, "falling": 0.15, "to_constant": 0.55, "left": 0.53, "learns": 1.0, "stepped": 0.04}
    assert judge(learning | {"dropped": 1.0}).code == "optimizer_not_stepping"
    assert judge(learning | {"dropped": 0.0}).code != "optimizer_not_stepping"


def test_classes_that_come_one_after_the_other_and_are_learned_each_time():
    sorted_by_class = {"steps": 480.0, "falling": 0.3, "to_constant": 0.23, "left": 0.1, "peak": 0.94, "learns": 1.0}
    sorted_by_class |= {"targets_kinds": 1.0, "targets_count": 24.0, "one_kind_by_chance": 1e-20}
    assert judge(sorted_by_class | {"avoidable": 0.8}).code == "not_shuffled"
    assert judge(sorted_by_class | {"avoidable": 0.0}).code == "healthy"
