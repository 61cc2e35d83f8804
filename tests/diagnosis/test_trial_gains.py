"""A fix is credited with what it gains on samples kept out, beyond every restart without it."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.nn.utils import clip_grad_norm_

from thalweg import watch
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.gains import Gains
from thalweg.diagnosis.measures.trial_gains import TrialGains
from thalweg.diagnosis.preparing import standardizing
from thalweg.probes.batches import Batch
from thalweg.probes.holdout import kept_out


def blobs(count, seed=1):
    """Four classes in twenty dimensions, easy to learn."""
    centers = 2 * torch.randn(4, 20, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (count,), generator=generator)
    return centers[labels] + torch.randn(count, 20, generator=generator), labels


def network(*between):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), *between, nn.Linear(32, 4))


def gains_of(model, optimizer, *, known=None, start=None, scale=1.0, permuted=False):
    samples = [blobs(64, seed) for seed in (1, 2)]
    if permuted:
        samples = [(inputs, labels[torch.randperm(64)]) for inputs, labels in samples]
    batches = [Batch(inputs * scale, labels) for inputs, labels in samples]
    gains = Gains(model, optimizer, cross_entropy, batches, math.log(4), seconds=60.0)  # also on a busy machine
    return TrialGains(gains, known or {}, start or {}).measures()


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_a_rate_that_is_too_large():
    model = network()
    assert gains_of(model, torch.optim.SGD(model.parameters(), lr=20.0))["tried_lower_rate"] > 0.2


def test_a_decay_that_is_too_strong():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=3.0)
    assert gains_of(model, optimizer)["tried_no_decay"] > 0.5


def test_nearly_everything_dropped():
    model = network(nn.Dropout(0.98))
    assert gains_of(model, torch.optim.SGD(model.parameters(), lr=0.1))["tried_no_dropout"] > 0.2


def test_clipping_that_holds_every_step_back():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert gains_of(model, optimizer, known={"clipped": 1.0, "gradient_last": 1e-3})["tried_unclipped"] > 0.5


def test_a_training_that_learns_is_tried_without_its_clipping():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    known = {"clipped_values": 1.0, "gradient_value": 1e-4, "falling": 0.2, "to_constant": 0.4, "loss_last": 0.3}
    assert gains_of(model, optimizer, known=known)["tried_unclipped"] > 0.5


def test_a_rate_that_has_decayed_is_tried_at_its_largest():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    assert gains_of(model, optimizer, known={"lr_left": 1e-5, "lr_most": 0.1})["tried_full_rate"] > 0.5


def test_a_rate_that_is_too_small_where_a_plain_predictor_does_better():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=2e-3)
    assert gains_of(model, optimizer, known={"avoidable": 0.6})["tried_higher_rate"] > 0.2
    fitting = torch.optim.SGD(model.parameters(), lr=0.3)
    assert gains_of(model, fitting, known={"avoidable": 0.6})["tried_higher_rate"] < 0.1
    assert "tried_higher_rate" not in gains_of(model, optimizer)


def test_inputs_that_forced_a_tiny_rate_are_standardized_with_a_larger_one():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    known = {"inputs_scale": 300.0, "inputs_spread": 0.9}
    assert gains_of(model, optimizer, known=known, scale=300.0)["tried_standardized"] > 0.2


def test_values_clipped_hold_every_step_back():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert gains_of(model, optimizer, known={"clipped_values": 1.0, "gradient_value": 1e-4})["tried_unclipped"] > 0.5


@pytest.mark.parametrize(("scale", "helps"), [(1.0, False), (300.0, True), (1 / 300, True)])
def test_inputs_are_standardized_where_their_scale_is_odd(scale, helps):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    known = {"inputs_scale": scale * 2.2, "inputs_spread": 0.9}
    found = gains_of(model, optimizer, known=known, scale=scale).get("tried_standardized", 0.0)
    assert (found > 0.2) == helps


def test_a_column_in_other_units_is_standardized_alone():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scale = torch.ones(20)
    scale[3] = 1000.0
    known = {"inputs_scale": 100.0, "inputs_spread": 0.9, "inputs_columns": 900.0}
    assert gains_of(model, optimizer, known=known, scale=scale)["tried_standardized"] > 0.2


def test_a_column_that_hardly_varies_in_the_first_batch_does_not_spoil_standardized_inputs():
    """Pixels at a border: one sample of the first batch has a trace of a value there, others have all of it."""
    inputs = torch.zeros(64, 3)
    inputs[:, 0] = torch.linspace(-1, 1, 64)
    inputs[5, 1] = 1e-3
    prepare = standardizing()
    first = prepare(Batch(inputs, None)).inputs
    plain = (inputs - inputs.mean(0)) / inputs.std(0, correction=0).clamp_min(1e-9)
    assert torch.allclose(first[:, :2], plain[:, :2], rtol=1e-4)  # nothing of the first batch itself is cut
    assert float(first.abs().max()) == pytest.approx(math.sqrt(63), rel=1e-3)
    later = prepare(Batch(torch.full((4, 3), 0.5), None)).inputs
    assert later[:, 1:].max() <= math.sqrt(63)
    assert torch.allclose(later[:, 0], 0.5 / inputs[:, 0].std(correction=0))


def test_a_few_samples_do_not_narrow_what_follows_them():
    prepare = standardizing()
    prepare(Batch(torch.tensor([[0.0], [2.0]]), None))
    assert prepare(Batch(torch.tensor([[4.0], [90.0]]), None)).inputs.flatten().tolist() == [3.0, 5.0]


@pytest.mark.parametrize(("rate", "too_large"), [(0.1, True), (0.002, False)])
def test_a_momentum_that_remembers_much_is_tried_for_as_long(rate, too_large):
    """Of a momentum of 0.99, the first forty steps are shorter than those that follow, and may well lead down."""
    draw = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(3):
        inputs = torch.randn(64, 20, generator=draw)
        batches.append(Batch(inputs, (inputs[:, 0] > 0).long() + 2 * (inputs[:, 1] + inputs[:, 2] > 0).long()))
    model = network(nn.Linear(32, 32), nn.ReLU())
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.99)
    gains = Gains(model, optimizer, cross_entropy, batches, math.log(4), seconds=60.0)
    assert (TrialGains(gains, {}, state(model)).measures()["tried_lower_rate"] > 0.2) is too_large


def test_targets_of_other_samples_are_predicted_by_no_trial():
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    assert gains_of(model, optimizer, permuted=True)["tried_best"] > 0.9


def test_weights_that_cannot_learn_are_told_from_a_fault_of_the_optimizer():
    model = network()
    with torch.no_grad():
        model[0].bias.fill_(-100.0)
    found = gains_of(model, torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-4), start=state(model))
    assert found["tried_anew"] > 0.5
    assert max(found["tried_no_decay"], found["tried_lower_rate"]) < 0.05  # a restart alone helps as much


def test_a_network_that_learns_gains_nothing():
    model = network(nn.Dropout(0.1))
    found = gains_of(model, torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-4), start=state(model))
    best = found.pop("tried_best")
    assert set(found) == {"tried_anew", "tried_lower_rate", "tried_no_decay", "tried_no_dropout", "tried_other_start"}
    assert max(found.values()) < 0.1
    assert best < 0.3


def test_the_start_is_tried_also():
    """Weights that a spike has ruined go on badly; from the start the same training learns, so nothing is to mend."""
    model = network()
    start = state(model)
    with torch.no_grad():
        model[0].bias.fill_(-100.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert gains_of(model, optimizer, start=start)["tried_anew"] < 0.05
    assert gains_of(model, optimizer)["tried_anew"] > 0.5


def test_model_and_randomness_stay():
    model = network(nn.Dropout(0.5), nn.BatchNorm1d(32))
    optimizer = torch.optim.Adam(model.parameters())
    before, mode = state(model), torch.get_rng_state()
    gains_of(model, optimizer)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), mode)
    assert not optimizer.state


@pytest.mark.parametrize("clip", [1e-3, 10.0])
def test_a_watched_training_names_the_clipping_by_a_trial(clip):
    """Slow falls look like learning; the trial without clipping shows what holds it back."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    with watch(model, optimizer) as watching:
        for step in range(150):
            x, y = blobs(64, seed=step)
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            watching.step(loss)
    threads = torch.get_num_threads()
    verdict = watching.diagnose(batch=blobs(64), loss_fn=cross_entropy)
    assert torch.get_num_threads() == threads
    assert (verdict.code == "clipped_too_hard") == (clip < 1)


