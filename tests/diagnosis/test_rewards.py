"""A policy gradient without its minus, in the forms in which it is written, and losses that only look like one."""

import pytest
import torch
from torch import nn
from torch.distributions import Categorical
from torch.nn.functional import cross_entropy, mse_loss, one_hot

import thalweg
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.loss import of_loss
from thalweg.diagnosis.measures.rewards import reward_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
INPUTS_NF = torch.randn(32, 6, generator=DRAW)
ACTIONS_N = torch.arange(32) % 4
REWARDS_N = torch.randn(32, generator=DRAW)
PAIRS_N2 = torch.stack([ACTIONS_N.float(), REWARDS_N], dim=1)


def likelihoods(outputs_NA, actions_N):
    return outputs_NA.log_softmax(dim=1).gather(1, actions_N[:, None].long())[:, 0]


def entropy(outputs_NA):
    return -(outputs_NA.softmax(dim=1) * outputs_NA.log_softmax(dim=1)).sum(dim=1).mean()


def standardized(rewards_N):
    return (rewards_N - rewards_N.mean()) / (rewards_N.std() + 1e-8)


def clipped(ratio_N, rewards_N):
    return torch.minimum(ratio_N * rewards_N, ratio_N.clamp(0.8, 1.2) * rewards_N)


def drawn(outputs_NA, labels_N, *, noise=0.0):
    policy = Categorical(logits=outputs_NA)
    action_N = policy.sample()
    reward_N = (action_N == labels_N).float() - 0.2 + noise * torch.randn(len(labels_N))
    return (policy.log_prob(action_N) * reward_N).mean()


# what a policy gradient maximizes
GAINS = {
    "plain": (lambda o, t: (likelihoods(o, t[:, 0]) * t[:, 1]).mean(), PAIRS_N2),
    "baseline": (lambda o, t: (likelihoods(o, t[:, 0]) * (t[:, 1] - t[:, 1].mean())).sum(), PAIRS_N2),
    "standardized": (lambda o, t: (likelihoods(o, t[:, 0]) * standardized(t[:, 1])).mean(), PAIRS_N2),
    "entropy": (lambda o, t: (likelihoods(o, t[:, 0]) * t[:, 1]).mean() + 0.02 * entropy(o), PAIRS_N2),
    "ratio": (lambda o, t: clipped((likelihoods(o, t[:, 0]) + 1.4).exp(), t[:, 1]).mean(), PAIRS_N2),
    "of torch": (lambda o, t: (Categorical(logits=o).log_prob(t[:, 0]) * t[:, 1]).sum(), PAIRS_N2),
    "two tensors": (lambda o, t: (likelihoods(o, t[0]) * t[1]).mean(), (ACTIONS_N, REWARDS_N)),
    "drawn in the loss": (drawn, ACTIONS_N),
    "noisy": (lambda o, t: drawn(o, t, noise=0.3), ACTIONS_N),
}


