"""Loops over vectors, against torch: what is read and written as bfloat16 are torch's bits."""

import math

import pytest
import torch

from thalweg._native import Kernel, Part, get_kernel
from thalweg._native.team import run_on_team
from thalweg._native.vectors import VectorLoops


def copier(source: str, target: str, lanes: int) -> Kernel:
    """A kernel that copies vectors from one kind of numbers to another."""
    symbol = f"copy_{source}_{target}_{lanes}"

    def build() -> str:
        build = VectorLoops(symbol, ("vectors",), {"source": source, "target": target}, lanes=lanes)
        of = build.arguments
        with build.loop(of["vectors"]) as at:
            build.store(build.load(of["source"], at * lanes), of["target"], at * lanes)
        return build.text()

    return get_kernel(Part(symbol, "q", symbol, build))


@pytest.mark.parametrize("lanes", [8, 16])
def test_every_bfloat16_is_read_and_written_as_it_is(lanes: int) -> None:
    every = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(torch.bfloat16)
    wide, narrow = torch.empty(2**16), torch.empty(2**16, dtype=torch.bfloat16)
    run_on_team(copier("bfloat16", "float32", lanes), [2**16 // lanes, every.data_ptr(), wide.data_ptr()], 1)
    run_on_team(copier("float32", "bfloat16", lanes), [2**16 // lanes, wide.data_ptr(), narrow.data_ptr()], 1)
    assert torch.equal(wide.view(torch.int32), every.float().view(torch.int32))
    numbers = ~every.isnan()
    assert torch.equal(narrow[numbers].view(torch.int16), every[numbers].view(torch.int16))
    assert narrow[~numbers].isnan().all()


def test_float32_is_rounded_as_torch_rounds_it() -> None:
    random = torch.Generator().manual_seed(0)
    bits = torch.randint(-(2**31), 2**31, (2**16,), generator=random, dtype=torch.int64).to(torch.int32)
    ties = (bits[:4096] & ~0xFFFF) | 0x8000
    hidden = torch.tensor([0x7FFFFFFF, -1, 0x7F800001] + [0] * 13, dtype=torch.int32)  # NaN that a carry would destroy
    wide = torch.cat([bits, ties, hidden]).view(torch.float32)
    narrow = torch.empty(len(wide), dtype=torch.bfloat16)
    run_on_team(copier("float32", "bfloat16", 16), [len(wide) // 16, wide.data_ptr(), narrow.data_ptr()], 1)
    expected = wide.bfloat16()
    assert torch.equal(narrow.isnan(), wide.isnan())
    assert torch.equal(narrow[~wide.isnan()].view(torch.int16), expected[~wide.isnan()].view(torch.int16))


def test_conditions_bounds_and_sums() -> None:
    """Sum the vectors whose number, counted from `low`, lies in [0, 3) and below a bound."""

    def build() -> str:
        build = VectorLoops("some", ("low", "high", "bound"), {"x": "float32", "sum": "float32"}, lanes=8)
        of = build.arguments
        (total,) = build.sums(1)
        build.set([total], build.zero)
        with (
            build.loop(of["high"].up_to(of["bound"]), of["low"]) as at,
            build.only_if((at - of["low"]).is_in(of["bound"] // 4)),
        ):
            build.accumulate(total, build.load(of["x"], at * 8))
        build.store(build.value(total), of["sum"], build.index(0))
        return build.text()

    x, found = torch.arange(96.0), torch.empty(8)
    kernel = get_kernel(Part("some", "q", "test_conditions", build))
    run_on_team(kernel, [2, 11, 12, x.data_ptr(), found.data_ptr()], 1)
    assert torch.equal(found, x.view(12, 8)[2:5].sum(dim=0))
    assert math.isfinite(found.sum().item())
