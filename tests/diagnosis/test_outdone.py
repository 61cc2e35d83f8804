"""A network that learned, and that kernel ridge regression beats all the same; and batches made of kept samples."""

import pytest
import torch
from torch import nn

from thalweg.diagnosis import watch
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.beside import kept_samples, with_kept
from thalweg.diagnosis.measures.outdone import outdone_measures
from thalweg.diagnosis.wording import text_of
from thalweg.i18n import LANGUAGES, speaking
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
TABLE = torch.randn(240, 4, generator=DRAW)
CLASSES = (TABLE[:, 0] > 0).long() + 2 * (TABLE[:, 1] > 0).long()
NUMBERS = TABLE[:, :1] * 3 + 1


class Answer(nn.Module):
    """Gives what a function makes of the inputs."""

    def __init__(self, function):
        super().__init__()
        self.function, self.weight = function, nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        return self.function(inputs) + 0 * self.weight


def avoidable(function, targets, rows=240, loss_fn=nn.functional.mse_loss):
    model = Answer(function)
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    return outdone_measures(copied, Batch(TABLE[:rows], targets[:rows])).get("avoidable")


def halves(inputs):
    """Tell the first column's sign, and not the second's."""
    return nn.functional.one_hot((inputs[:, 0] > 0).long(), 4).float()


def perfect(inputs):
    return nn.functional.one_hot((inputs[:, 0] > 0).long() + 2 * (inputs[:, 1] > 0).long(), 4).float()


@pytest.mark.parametrize(
    ("function", "targets", "least"),
    [
        (halves, CLASSES, 0.3),
        (lambda inputs: inputs[:, :1] * 0 + 1, NUMBERS, 0.9),
        (lambda inputs: inputs[:, :1] * 0 - 2, (CLASSES > 1).float()[:, None], 0.3),
        (lambda inputs: inputs[:, 0] * 0 + 0.3, (CLASSES > 1).float(), 0.3),
        (halves, nn.functional.one_hot(CLASSES, 4).float(), 0.3),
    ],
    ids=["classes", "numbers", "yes or no, logits", "yes or no, probabilities", "one-hot"],
)
def test_a_network_that_a_plain_predictor_beats(function, targets, least):
    assert avoidable(function, targets) > least


@pytest.mark.parametrize(
    ("function", "targets"),
    [
        (perfect, CLASSES),
        (lambda inputs: inputs[:, :1] * 3 + 1, NUMBERS),
        (halves, torch.randint(4, (240,), generator=DRAW)),
        (lambda inputs: inputs[:, :1] * 0, torch.randn(240, 1, generator=DRAW)),
    ],
    ids=["classes", "numbers", "random classes", "random numbers"],
)
def test_a_network_that_none_beats(function, targets):
    assert avoidable(function, targets) == 0.0


SIGNS = (CLASSES > 1).float()[:, None] * 2 - 1
COUNTS = torch.poisson((TABLE[:, :1] - 0.5).exp(), generator=DRAW)


@pytest.mark.parametrize(
    ("function", "targets", "loss_fn"),
    [
        (lambda inputs: inputs[:, :1] - 0.5, COUNTS, nn.functional.poisson_nll_loss),
        (lambda inputs: inputs[:, 1:2] * 9, SIGNS, nn.functional.soft_margin_loss),
        (lambda inputs: inputs[:, :1], NUMBERS, lambda outputs, targets: (outputs - (targets - 1) / 3).abs().mean()),
        (lambda inputs: (inputs[:, 1:2] > 0) * 0.9 + 0.1 * inputs[:, :1], SIGNS / 2 + 0.5, nn.functional.mse_loss),
    ],
    ids=["logarithms of rates", "margins", "numbers that the loss scales", "0 and 1 as numbers"],
)
def test_outputs_of_another_scale_than_the_targets_are_no_errors(function, targets, loss_fn):
    assert avoidable(function, targets, loss_fn=loss_fn) == 0.0


@pytest.mark.parametrize("form", [torch.Tensor.long, lambda rare: rare.float()[:, None]], ids=["class", "yes or no"])
def test_a_network_that_was_asked_for_a_rare_class_may_name_it_too_often(form):
    rare = TABLE[:, 0] + torch.randn(240, generator=DRAW) > 2.6
    often = lambda inputs: torch.stack([-inputs[:, 0], inputs[:, 0]], dim=1)  # noqa: E731 - a third of all samples
    function = often if form is torch.Tensor.long else lambda inputs: inputs[:, :1]
    assert float((TABLE[:, 0] > 0).float().mean()) - float(rare.float().mean()) > 0.3
    assert avoidable(function, form(rare)) == 0.0


