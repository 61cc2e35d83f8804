"""Memory that was read in another order: photos whose channels come last, series whose times come first."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import thalweg
from made import in_turn, train_watched
from thalweg.diagnosis.fixes import fixes_of
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.layout import layout_measures
from thalweg.probes.batches import Batch


DRAW = torch.Generator().manual_seed(0)


def photos(size, channels=3, count=8):
    """Smooth pictures: a few waves in each channel, and a color of their own."""
    grid = torch.linspace(0, 1, size)
    turns, phase = 3 * torch.rand(count, 2, channels, generator=DRAW), 6 * torch.rand(count, channels, generator=DRAW)
    rows = grid[None, :, None, None] * turns[:, None, None, 0]
    columns = grid[None, None, :, None] * turns[:, None, None, 1]
    return (6 * (rows + columns) + phase[:, None, None]).sin() + torch.randn(count, 1, 1, channels, generator=DRAW)


def misread(inputs):
    return layout_measures(Batch(inputs, None)).get("misread")


@pytest.mark.parametrize("size", [16, 33, 64])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_photos_that_were_reshaped_and_photos_that_were_permuted(size, channels):
    images = photos(size, channels)
    assert misread(images.reshape(-1, channels, size, size)) > 2
    assert misread(images.permute(0, 3, 1, 2)) < 1
    assert misread(images.permute(0, 3, 1, 2).contiguous()) < 1


def test_series_that_were_reshaped_and_series_that_were_transposed():
    series_TNF = torch.randn(50, 32, 3, generator=DRAW).cumsum(dim=0)
    assert misread(series_TNF.reshape(32, 50, 3)) > 2
    assert misread(series_TNF.transpose(0, 1)) < 1
    assert misread(series_TNF) < 2  # times first, as the layer may want it


@pytest.mark.parametrize(
    "inputs",
    [
        torch.rand(8, 1, 28, 28),
        torch.rand(8, 3, 4, 4),
        torch.rand(32, 32, 2),
        torch.rand(64, 16, 2),
        torch.zeros(8, 3, 16, 16),
        torch.full((8, 3, 16, 16), torch.nan),
        torch.rand(8, 5),
        torch.rand(8, 3, 16, 16, dtype=torch.complex64),
        torch.empty(0, 3, 16, 16),
    ],
    ids=["one channel", "tiny", "as many", "a multiple", "constant", "NaN", "a table", "complex", "empty"],
)
def test_what_has_no_other_order(inputs):
    assert misread(inputs) is None


def walks(*shape):
    """Rows that change smoothly in time, the third dimension."""
    return (0.2 * torch.randn(*shape, generator=DRAW)).cumsum(dim=2)


@pytest.mark.parametrize(
    "inputs",
    [
        walks(16, 8, 20, 8) + 3 * torch.randn(8, generator=DRAW),
        walks(16, 5, 20, 10) + 3 * torch.randn(10, generator=DRAW),
        walks(16, 2, 40, 34) + torch.tensor([5.0, 1.0]).repeat(17),
        walks(16, 4, 40, 34) + torch.tensor([5.0, 1.0]).repeat(17),
        (walks(16, 2, 40, 34) + torch.tensor([5.0, 1.0]).repeat(17)).transpose(2, 3),
        torch.tensor([5.0, 0.0]).repeat(5)[:, None] + torch.randn(16, 10, 50, generator=DRAW),
        torch.tensor([5.0, 0.0, -5.0]).repeat(10)[:, None] + torch.randn(48, 30, 8, generator=DRAW),
        (-1.0) ** torch.arange(50)[:, None] * torch.rand(32, 1, 3, generator=DRAW) + torch.rand(32, 50, 3),
    ],
    ids=["agents", "fewer agents", "x and y", "of four", "x and y above", "sensors", "actions", "a high tone"],
)
def test_numbers_that_take_turns_are_no_other_order(inputs):
    assert (misread(inputs) or 0) < 2


def test_noise_and_whole_numbers():
    assert misread(torch.randn(16, 3, 32, 32, generator=DRAW)) == pytest.approx(1, abs=0.05)
    bytes_NHWC = (photos(24) * 30 + 128).to(torch.uint8)
    assert misread(bytes_NHWC.reshape(-1, 3, 24, 24)) > 2


def test_the_program_is_told_to_permute():
    torch.manual_seed(0)
    images, labels = photos(16, count=256), torch.arange(256) % 2
    images[labels == 1] += 1
    inputs = images.reshape(-1, 3, 16, 16)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with thalweg.watch(model, optimizer) as watch:
        train_watched(watch, model, optimizer, inputs, labels, cross_entropy, in_turn(len(inputs), steps=40, batch=32))
    verdict = watch.diagnose(batch=(inputs[:32], labels[:32]), loss_fn=cross_entropy, seconds=1)
    assert verdict.code == "bad_inputs"
    assert verdict.fixes[0].code == "permute"
    assert "reshape" in str(verdict)
    assert all(fix.code != "permute" for fix in fixes_of("bad_inputs", {"inputs_scale": 100.0}))
    assert judge({"steps": 100.0, "misread": 1.0}).code != "bad_inputs"
