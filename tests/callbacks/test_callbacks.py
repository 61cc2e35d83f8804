"""The callbacks, tested with small fakes of the two protocols that make each library's calls in order."""

import copy
import pickle
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from thalweg.callbacks import lightning_callback, transformers_callback
from thalweg.errors import MissingExtraError


class Base:
    """Both libraries' base classes have a constructor without arguments."""


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.line = nn.Linear(4, 1)

    def forward(self, x):
        outputs = self.line(x)
        return SimpleNamespace(loss=mse_loss(outputs, x.sum(dim=1, keepdim=True)), outputs=outputs)


def fake(monkeypatch, name, attribute):
    module = ModuleType(name)
    setattr(module, attribute, Base)
    monkeypatch.setitem(sys.modules, name, module)
    if "." in name:
        monkeypatch.setitem(sys.modules, name.partition(".")[0], ModuleType(name.partition(".")[0]))


def step(model, optimizer, number, *, hold=False):
    torch.manual_seed(number)
    loss = model(torch.randn(32, 4)).loss
    loss.backward()
    if not hold:
        optimizer.step()
        optimizer.zero_grad()
    return loss


def test_lightning(monkeypatch, tmp_path):
    fake(monkeypatch, "lightning.pytorch", "Callback")
    told, model = [], Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    trainer = SimpleNamespace(optimizers=[optimizer], global_step=0, callback_metrics={"val_loss": torch.tensor(1.5)})
    callback = lightning_callback(tell=told.append, save=tmp_path / "watch")
    callback.on_train_start(trainer, model)
    for number in range(120):
        hold = number % 2 == 0  # two batches a step
        loss = step(model, optimizer, number, hold=hold)
        trainer.global_step += not hold
        callback.on_train_batch_end(trainer, model, {"loss": loss.detach()}, None, number)
    callback.on_validation_epoch_end(trainer, model)
    callback.on_train_end(trainer, model)
    assert len(callback.listener.watch.steps) == 60
    assert callback.listener.watch.validation["loss"].tolist() == [1.5]
    assert [verdict.code for verdict in told] == ["healthy"]
    assert (tmp_path / "watch" / "watch.json").is_file()
    assert not model._forward_hooks


def test_transformers(monkeypatch):
    fake(monkeypatch, "transformers", "TrainerCallback")
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    callback = transformers_callback(tell=None)
    callback.on_train_begin(None, None, None, model=model, optimizer=SimpleNamespace(optimizer=optimizer))
    losses = []
    for number in range(60):
        losses.append(step(model, optimizer, number).item())
        callback.on_step_end(None, None, None)
    with torch.no_grad():
        model.eval()(torch.ones(2, 4))  # an evaluation is no step
    callback.on_evaluate(None, None, None, metrics={"eval_loss": 0.5})
    callback.on_train_end(None, None, None)
    listener = callback.listener
    assert listener.watch.steps["loss"] == pytest.approx(losses)
    assert listener.watch.validation["loss"].tolist() == [0.5]
    assert listener.verdict.code == "healthy"
    assert not model._forward_hooks


def test_lightning_without_an_optimizer_or_a_loss_trains_on(monkeypatch, caplog):
    fake(monkeypatch, "lightning.pytorch", "Callback")
    model = Model()
    trainer = SimpleNamespace(optimizers=[], global_step=0, callback_metrics={"val_loss": torch.ones(2)})
    callback = lightning_callback(tell=None)
    callback.on_train_start(trainer, model)
    assert "not a torch optimizer" in caplog.text
    callback.on_train_batch_end(trainer, model, {"loss": torch.tensor(1.0)}, None, 0)
    callback.on_train_end(trainer, model)
    assert callback.listener.verdict is None
    trainer.optimizers = [torch.optim.SGD(model.parameters(), lr=0.01)]
    callback.on_train_start(trainer, model)
    for number, outputs in enumerate((None, {}, {"logs": 1})):  # a skipped batch, and manual optimization
        step(model, trainer.optimizers[0], number)
        trainer.global_step += 1
        callback.on_train_batch_end(trainer, model, outputs, None, number)
    callback.on_validation_epoch_end(trainer, model)  # a metric that is no scalar
    callback.on_train_end(trainer, model)
    assert callback.listener.verdict.code == "unsure"
    assert "no_loss" in callback.listener.verdict.unchecked
    assert "training_step" in caplog.text


def compiled(model):
    return torch.compile(model, backend="eager")


@pytest.mark.parametrize("wrapped", [nn.Sequential, nn.DataParallel, compiled])
@pytest.mark.slow
def test_transformers_with_a_wrapped_model_that_is_copied_and_saved_meanwhile(monkeypatch, wrapped):
    fake(monkeypatch, "transformers", "TrainerCallback")
    model = Model()
    runs, optimizer = wrapped(model), torch.optim.SGD(model.parameters(), lr=0.01)
    callback = transformers_callback(tell=None)
    for attempt in range(2):  # the first ends with an error, of which the Trainer does not tell
        callback.on_train_begin(None, None, None, model=model, optimizer=optimizer)
        losses = []
        for number in range(4):
            losses.append(step(runs, optimizer, number).item())
            copy.deepcopy(model)(torch.ones(2, 4))
            pickle.dumps(model)
            callback.on_step_end(None, None, None)
        if attempt:
            callback.on_train_end(None, None, None)
    assert callback.listener.watch.steps["loss"] == pytest.approx(losses)
    assert callback.listener.verdict.code == "unsure"


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lightning_callback, ("lightning", "lightning.pytorch", "pytorch_lightning")),
        (transformers_callback, ("transformers",)),
    ],
)
def test_a_library_that_is_not_there_is_named_with_its_extra(monkeypatch, make, names):
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Hider(names), *sys.meta_path])
    with pytest.raises(MissingExtraError, match=r"thalweg\[callbacks\]"):
        make()


class Hider:
    """A finder that knows no module of these names, installed or not."""

    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
