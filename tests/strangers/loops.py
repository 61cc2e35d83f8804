"""Loops as strangers write them: who steps, when, with what, and how often."""

import copy
import random

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from strangers.training import STEPS, batch, case, classifier, plain, sgd


def gan():
    generator, judge = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6)), nn.Sequential(nn.Linear(6, 1))
    judge.append(nn.BatchNorm1d(1))
    makes, judges = torch.optim.Adam(generator.parameters(), lr=1e-3), torch.optim.Adam(judge.parameters(), lr=1e-3)
    ones, zeros = torch.ones(16, 1), torch.zeros(16, 1)

    def step(number):
        real, noise = batch(number)[0], torch.randn(16, 4)
        judges.zero_grad()
        told = binary_cross_entropy_with_logits(judge(real), ones)
        told = told + binary_cross_entropy_with_logits(judge(generator(noise).detach()), zeros)
        told.backward()
        judges.step()
        makes.zero_grad()
        fooled = binary_cross_entropy_with_logits(judge(generator(noise)), ones)
        fooled.backward()
        makes.step()
        return [fooled, told]

    def fool(fakes, targets):
        return binary_cross_entropy_with_logits(judge(fakes), targets)

    return case([(generator, makes), (judge, judges)], step, given=(torch.randn(16, 4), ones), loss_fn=fool)


def gan_with_a_frozen_judge():
    """As pix2pix does: while the generator learns, the other network requires no gradient."""
    made = gan()
    judge, inner = made.pairs[1][0], made.step

    def step(number):
        judge.requires_grad_(True)
        losses = inner(number)
        judge.requires_grad_(False)
        return losses

    return case(made.pairs, step, given=made.given, loss_fn=made.loss_fn, missing=("uncleared",))


def lbfgs():
    model = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)

    def step(_number):
        def closure():
            optimizer.zero_grad()
            loss = cross_entropy(model(batch()[0]), batch()[1])
            loss.backward()
            return loss

        return [optimizer.step(closure)]

    return case((model, optimizer), step)


def closure_of_keywords():
    """As Lightning calls it: the whole step happens in the closure."""
    model = classifier()
    optimizer = sgd(model)

    def step(number):
        def closure():
            loss = cross_entropy(model(batch(number)[0]), batch(number)[1])
            optimizer.zero_grad()
            loss.backward()
            return loss

        return [optimizer.step(closure=closure)]

    return case((model, optimizer), step)


def policy_gradient():
    """REINFORCE: actions are drawn with numpy and Python, and the model counts its calls."""

    class Policy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
            self.calls, self.baseline = 0, torch.zeros(())

        def forward(self, states):
            self.calls += 1
            return self.layers(states) + 1e-3 * self.baseline

    policy = Policy()
    optimizer = torch.optim.RMSprop(policy.parameters(), lr=1e-3)

    def step(number):
        states, right = batch(number)
        scores = policy(states).log_softmax(dim=1)
        chosen = torch.tensor([np.random.choice(3, p=row / row.sum()) for row in scores.detach().exp().numpy()])  # noqa: NPY002
        reward = (chosen == right).float() + 0.01 * random.random()
        policy.baseline = 0.9 * policy.baseline + 0.1 * reward.mean()
        loss = -(scores.gather(1, chosen[:, None])[:, 0] * (reward - policy.baseline)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return [loss]

    return case((policy, optimizer), step, also=[lambda: (policy.calls, policy.baseline)])


def accumulated():
    model = classifier()
    optimizer = sgd(model)

    def step(number):
        loss = cross_entropy(model(batch(number)[0]), batch(number)[1]) / 4
        loss.backward()
        if number % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()
        return [loss]

    return case((model, optimizer), step, missing=("uncleared",))


def scaled(*, fused=False):
    model = classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=5)

    def step(number):
        inputs, labels = batch(number)
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = cross_entropy(model(inputs), labels)
        scaler.scale(loss).backward()
        if not fused:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        scaler.step(optimizer)
        scaler.update()
        return [loss]

    return case((model, optimizer), step, missing=("cosine",) if fused else ())


def averaged():
    model = classifier()
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    made = plain(model, sgd(model))

    def step(number):
        losses = made.step(number)
        if number == 7:  # in the middle, as some do
            copied = copy.deepcopy(model)
            copied(batch()[0])
        average.update_parameters(model)
        with torch.no_grad():
            model.eval()(batch()[0])
            model.train()
        return losses

    return case((model, made.pairs[0][1]), step, also=[average.state_dict])