def test_errors_are_no_more_than_all():
    assert avoidable(lambda inputs: inputs[:, :1] * 0 - 90, NUMBERS) == 1.0


def test_batch_norm_without_running_statistics_takes_those_of_the_samples():
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(4, affine=False, track_running_stats=False)
    model = nn.Sequential(norm, nn.Linear(4, 1))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[3.0, 0.0, 0.0, 0.0]]))
        model[1].bias.fill_(1.0)
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), nn.functional.mse_loss)
    targets = 3 * (TABLE[:, :1] - TABLE[:, :1].mean()) / TABLE[:, :1].std() + 1
    assert outdone_measures(copied, Batch(TABLE * 20 + 50, targets))["avoidable"] == 0


def test_too_few_samples_tell_nothing():
    assert avoidable(halves, CLASSES, rows=63) is None
    assert avoidable(halves, CLASSES, rows=64) is not None


def test_outputs_of_another_form_tell_nothing():
    assert avoidable(lambda inputs: inputs[:, :, None].expand(-1, -1, 4), CLASSES) is None
    assert avoidable(halves, CLASSES - 2) is None


def test_healthy_needs_that_no_plain_predictor_does_far_better():
    learning = {"falling": 0.3, "to_constant": 0.6, "steps": 300.0, "learns": 1.0, "avoidable": 0.05}
    assert judge(learning).code == "healthy"
    assert judge(learning | {"avoidable": 0.3}).code == "unsure"
    time_helps = judge(learning | {"avoidable": 0.3, "tried_longer": 0.1})
    assert (time_helps.code, time_helps.alternatives[0][0]) == ("unsure", "healthy")  # a fault is as frequent there
    assert judge(learning | {"avoidable": 0.3, "gradient_first_to_last": 1e-5}).code == "vanishing_gradients"
    assert judge(learning | {"avoidable": 0.3, "tried_larger": 0.2}).code == "model_too_small"


@pytest.mark.parametrize("language", LANGUAGES)
def test_not_sure_says_that_a_plain_predictor_does_better(language):
    with speaking(language):
        assert "30" in text_of("unsure", [], {"avoidable": 0.3})
        assert "5" not in text_of("unsure", [], {"avoidable": 0.05})


@pytest.mark.parametrize(
    ("size", "kept", "count"), [(16, 240, 16), (64, 240, 4), (64, 100, 2), (200, 240, 2), (8, 0, 1)]
)
def test_batches_of_kept_samples_follow_the_given_one(size, kept, count):
    given = Batch(torch.randn(size, 4), torch.zeros(size))
    samples = Batch(TABLE[:kept], CLASSES[:kept]) if kept else None
    found = with_kept([given], samples)
    assert found[0] is given
    assert len(found) == count
    assert {batch.size for batch in found} == {size}
    rows = [row for batch in found[1:] for row in batch.inputs.tolist()]
    assert len({tuple(row) for row in rows}) == len(rows)


def test_kept_samples_of_another_scale_are_left_out():
    given = Batch(torch.randn(16, 4) * 5, torch.zeros(16))
    assert with_kept([given], Batch(TABLE, CLASSES)) == [given]


@pytest.mark.parametrize("named", [True, False])
def test_kept_samples_need_every_input(named):
    """A mask that the loop passes by keyword is not seen: without it, the network would answer something else."""

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, table, mask=None):
            return self.layer(table if mask is None else table * mask)

    model, mask = Masked(), (TABLE > 0).float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer) as watching:
        for rows in torch.arange(240).split(60):
            optimizer.zero_grad()
            outputs = model(TABLE[rows], mask=mask[rows]) if named else model(TABLE[rows], mask[rows])
            loss = nn.functional.cross_entropy(outputs, CLASSES[rows])
            loss.backward()
            optimizer.step()
            watching.step(loss)
    batch = Batch({"table": TABLE[:60], "mask": mask[:60]}, CLASSES[:60])
    kept = kept_samples(nn.functional.cross_entropy, watching._probe.kept.rows, batch)
    assert (kept is None) == named


def bends(targets):
    copied = Copy.of(nn.Linear(4, 1), torch.optim.SGD([torch.zeros(1, requires_grad=True)]), nn.functional.mse_loss)
    return outdone_measures(copied, Batch(TABLE, targets))["bends"]