def found(loss_fn, targets, model=None):
    torch.manual_seed(0)
    model = nn.Linear(6, 4) if model is None else model
    copied = Copy(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    return reward_measures(copied, Batch(INPUTS_NF, targets))


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("kind", GAINS)
def test_the_sign_is_told(kind, sign):
    gain, targets = GAINS[kind]
    assert found(lambda o, t: sign * gain(o, t), targets) == {"rewarded_rarer": float(sign > 0)}


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.actor, self.critic = nn.Linear(6, 4), nn.Linear(6, 1)

    def forward(self, x):
        return self.actor(x), self.critic(x)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_beside_a_critic(sign):
    def loss_fn(outputs, targets_N2):
        scores_NA, values_N = outputs[0], outputs[1][:, 0]
        better_N = targets_N2[:, 1] - values_N.detach()
        return sign * (likelihoods(scores_NA, targets_N2[:, 0]) * better_N).mean() + mse_loss(
            values_N, targets_N2[:, 1]
        )

    assert found(loss_fn, PAIRS_N2, ActorCritic()) == {"rewarded_rarer": float(sign > 0)}


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_probabilities(sign):
    model = nn.Sequential(nn.Linear(6, 4), nn.Softmax(dim=1))
    loss_fn = lambda o, t: sign * (Categorical(probs=o).log_prob(t[:, 0]) * t[:, 1]).mean()  # noqa: E731
    assert found(loss_fn, PAIRS_N2, model) == {"rewarded_rarer": float(sign > 0)}


def of_costs(outputs_NA, targets_N2):
    costs_N = targets_N2[:, 1]
    return (likelihoods(outputs_NA, targets_N2[:, 0]) * costs_N).mean()


class OfCosts(nn.Module):
    def forward(self, outputs_NA, targets_N2):
        costs_N = targets_N2[:, 1]
        return (likelihoods(outputs_NA, targets_N2[:, 0]) * costs_N).mean()


def of_a_key(outputs_NA, targets):
    return (likelihoods(outputs_NA, targets["action"]) * targets["cost"]).mean()


@pytest.mark.parametrize(
    ("loss_fn", "targets", "expected"),
    [
        (of_costs, PAIRS_N2, {}),
        (OfCosts(), PAIRS_N2, {}),
        (of_a_key, {"action": ACTIONS_N, "cost": REWARDS_N}, {}),
        (lambda o, t: -((1.0001 - likelihoods(o, t[:, 0]).exp()).log() * t[:, 1]).mean(), PAIRS_N2, {}),
        (cross_entropy, ACTIONS_N, {}),
        (lambda o, t: -cross_entropy(o, t), ACTIONS_N, {}),  # `loss_floor` names it
        (lambda o, t: cross_entropy(o[torch.randperm(32)[:16]], t[:16]), ACTIONS_N, {}),
        (mse_loss, one_hot(ACTIONS_N, 4).float(), {}),
        (mse_loss, torch.randn(32, 4, generator=DRAW), {}),
        (lambda o, t: mse_loss(likelihoods(o, t[:, 0]), t[:, 1]), PAIRS_N2, {"rewarded_rarer": 0.0}),
        (lambda o, t: mse_loss(o.gather(1, t[:, :1].long())[:, 0], t[:, 1]), PAIRS_N2, {"rewarded_rarer": 0.0}),
        (lambda o, t: (-likelihoods(o, t[:, 0]) * t[:, 1].abs()).mean(), PAIRS_N2, {}),
        (lambda o, t: (-likelihoods(o, t[:, 0]) * t[:, 1]).sum() / t[:, 1].sum(), PAIRS_N2, {}),
    ],
    ids=[
        "costs",
        "a module",
        "a key",
        "unlikelihood",
        "classes",
        "sign",
        "a draw of samples",
        "hot",
        "numbers",
        "likelihoods",
        "values",
        "sizes",
        "weights",
    ],
)
def test_other_losses(loss_fn, targets, expected):
    given = found(loss_fn, targets)
    assert given.get("rewarded_rarer", 0.0) == 0
    assert not expected or given in (expected, {})


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_verdict_names_the_minus(sign):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    loss_fn = lambda outputs, labels: sign * drawn(outputs, labels)  # noqa: E731
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(40):
            inputs_NF = torch.randn(64, 6)
            labels_N = inputs_NF[:, :4].argmax(dim=1)
            optimizer.zero_grad()
            loss = loss_fn(model(inputs_NF), labels_N)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    verdict = watch.diagnose(batch=(inputs_NF, labels_N), loss_fn=loss_fn, seconds=0.2)
    assert (verdict.code == "wrong_loss") == (sign > 0)
    assert sign < 0 or [fix.code for fix in verdict.fixes] == ["minus_log_probability"]


def test_it_holds_though_the_loss_falls():
    numbers = {"steps": 200.0, "loss_constant": 2.3, "loss_last": 0.1, "falling": 0.3, "left": 0.05}
    assert judge(numbers | {"rewarded_rarer": 1.0}).code == "wrong_loss"
    assert judge(numbers | {"rewarded_rarer": 0.0}).code == "healthy"
    endless = {"steps": 300.0, "loss_floor": -6.3}
    assert judge(endless).code == "wrong_loss"
    assert judge(endless | {"rewarded_rarer": 0.0}).code == "unsure"


def test_columns_of_actions_and_rewards_are_no_probabilities():
    """A reward of 3 beside the index of an action is no target above 1 of a loss of probabilities."""
    draw = torch.Generator().manual_seed(0)
    outputs_N10 = torch.randn(32, 10, generator=draw)
    pairs_N2 = torch.stack([torch.arange(32.0) % 10, torch.arange(32.0) % 4], dim=1)

    def centred(outputs, pairs):
        chosen = outputs.log_softmax(dim=1).gather(1, pairs[:, :1].long())[:, 0]
        return -(chosen * (pairs[:, 1] - pairs[:, 1].mean())).mean()

    measured = of_loss(outputs_N10, pairs_N2, centred, "none")
    assert measured["loss_floor"] < -1
    assert "targets_above_one" not in measured
