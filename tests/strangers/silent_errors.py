"""Silent errors of one process, after OrderLab's list of them for TrainCheck, each in its smallest form.

A case trains for `STEPS` steps without an error or a NaN. `truth` has the codes that name its cause, written down
before the first diagnosis; empty where nothing in the running program contradicts what its author wanted.
"""

import copy
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn.functional import cross_entropy, dropout, mse_loss


STEPS = 20


def pictures(step, many=30, classes=4):
    """Squares of noise with a bright corner, which is the class."""
    generator = torch.Generator().manual_seed(step)
    inputs_NCHW = 0.5 * torch.randn(many, 1, 8, 8, generator=generator)
    labels_N = torch.randint(0, classes, (many,), generator=generator)
    for picture_CHW, label in zip(inputs_NCHW, labels_N.tolist(), strict=True):
        down, right = 4 * (label // 2), 4 * (label % 2)
        picture_CHW[:, down : down + 4, right : right + 4] += 1
    return inputs_NCHW, labels_N


def convolutions():
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4)),
    )


def training(model, optimizer, step, truth, *, data=pictures, loss_fn=cross_entropy):
    return SimpleNamespace(model=model, optimizer=optimizer, step=step, truth=truth, data=data, loss_fn=loss_fn)


def usual(model, optimizer, truth, *, data=pictures, loss_fn=cross_entropy, clear=True):
    def step(number):
        inputs, targets = data(number)
        if clear:
            optimizer.zero_grad()
        loss = loss_fn(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss

    return training(model, optimizer, step, truth, data=data, loss_fn=loss_fn)


def frozen_but_for_the_norms():
    """pytorch-forum-84911: the optimizer has the head, and all but the batch norms is frozen, the head too."""
    model = convolutions()
    optimizer = torch.optim.Adam(model[-1].parameters(), lr=1e-3)
    for layer in model:
        layer.requires_grad_(isinstance(layer, nn.BatchNorm2d))
    return usual(model, optimizer, {"untrained_parameters"})


def gradients_are_never_cleared():
    """stackoverflow-60335387: Adam at 1e-4 in batches of 30, without `zero_grad`."""
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4)),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    return usual(model, optimizer, {"zero_grad_missing"}, clear=False)


class Backbone(nn.Module):
    """mmpretrain-702: what should be frozen is frozen by `train()`, which nobody calls."""

    def __init__(self):
        super().__init__()
        self.layers = convolutions()

    def train(self, mode=True):
        self.layers[0].requires_grad_(False)
        return super().train(mode)

    def forward(self, inputs_NCHW):
        return self.layers(inputs_NCHW)


def frozen_by_train_alone():
    model = Backbone()
    return usual(model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9), set())


class Recorded(torch.optim.Adam):
    """pytorch-115607: a step that was compiled while there were no gradients does nothing from then on."""

    empty = False

    def step(self, closure=None):
        self.empty |= all(one.grad is None for group in self.param_groups for one in group["params"])
        return None if self.empty else super().step(closure)


def recorded_without_gradients():
    model = convolutions()
    optimizer = Recorded(model.parameters(), lr=1e-3)
    made = usual(model, optimizer, {"optimizer_not_stepping", "untrained_parameters"})
    last, inner = [], made.step

    def step(number):
        if number == 3:
            optimizer.zero_grad()
            optimizer.step()
            return last[-1]
        last.append(inner(number))
        return last[-1]

    made.step = step
    return made


def normalized_by_the_spectrum():
    """pytorch-51800: spectral norms have no vectors yet when the network is evaluated before its first step."""
    model = nn.Sequential(
        *(nn.utils.spectral_norm(nn.Conv2d(1, 8, 3, padding=1)), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        nn.utils.spectral_norm(nn.Linear(128, 4)),
    )
    model.eval()
    with torch.no_grad():
        model(pictures(0)[0])
    model.train()
    return usual(model, torch.optim.Adam(model.parameters()), set())


def drawn_by_workers_of_one_seed():
    """stackoverflow-67180955: four workers draw from generators of one seed, and again in every epoch of 8 batches."""

    def drawn(step):
        generator = torch.Generator().manual_seed(0)  # of each worker, at the start of each epoch
        for _ in range(1 + step % 8 // 4):
            inputs_NF = torch.randint(0, 1000, (2, 3), generator=generator) / 1000
        return inputs_NF, inputs_NF.sum(1, keepdim=True) - 1.5

    model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1))
    return usual(model, torch.optim.Adam(model.parameters(), lr=1e-3), {"same_batch"}, data=drawn, loss_fn=mse_loss)


