"""Loops that people write with `DistributedDataParallel`, well and not: each is watched, one after another.

    torchrun --nproc-per-node 2 ddp_loops.py FOLDER

Each process writes FOLDER/RANK.json: the verdict of each loop.
"""

import json
import random
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import distributed, nn
from torch.distributed.algorithms.join import Join
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

import thalweg


STEPS = 25


class Noisy(Dataset):
    """Samples drawn when they are asked for."""

    def __len__(self):
        return 16 * STEPS * 2

    def __getitem__(self, at):
        x = torch.randn(8)
        return x, int(x[0] > 0)


def batch(step, rank, size=16):
    x = torch.randn(size, 8, generator=torch.Generator().manual_seed(1000 * rank + step))
    return x, (x[:, 0] > 0).long()


class Loop:
    """A healthy loop; a fault overrides a method."""

    def __init__(self, rank):
        self.rank = rank
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
        self.model = self.wrapped(network)
        torch.manual_seed(rank)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05)

    def wrapped(self, network):
        return DistributedDataParallel(network)

    def batches(self):
        return (batch(step, self.rank) for step in range(STEPS))

    def forward(self, x):
        return self.model(x)

    def around(self):
        return nullcontext()

    def backward(self, _step, x, y):
        loss = cross_entropy(self.forward(x), y)
        loss.backward()
        return loss

    def fails(self, _step):
        return False

    def __call__(self, *, watched=True):
        with self.around(), thalweg.watch(self.model, self.optimizer) if watched else nullcontext() as watching:
            for step, (x, y) in enumerate(self.batches()):
                self.optimizer.zero_grad()
                loss = self.backward(step, x, y)
                if self.fails(step):
                    continue
                self.optimizer.step()
                if watching is not None:
                    watching.step(loss)
        return watching


class Healthy(Loop):
    """One replica for each process."""


class Accumulated(Loop):
    """Four batches to a step; the first three are not exchanged."""

    def backward(self, step, x, y):
        for part in range(4):
            with self.model.no_sync() if part < 3 else nullcontext():
                loss = super().backward(step, *batch(4 * step + part, self.rank))
        return loss


class Uneven(Loop):
    """The last process has fewer batches, and the last one is smaller."""

    def around(self):
        return Join([self.model])

    def batches(self):
        last = self.rank == distributed.get_world_size() - 1
        count = STEPS - 4 * last
        return (batch(step, self.rank, 16 if step < count - 1 else 5) for step in range(count))


class ByHand(Loop):
    """No wrapper: the gradients are averaged by the program."""

    def wrapped(self, network):
        return network

    def backward(self, step, x, y):
        loss = super().backward(step, x, y)
        for parameter in self.model.parameters():
            distributed.all_reduce(parameter.grad)
            parameter.grad /= distributed.get_world_size()
        return loss


class Sized(Loop):
    """A size that Python draws for all processes, so that their batches have one shape."""

    def batches(self):
        random.seed(7)
        return (batch(step, self.rank, random.choice((8, 12, 16))) for step in range(STEPS))


class LoadedAfterwards(Loop):
    """Weights are loaded after the model was wrapped, on rank 0 only."""

    def wrapped(self, network):
        wrapper = super().wrapped(network)
        if self.rank == 0:
            with torch.no_grad():
                network[3].weight.mul_(1.5)
        return wrapper


class Failing(Loop):
    """An error on one process, after the exchange: it goes on with the next batch, without a step."""

    def fails(self, step):
        return self.rank == 1 and step == 4


class Unwrapped(Loop):
    """The forward pass goes around the wrapper, so nothing is exchanged."""

    def batches(self):
        distributed.barrier()  # nothing else holds one process from ending before the other has begun
        return super().batches()

    def forward(self, x):
        return self.model.module(x)


class Dropping(Loop):
    """An all-reduce that leaves the last values of a bucket as they were."""

    def wrapped(self, network):
        wrapper = super().wrapped(network)

        def hook(_state, bucket):
            whole = bucket.buffer()
            rest = whole[-2:].clone()
            work = distributed.all_reduce(whole, async_op=True).get_future()

            def mean(future):
                found = future.value()[0] / distributed.get_world_size()
                found[-2:] = rest
                return found

            return work.then(mean)

        wrapper.register_comm_hook(None, hook)
        return wrapper


class SeedsOfWorkers(Loop):
    """Each process has its part of the samples, but all workers draw them from one seed."""

    def batches(self):
        torch.manual_seed(7)
        samples = Noisy()
        return DataLoader(samples, 16, sampler=DistributedSampler(samples), num_workers=1)


class SeedsOfAugmentation(Loop):
    """Each process has its own samples and turns them alike."""

    def batches(self):
        torch.manual_seed(7)
        return ((x * (1 - 2 * torch.randint(2, ())), y) for x, y in super().batches())


class Late(Loop):
    """One process reads its batches slowly."""

    def batches(self):
        for one in super().batches():
            time.sleep(0.08 * (self.rank == 1))
            yield one


class Empty(Uneven):
    """One process has no batch at all."""

    def batches(self):
        return iter(()) if self.rank == 1 else super().batches()


LOOPS = {kind.__name__: kind for kind in globals().values() if isinstance(kind, type) and issubclass(kind, Loop)}


def told(loop, rank):
    watching = loop(rank)()
    verdict = watching.diagnose()
    return {"code": verdict.code, "text": str(verdict), "measures": verdict.measures, "problems": watching.problems}


def bits(rank, *, watched):
    loop = Healthy(rank)
    loop(watched=watched)
    return [value.tolist() for value in loop.model.state_dict().values()] + [torch.get_rng_state().sum().item()]


def main():
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    found = {name: told(kind, rank) for name, kind in LOOPS.items() if kind is not Loop}
    found["same"] = bits(rank, watched=True) == bits(rank, watched=False)
    (Path(sys.argv[1]) / f"{rank}.json").write_text(json.dumps(found))
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
