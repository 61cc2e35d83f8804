"""The table of watched steps against lists, read at any moment."""

import random

import numpy as np
import pytest
import torch

from thalweg.probes.rows import TAIL, UNKNOWN
from thalweg.probes.table import CAPACITY, Table


TENSORS = 3


def number(kind, value):
    return {"float": value, "tensor": torch.tensor(value), "function": lambda: value}[kind]


@pytest.mark.parametrize("seed", range(4))
def test_rows_come_back_as_they_were_written_wherever_they_are_read(seed):
    draw = random.Random(seed)
    table = Table(np.ones(TENSORS), torch.device("cpu"))
    written, norms, dear, read = [], [], {}, []
    for step in range(CAPACITY + 40):
        norm = torch.full((TENSORS,), float(step))
        has_norms = draw.random() < 0.8
        if has_norms:
            table.norms.copy_(norm)
        norms.append(norm.tolist() if has_norms else [UNKNOWN] * TENSORS)
        if draw.random() < 0.3:
            table.begin_due()
            table.updates.fill_(step + 0.25)
            table.note("passes", number(draw.choice(["float", "tensor", "function"]), step + 0.5))
            dear[step] = step
        if draw.random() < 0.1:  # while a row is open
            read.append(table.take())
        if step in dear:
            table.weights.fill_(step + 0.75)
        written.append(draw.random())
        table.close(number(draw.choice(["float", "tensor"]), written[-1]), (step, 0.1, True, True))
        if table.is_full or draw.random() < 0.02:
            read.append(table.take())
    rows = [one for one in [*read, table.take()] if one is not None]
    assert [step for one in rows for step, *_ in one.host] == list(range(CAPACITY + 40))
    assert np.concatenate([one.losses_K for one in rows]) == pytest.approx(written)
    assert np.concatenate([one.norms_KP for one in rows]).tolist() == norms
    due = [one.host[at][0] for one in rows for at in one.dear]
    assert due == list(dear)
    dear_KP = np.concatenate([one.dear_KP for one in rows])
    assert dear_KP[:, 0].tolist() == [step + 0.25 for step in due]
    assert dear_KP[:, TENSORS].tolist() == [step + 0.75 for step in due]
    assert np.isnan(dear_KP[:, 2 * TENSORS :]).all()
    tails_KT = np.concatenate([one.tails_KT for one in rows])
    assert tails_KT[:, TAIL.index("passes")].tolist() == [step + 0.5 for step in due]
    assert np.isnan(np.delete(tails_KT, TAIL.index("passes"), axis=1)).all()


def test_a_later_write_into_the_loss_changes_no_row():
    table, loss = Table(np.ones(1), torch.device("cpu")), torch.tensor([2.0], requires_grad=True)
    table.close(loss, (1, 0.1, True, True))
    with torch.no_grad():
        loss.add_(5)
    taken = table.take()
    assert taken is not None
    assert taken.losses_K.tolist() == [2.0]


@pytest.mark.parametrize("loss", [torch.ones(2), torch.ones(0), torch.tensor(1j)], ids=["two", "none", "complex"])
def test_what_is_no_number_leaves_no_row(loss):
    table = Table(np.ones(1), torch.device("cpu"))
    with pytest.raises((RuntimeError, TypeError)):
        table.close(loss, (1, 0.1, True, True))
    assert table.take() is None