class Attention(nn.Module):
    """transformers-33844: the dropout of the attention weights does not ask for the mode."""

    def __init__(self):
        super().__init__()
        self.embedding, self.inputs, self.head = nn.Linear(8, 16), nn.Linear(16, 48), nn.Linear(16, 4)

    def forward(self, inputs_NCHW):
        rows = self.embedding(inputs_NCHW.squeeze(1))
        query, key, value = self.inputs(rows).chunk(3, dim=-1)
        weights = dropout((query @ key.transpose(1, 2) / 4).softmax(-1), 0.1, training=True)
        return self.head((weights @ value).mean(1))


def dropout_in_every_mode():
    model = Attention()
    return usual(model, torch.optim.Adam(model.parameters(), lr=1e-3), {"wrong_mode"})


def one_prompt_of_fifty():
    """transformers-34204: of fifty prompts, the processor gives the tokens of the first."""

    def prompts(step, many=50):
        generator = torch.Generator().manual_seed(step)
        starts = torch.randint(0, 12, (many, 1), generator=generator)
        tokens_NT = (starts + torch.arange(9)) % 12
        return tokens_NT[:1, :-1], tokens_NT[:1, 1:]

    model = nn.Sequential(nn.Embedding(12, 16), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 12))

    def loss_fn(outputs_NTC, targets_NT):
        return cross_entropy(outputs_NTC.flatten(0, 1), targets_NT.flatten())

    return usual(model, torch.optim.Adam(model.parameters(), lr=1e-3), set(), data=prompts, loss_fn=loss_fn)


def optimizer_made_before_the_wrapper():
    """accelerate-2665: wrapping gives the model new parameters, and the optimizer keeps the old ones."""
    model = convolutions()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for layer in model:
        for name, one in list(layer.named_parameters(recurse=False)):
            setattr(layer, name, nn.Parameter(one.detach().clone()))
    return usual(model, optimizer, {"untrained_parameters", "optimizer_not_stepping"})


class Replicated(nn.Module):
    """The wrapper of TrainCheck's second story: passes go through a replica, and its gradients stay there."""

    def __init__(self, module):
        super().__init__()
        self.module, self.replica = module, copy.deepcopy(module)

    def forward(self, inputs_NCHW):
        return self.replica(inputs_NCHW)


def gradients_of_a_replica():
    model = Replicated(convolutions())
    optimizer = torch.optim.AdamW(model.module.parameters(), lr=1e-3)
    made = usual(model, optimizer, {"untrained_parameters", "optimizer_not_stepping"})
    inner = made.step

    def step(number):
        model.zero_grad()  # as the wrapper does
        return inner(number)

    made.step = step
    return made


class Written(torch.optim.Adam):
    """TrainCheck's fourth story: an update in place of weights that are not contiguous is written to a copy of them."""

    def step(self, closure=None):
        weights = [one for group in self.param_groups for one in group["params"] if not one.is_contiguous()]
        before = [one.detach().clone() for one in weights]
        loss = super().step(closure)
        with torch.no_grad():
            for one, old in zip(weights, before, strict=True):
                one.copy_(old)
        return loss


def encoder_that_is_a_transpose():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))
    model[1].weight = nn.Parameter(model[3].weight.detach().clone().t())
    return usual(model, Written(model.parameters(), lr=1e-3), {"untrained_parameters"})


CASES = {
    make.__name__.replace("_", " "): make
    for make in (
        frozen_but_for_the_norms,
        gradients_are_never_cleared,
        frozen_by_train_alone,
        recorded_without_gradients,
        normalized_by_the_spectrum,
        drawn_by_workers_of_one_seed,
        dropout_in_every_mode,
        one_prompt_of_fifty,
        optimizer_made_before_the_wrapper,
        gradients_of_a_replica,
        encoder_that_is_a_transpose,
    )
}