def test_samples_kept_out():
    inputs, labels = blobs(16)
    (train,), (held,) = kept_out([Batch({"x": inputs, "more": (inputs,)}, labels)])
    assert torch.equal(torch.cat([train.inputs["x"], held.inputs["x"]]), inputs)
    assert torch.equal(torch.cat([train.targets, held.targets]), labels)
    assert held.size == 4
    both = [Batch(inputs, labels), Batch(inputs, labels)]
    assert kept_out(both) == (both[:1], both[1:])
    for whole in ([Batch(inputs[:7], labels[:7])], [Batch(inputs, labels[:, None].T)], [Batch(inputs, "labels")]):
        assert kept_out(whole) == (whole, whole)


def test_what_is_kept_out_of_a_batch_in_order_of_its_targets_has_all_kinds():
    """The real ones come before the made-up ones: the last quarter alone would judge by one kind."""
    inputs, labels = torch.arange(32.0)[:, None], (torch.arange(32) < 16).float()
    (train,), (held,) = kept_out([Batch(inputs, labels)])
    assert (train.size, held.size) == (24, 8)
    assert len(held.targets.unique()) == len(train.targets.unique()) == 2
    assert torch.equal(torch.cat([train.inputs, held.inputs]).sort(dim=0).values, inputs)
    assert torch.equal(held.targets, (held.inputs[:, 0] < 16).float())
    (_,), (last,) = kept_out([Batch(inputs, torch.ones(32))])
    assert torch.equal(last.inputs, inputs[24:])