def test_what_no_single_layer_learns():
    """A curved predictor must beat the linear one: a layer that has not learned yet is beaten by both."""
    assert bends(TABLE[:, :1] ** 2) > 0.3
    assert bends(TABLE @ torch.tensor([[1.0], [-2.0], [0.5], [0.0]])) == 0
    assert bends(torch.randn(240, 1, generator=torch.Generator().manual_seed(3))) == 0
    learning = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 0.5, "falling": 0.1, "left": 0.5}
    curved = learning | {"one_layer": 1.0, "bends": 0.4, "avoidable": 0.15}
    assert judge(curved).code == "model_too_small"
    assert [fix.code for fix in judge(curved).fixes] == ["hidden_layer"]
    assert judge(curved | {"bends": 0.0}).code == "healthy"
    assert judge(curved | {"avoidable": 0.0}).code == "healthy"


def test_layers_that_are_affine_together_need_a_smaller_lead_of_a_plain_predictor():
    learning = {"falling": 0.03, "to_constant": 0.46, "left": 0.45, "steps": 400.0, "learns": 1.0, "avoidable": 0.15}
    assert judge(learning | {"affine": 1.0}).code == "model_too_small"
    assert judge(learning | {"affine": 1.0, "avoidable": 0.05}).code == "healthy"
    assert judge(learning | {"affine": 0.0}).code == "healthy"


def test_a_training_that_stops_while_it_learns_fast():
    fast = {"falling": 0.27, "to_constant": 0.6, "left": 0.6, "steps": 62.0, "learns": 1.0, "avoidable": 0.15}
    assert judge(fast | {"tried_longer": 0.16}).code == "too_few_steps"
    assert judge(fast | {"tried_longer": 0.02}).code == "healthy"
    assert judge(fast | {"tried_longer": 0.16, "avoidable": 0.0}).code == "healthy"
    assert judge(fast | {"tried_longer": 0.16, "steps": 250.0}).code == "healthy"


def test_a_training_that_ends_while_its_rate_still_rises():
    rising = {"falling": 0.16, "to_constant": 0.75, "left": 0.75, "steps": 240.0, "tried_longer": 0.3, "lr_rising": 0.5}
    verdict = judge(rising)
    assert verdict.code == "too_few_steps"
    assert "warm-up" in str(verdict)
    assert judge(rising | {"lr_rising": 0.0}).code == "healthy"
    assert judge(rising | {"tried_longer": 0.0}).code == "healthy"


def test_sixty_steps_after_which_going_on_learns_much():
    begun = {"falling": 0.12, "to_constant": 0.82, "left": 0.82, "steps": 60.0, "avoidable": 0.0}
    assert judge(begun | {"tried_longer": 0.35}).code == "too_few_steps"
    assert judge(begun | {"tried_longer": 0.1}).code == "healthy"


def test_what_is_frozen_and_lets_through_far_less_than_the_inputs_hold():
    frozen = {"falling": 0.1, "to_constant": 0.79, "left": 0.72, "steps": 220.0, "frozen": 0.99, "avoidable": 0.51}
    assert judge(frozen | {"tried_unfrozen": 0.63}).code == "untrained_parameters"
    assert judge(frozen | {"tried_unfrozen": 0.3}).code == "unsure"
    assert (
        judge(frozen | {"tried_unfrozen": 0.63, "to_constant": 0.54, "left": 0.3, "avoidable": 0.24}).code == "unsure"
    )


def test_rates_that_a_plain_predictor_and_a_trial_speak_against():
    learning = {"falling": 0.1, "to_constant": 0.25, "left": 0.25, "steps": 300.0, "learns": 1.0, "avoidable": 0.26}
    thrown = learning | {"update_ratio_first": 0.45}
    assert judge(thrown | {"tried_lower_rate": 0.29}).code == "lr_too_large"
    assert judge(thrown | {"tried_lower_rate": 0.1}).code == "unsure"
    assert judge(learning | {"tried_lower_rate": 0.29, "update_ratio_first": 0.02}).code == "unsure"
    begun = {"falling": 0.025, "to_constant": 0.97, "left": 0.97, "steps": 300.0, "avoidable": 0.6, "cosine": 0.16}
    assert judge(begun | {"tried_higher_rate": 0.17, "lr_rising": 0.5}).code == "lr_too_small"
    assert judge(begun | {"tried_higher_rate": 0.17, "lr_rising": 0.0}).code == "unsure"