def a_group_that_comes_later():
    model = classifier()
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model[4].parameters(), lr=0.05, momentum=0.9)
    made = plain(model, optimizer)

    def step(number):
        if number == 5:
            model[0].requires_grad_(True)
            optimizer.add_param_group({"params": [*model[0].parameters(), *model[1].parameters()]})
        return made.step(number)

    return case((model, optimizer), step)


def a_rate_that_starts_and_ends_at_zero():
    model = classifier()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step, STEPS - 1 - step) / STEPS)
    made = plain(model, optimizer)

    def step(number):
        losses = made.step(number)
        schedule.step()
        return losses

    return case((model, optimizer), step)


def wrapped_by_a_trainer():
    """As accelerate and Lightning do: the optimizer of the loop is a wrapper that only forwards."""

    class Wrapper:
        def __init__(self, optimizer):
            self.optimizer = optimizer

        def zero_grad(self):
            self.optimizer.zero_grad()

        def step(self):
            self.optimizer.step()

    model = classifier()
    return plain(model, Wrapper(sgd(model)))


def two_passes_a_step():
    """Sharpness-aware: a second optimizer inside takes the real step."""

    class Sharpness(torch.optim.Optimizer):
        def __init__(self, parameters):
            self.inner = torch.optim.SGD(parameters, lr=0.05)
            super().__init__(self.inner.param_groups, {})
            self.param_groups = self.inner.param_groups

        def step(self, closure):
            with torch.enable_grad():
                loss = closure()
            moves = [0.05 * p.grad / (p.grad.norm() + 1e-12) for p in self.param_groups[0]["params"]]
            with torch.no_grad():
                for parameter, move in zip(self.param_groups[0]["params"], moves, strict=True):
                    parameter.add_(move)
            with torch.enable_grad():
                closure()
            with torch.no_grad():
                for parameter, move in zip(self.param_groups[0]["params"], moves, strict=True):
                    parameter.sub_(move)
            self.inner.step()
            return loss

    model = classifier()
    optimizer = Sharpness(list(model.parameters()))

    def step(number):
        def closure():
            optimizer.zero_grad()
            loss = cross_entropy(model(batch(number)[0]), batch(number)[1])
            loss.backward()
            return loss

        return [optimizer.step(closure)]

    return case((model, optimizer), step)


def functional():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = sgd(model)

    def step(number):
        inputs, labels = batch(number)
        values = dict(model.named_parameters())

        def loss_of(given):
            return cross_entropy(torch.func.functional_call(model, given, (inputs,)), labels)

        gradients, loss = torch.func.grad_and_value(loss_of)(values)
        for name, parameter in values.items():
            parameter.grad = gradients[name].detach()
        optimizer.step()
        return [loss.detach()]

    return case((model, optimizer), step, missing=("uncleared",))


def watched_twice():
    model = classifier()
    made = plain(model, sgd(model))
    return case(made.pairs * 2, lambda number: made.step(number) * 2)


def a_loss_with_a_memory():
    """Center loss: a module with centers that learn, a count of its calls, and a teacher that is a closure's."""

    class Centers(nn.Module):
        def __init__(self):
            super().__init__()
            self.centers, self.calls = nn.Parameter(torch.zeros(3, 3)), 0

        def forward(self, outputs, labels):
            self.calls += 1
            return cross_entropy(outputs, labels) + 0.01 * (outputs - self.centers[labels]).square().mean()

    model, centers, teacher, calls = classifier(), Centers(), nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), []
    optimizer = torch.optim.SGD([*model.parameters(), *centers.parameters()], lr=0.05)

    def loss_fn(outputs, labels):
        calls.append(1)
        return centers(outputs, labels) + 0.01 * mse_loss(outputs, teacher(outputs.detach()))

    def grads():
        return [parameter.grad for parameter in [*centers.parameters(), *teacher.parameters()]]

    return plain(
        model, optimizer, loss_fn=loss_fn, also=[lambda: (centers.calls, len(calls)), teacher.state_dict, grads]
    )


def hooked():
    """A user's own hook that counts, with a bound method."""

    class Counter:
        def __init__(self):
            self.count = 0

        def hook(self, *_):
            self.count += 1

    model, counter = classifier(), Counter()
    model.register_forward_hook(counter.hook)
    return plain(model, sgd(model), also=[lambda: counter.count])


CASES = {
    make.__name__.replace("_", " "): make
    for make in (
        gan,
        gan_with_a_frozen_judge,
        lbfgs,
        closure_of_keywords,
        policy_gradient,
        accumulated,
        scaled,
        averaged,
        a_group_that_comes_later,
        a_rate_that_starts_and_ends_at_zero,
        wrapped_by_a_trainer,
        two_passes_a_step,
        functional,
        watched_twice,
        a_loss_with_a_memory,
        hooked,
    )
} | {"scaled, fused": lambda: scaled(fused=True)}
