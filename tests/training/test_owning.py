"""Processes that share weights, each updating its own: here they are threads, whose memory is shared anyway."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from thalweg.distributed.team import Team
from thalweg.runs import checkpoint
from thalweg.training.flat import Flat
from thalweg.training.lanes import Lanes
from thalweg.training.muon import Muon
from thalweg.training.owning import OwnedUpdate, owners_of


STEPS = 45  # two of those from the tenth on need all gradients
OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9, fused=True),
    "plain sgd": lambda parameters: torch.optim.SGD(parameters, 0.1, fused=True),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, 0.01, amsgrad=True, fused=True),
    "adagrad": lambda parameters: torch.optim.Adagrad(parameters, 0.01, fused=True),
    "muon": lambda parameters: Muon(
        [one for one in parameters if one.ndim > 1], [{"params": [one for one in parameters if one.ndim < 2]}]
    ),
    "nadam": lambda parameters: torch.optim.NAdam(parameters, 0.01),
}


class Meeting:
    """Where the threads of one training meet."""

    def __init__(self, processes):
        self.barrier, self.places = threading.Barrier(processes, timeout=20), [None] * processes
        self.memory = None


class Member(Team):
    """A process among several, played by a thread."""

    def __init__(self, rank, processes, meeting):
        super().__init__()
        self.rank, self.processes, self.meeting = rank, processes, meeting

    def wait(self):
        self.meeting.barrier.wait()

    def gather(self, own, lengths):
        self.meeting.places[self.rank] = torch.cat(list(own)) if own else torch.empty(0)
        self.wait()
        found = [one.clone() for one in self.meeting.places]
        self.wait()
        assert list(map(len, found)) == lengths
        return found

    def numbers(self, count):
        if self.rank == 0:
            self.meeting.memory = torch.full([count], torch.nan)
        self.wait()
        return self.meeting.memory


def network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 16, 3, bias=False), nn.Linear(5, 1))
    return model.to(memory_format=torch.channels_last)


def gradients_of(model, step):
    random = torch.Generator().manual_seed(step)
    return [torch.empty_like(one).copy_(torch.randn(one.shape, generator=random)) for one in model.parameters()]


def bits_of(model, optimizer):
    tensors = {**checkpoint.model_tensors(model), **checkpoint.optimizer_tensors(optimizer)[0]}
    return {name: tensor.detach().clone().numpy().tobytes() for name, tensor in tensors.items()}


def trained_alone(kind, most, *, absent=None):
    """Bits after each step, and the norms of all gradients."""
    model = network()
    optimizer, bits, norms = OPTIMIZERS[kind](list(model.parameters())), [], []
    for step in range(STEPS):
        for at, (parameter, gradient) in enumerate(zip(model.parameters(), gradients_of(model, step), strict=True)):
            parameter.grad = None if (step, at) == absent else gradient
        norms.append(clip_grad_norm_(model.parameters(), most))
        optimizer.step()
        bits.append(bits_of(model, optimizer))
    return bits, torch.stack(norms)


def trained_together(kind, most, processes, lanes, *, absent=None):
    """Of each process: bits after each step, norms, where the weights lie, how many steps had only its gradients."""
    meeting, models = Meeting(processes), [network() for _ in range(processes)]  # threads share torch's generator

    def one_of_them(rank):
        model, team = models[rank], Member(rank, processes, meeting)
        parameters = list(model.parameters())
        optimizer = OPTIMIZERS[kind](parameters)
        flat = Flat(model, 0, owners_of(optimizer, parameters, processes))
        update = OwnedUpdate(optimizer, Lanes(lanes), flat, team)
        bits, norms, alone = [], [], 0
        for step in range(STEPS):
            update.begin(step)
            given = [None if (step, at) == absent else one for at, one in enumerate(gradients_of(model, step))]
            given = flat.given(given, flat.buffers, (torch.tensor(0.0), torch.tensor(0)), share=1.0, counts=False)
            whole = flat.parted(flat.pack(given))
            flat.put(flat.without_unused(flat.own_of(whole, rank)) if flat.only_own else whole)
            alone += flat.only_own
            norms.append(update.clipped_norm(most) if flat.only_own else clip_grad_norm_(parameters, most))
            update()
            bits.append(bits_of(model, optimizer))
            team.wait()
        return bits, torch.stack(norms), [one.data_ptr() for one in parameters], alone

    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(one_of_them, range(processes)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize(("processes", "lanes", "most"), [(2, 1, 1e9), (3, 2, 0.5), (7, 1, 2.0)])
def test_the_bits_are_those_of_one_process(kind, processes, lanes, most):
    bits, norms = trained_alone(kind, most)
    found = trained_together(kind, most, processes, lanes)
    assert len({tuple(places) for _, _, places, _ in found}) == (processes if kind == "nadam" else 1)
    for theirs, their_norms, _, alone in found:
        assert theirs == bits
        assert torch.equal(their_norms, norms)
        assert alone == (0 if kind == "nadam" else STEPS - 10 - 2)


@pytest.mark.parametrize("step", [0, 3, 25])
def test_a_parameter_that_is_not_used_in_a_step_keeps_its_bits(step):
    bits, norms = trained_alone("adamw", 0.5, absent=(step, 2))
    for theirs, their_norms, _, alone in trained_together("adamw", 0.5, 2, 1, absent=(step, 2)):
        assert theirs == bits
        assert torch.equal(their_norms, norms)
        assert alone == STEPS - 10 - 2


def test_without_memory_each_process_goes_on_alone(monkeypatch):
    monkeypatch.setattr(Member, "numbers", lambda *_: None)
    bits, _ = trained_alone("adamw", 0.5)
    for theirs, _, _, alone in trained_together("adamw", 0.5, 2, 1):
        assert theirs == bits
        assert alone == 0


def test_muons_matrices_are_dealt_by_the_work_for_them():
    matrices = [torch.zeros(64, 64), torch.zeros(2, 4000), torch.zeros(60, 60)]
    optimizer = Muon(matrices, [{"params": [torch.zeros(8)]}])
    owners = owners_of(optimizer, [*matrices, *optimizer.param_groups[1]["params"]], 2)
    assert [sorted(places) for places in owners] == [[0], [1, 2, 3]]
