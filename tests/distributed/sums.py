"""Sums over shards in several processes, many times: the bits are those of one tree, and no vector is lost.

torchrun --nproc-per-node 3 sums.py FOLDER [HOW], where with `messages` no process can share memory, with `apart` the
last cannot see that of the first; with `own`, each process needs no more than its part of every second sum.
"""

import json
import os
import sys
import time
from pathlib import Path
from random import Random

import torch

import thalweg.distributed.group
from thalweg.data.sharding import Block, Tree, of_process
from thalweg.distributed.joining import join


LENGTH = 12


class Vectors:
    """Counts the vectors that are made."""

    def __init__(self):
        self.length, self.only_own, self.made, self.spare = LENGTH, False, 0, []

    def new(self):
        if self.spare:
            return self.spare.pop()
        self.made += 1
        return torch.empty(LENGTH)

    def give_back(self, flat_F):
        self.spare.append(flat_F)

    def pack(self, value_F):
        return value_F

    def parted(self, flat_F):
        return flat_F

    def write_for_others(self, value_F, flat_F, rank):
        mine = own_of(rank)
        flat_F[: mine.start], flat_F[mine.stop :] = value_F[: mine.start], value_F[mine.stop :]

    def own_of(self, source_F, rank):
        return source_F[own_of(rank)]

    def without_unused(self, total):
        return total


def own_of(rank):
    return slice(rank * LENGTH // 3, (rank + 1) * LENGTH // 3)


def of_shard(step, shard):
    return torch.randn(LENGTH, generator=torch.Generator().manual_seed(100 * step + shard))


def refused(*_arguments, **_options):
    raise OSError


def main():
    group, how = join(), sys.argv[2]
    group.meet()
    if how == "messages" and group.first:
        os.memfd_create = refused
    if how == "apart" and group.rank == 2:
        thalweg.distributed.group.opened = lambda *_given: None
    random = Random(group.rank)
    vectors, same, counts = Vectors(), True, []
    for step in range(30):
        shards = (8, 5, 2)[step % 3]  # of three processes, several blocks in one, and none in another
        group.take_back(vectors)

        vectors.only_own = how == "own" and step % 2 == 1

        def add(left_F, right_F):
            left_F.add_(right_F)
            if not vectors.only_own:  # there, only memory that processes share is used again
                vectors.give_back(right_F)

        tree, whole = Tree(add), Tree(lambda left_F, right_F: left_F.add_(right_F))
        for shard in range(shards):
            whole.push(Block(shard, 1, of_shard(step, shard)))
        for shard in of_process(shards, group.rank, 3):
            value_F = of_shard(step, shard)
            tree.push(Block(shard, 1, value_F if vectors.only_own else vectors.new().copy_(value_F)))
        last = group.total(tree, shards, vectors)
        expected = whole.total()[own_of(group.rank) if vectors.only_own else slice(None)]
        same &= torch.equal(last, expected)
        for number in range(step % 3):
            lengths = [step + number, 0, 3]
            parts = [torch.full([length], 10.0 * step + rank + number) for rank, length in enumerate(lengths)]
            found = group.gather(list(parts[group.rank].split(2)) if number else [parts[group.rank]], lengths)
            time.sleep(0.003 * random.random())  # others may go on before this one has read
            same &= all(map(torch.equal, found, parts))
        same &= torch.equal(last, expected)
        last.fill_(group.rank)  # as clipping may
        counts.append((vectors.made, len(vectors.spare)))
    group.leave()
    shared = group.shares_memory
    found = {"same": same, "shared": shared, "after_six": counts[5], "at_last": counts[-1]}
    (Path(sys.argv[1]) / f"{group.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