def test_a_rate_that_is_too_small_is_no_fault_of_large_inputs():
    """A larger rate alone gains as much as standardized inputs do with it."""
    model = network()
    known = {"inputs_scale": 12.0, "inputs_spread": 0.9}
    tiny = gains_of(model, torch.optim.SGD(model.parameters(), lr=1e-5), known=known, scale=1.0)
    assert tiny["tried_standardized"] < 0.1


def test_a_training_that_learns_from_where_its_first_steps_threw_it():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=20.0)
    learns = {"steps": 200.0, "falling": 0.2, "left": 0.3, "loss_last": 0.55, "loss_constant": math.log(4)}
    thrown = learns | {"update_ratio_first": 0.5, "peak": 4.0}
    assert "tried_lower_rate" not in gains_of(model, optimizer, known=learns)
    found = gains_of(model, optimizer, known=thrown)
    assert found["tried_lower_rate"] > 0.2
    measures = thrown | found
    assert judge(measures).code == "lr_too_large"
    assert judge(measures | {"tried_lower_rate": 0.02}).code == "healthy"
    assert judge(measures | {"peak": 1.0}).code == "healthy"


def prices(model, optimizer, *, level, loss_fn=mse_loss):
    """What standardized targets gain where targets are a level and ten times a column."""
    inputs = [blobs(64, seed)[0] for seed in (1, 2)]
    batches = [Batch(one, level + 10 * one[:, :1]) for one in inputs]
    constant = float(batches[0].targets.var(correction=0))
    gains = Gains(model, optimizer, loss_fn, batches, constant, seconds=60.0)
    known = {"targets_scale": float(batches[0].targets.abs().mean()), "loss_constant": constant}
    return TrialGains(gains, known, {}).measures().get("tried_standardized_targets", 0.0)


@pytest.mark.parametrize(("level", "rate", "far"), [(300.0, 3e-3, True), (300.0, 1e-6, False), (0.0, 3e-1, False)])
def test_targets_that_the_steps_cannot_reach(level, rate, far):
    """A rate that is too small learns nothing of standardized targets, either."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 1))
    gain = prices(model, torch.optim.Adam(model.parameters(), lr=rate), level=level)
    assert (gain > 0.1) == far
    above = {"steps": 300.0, "falling": 0.1, "left": 0.6, "loss_last": 60.0, "loss_constant": 1.0, "cosine": 1.0}
    more = {"avoidable": 1.0, "tried_longer": 2.0, "tried_standardized_targets": gain}
    verdict = judge(above | more)
    assert (verdict.code == "bad_targets") == far
    assert ("scale_targets" in [fix.code for fix in verdict.fixes]) == far


def test_only_a_loss_that_is_least_at_the_targets_takes_standardized_ones():
    model = nn.Sequential(nn.Linear(20, 1))

    def counts(outputs, targets):
        return (outputs.exp() - targets * outputs).mean()

    assert prices(model, torch.optim.Adam(model.parameters(), lr=3e-3), level=300.0, loss_fn=counts) == 0.0


def test_restarts_with_large_inputs_are_compared_with_restarts():
    """What went on for long is ahead of any short restart, with standardized inputs, too."""
    model = network()
    known = {"inputs_scale": 100.0, "inputs_spread": 1.0}
    large = gains_of(model, torch.optim.SGD(model.parameters(), lr=0.1), known=known, scale=100.0)
    assert large["tried_standardized_anew"] > 0.3
    learns = {"steps": 400.0, "falling": 0.06, "left": 0.16, "loss_last": 0.99, "loss_constant": 2.3, "loss_first": 6.0}
    held_back = learns | {"avoidable": 0.21, "inputs_scale": 87.0, "tried_standardized_anew": 0.4}
    assert judge(held_back).code == "bad_inputs"
    assert judge(held_back | {"inputs_scale": 4.0}).code != "bad_inputs"
    assert judge(held_back | {"avoidable": 0.0}).code == "bad_inputs", "it has not come far, and could"
    assert judge(held_back | {"avoidable": 0.0, "loss_last": 0.5}).code == "healthy"
