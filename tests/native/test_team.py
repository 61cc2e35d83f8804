"""Kernels on several threads: every block is taken once, whoever the threads belong to."""

import pytest
import torch

from thalweg._native import Kernel, Part, get_kernel, team
from thalweg._native.team import run_on_team
from thalweg._native.vectors import VectorLoops


LANES = 8


def adder() -> Kernel:
    """A kernel that adds 1 to each block of its share, and to the vector of its thread."""

    def build() -> str:
        build = VectorLoops("adder", ("blocks",), {"blocks_of": "float32", "seen": "float32"}, lanes=LANES)
        of = build.arguments
        number, first, last = build.share(of["blocks"])
        (one,) = build.sums(1)
        with build.loop(last, first) as block:
            for numbers, at in ((of["blocks_of"], block), (of["seen"], number)):
                build.set([one], build.load(numbers, at * LANES))
                build.accumulate(one, build.load(of["seen"], build.index(64 * LANES)))  # ones
                build.store(build.value(one), numbers, at * LANES)
        return build.text()

    return get_kernel(Part("adder", "q", "test_team", build))


@pytest.mark.parametrize("library", ["torch's", "none"])
@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("blocks", [1, 2, 7, 64])
def test_every_block_is_taken_once(monkeypatch: pytest.MonkeyPatch, library: str, threads: int, blocks: int) -> None:
    if library == "none":
        monkeypatch.setattr(team, "_openmp", lambda: None)
    taken, seen = torch.zeros(64, LANES), torch.zeros(65, LANES)
    seen[64] = 1
    run_on_team(adder(), [blocks, taken.data_ptr(), seen.data_ptr()], threads)
    assert taken[:blocks].eq(1).all()
    assert not taken[blocks:].any()
    counts = seen[:64, 0].tolist()
    assert sum(counts) == blocks
    assert max(counts) <= -(-blocks // threads)


def test_on_linux_torchs_own_library_is_found() -> None:
    torch.ones(1)
    loaded = team._library()
    if loaded is None or "OpenMP" not in torch.__config__.parallel_info():
        pytest.skip("torch has another library")
    assert team._openmp() is not None
