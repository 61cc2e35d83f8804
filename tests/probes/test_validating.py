"""In which mode a model is validated: told from its passes, whatever the loop does to its mode around them."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules import module as modules

import thalweg
from made import in_turn, train_watched


ROWS_NF = torch.randn(128, 6, generator=torch.Generator().manual_seed(0))
LABELS_N = (ROWS_NF[:, 0] > 0).long()


def right(model):
    """As people write it: set to evaluation, and back before the figures are told."""
    model.eval()
    with torch.no_grad():
        outputs_NC = model(ROWS_NF)
    model.train()
    return outputs_NC


def set_back_later(model):
    model.eval()
    with torch.no_grad():
        return model(ROWS_NF)


def forgotten(model):
    with torch.no_grad():
        return model(ROWS_NF)


def without_a_sign(model):
    return model(ROWS_NF).detach()


def watched(validate, *, epochs=3, layer=None):
    torch.manual_seed(0)
    layers = (nn.Linear(6, 32), nn.ReLU(), layer if layer is not None else nn.Dropout(0.5), nn.Linear(32, 2))
    model = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(epochs):
            model.train()
            rows = in_turn(len(ROWS_NF), steps=20, batch=32)
            train_watched(watch, model, optimizer, ROWS_NF, LABELS_N, functional.cross_entropy, rows)
            outputs_NC = validate(model)
            watch.validate(functional.cross_entropy(outputs_NC, LABELS_N))
    return watch


@pytest.mark.parametrize(
    ("validate", "share"), [(right, 0.0), (set_back_later, 0.0), (forgotten, 1.0), (without_a_sign, None)]
)
def test_the_mode_of_a_validation(validate, share):
    hooks = len(modules._global_forward_pre_hooks)  # torch has no public name for them
    watch = watched(validate)
    found = watch.measures()["validated_in_training"]
    assert math.isnan(found) if share is None else found == share
    assert len(modules._global_forward_pre_hooks) == hooks
    verdict = watch.diagnose(batch=(ROWS_NF[:32], LABELS_N[:32]), loss_fn=functional.cross_entropy)
    assert (verdict.code == "wrong_mode") == (validate is forgotten)
    if validate is forgotten:
        assert [fix.code for fix in verdict.fixes] == ["eval_mode"]


def test_where_the_mode_does_not_matter_nothing_is_said():
    verdict = watched(forgotten, layer=nn.Tanh()).diagnose(
        batch=(ROWS_NF[:32], LABELS_N[:32]), loss_fn=functional.cross_entropy
    )
    assert verdict.code != "wrong_mode"


def test_one_validation_of_a_model_in_training_mode_may_have_been_set_back():
    assert math.isnan(watched(forgotten, epochs=1).measures()["validated_in_training"])
    assert watched(set_back_later, epochs=1).measures()["validated_in_training"] == 0


def test_passes_between_steps_are_no_validation():
    """A network's own predictions, as a reinforcement loop makes them, are forgotten at the next step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer) as watch:
        for step in range(40):
            forgotten(model)
            rows = in_turn(len(ROWS_NF), steps=1, batch=32)
            train_watched(watch, model, optimizer, ROWS_NF, LABELS_N, functional.cross_entropy, rows)
            if step % 10 == 9:
                watch.validate(functional.cross_entropy(right(model), LABELS_N))
    assert watch.measures()["validated_in_training"] == 0
