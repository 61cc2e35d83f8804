"""Sums over shards in several processes, many times: the bits are those of one tree, and no vector is lost.

torchrun --nproc-per-node 3 sums.py FOLDER
"""

import json
import sys
from pathlib import Path

import torch

from thalweg.data.sharding import Block, Tree, of_process
from thalweg.distributed.joining import join


LENGTH = 12


class Vectors:
    """Counts the vectors that are made."""

    def __init__(self):
        self.length, self.made, self.spare = LENGTH, 0, []

    def new(self):
        if self.spare:
            return self.spare.pop()
        self.made += 1
        return torch.empty(LENGTH)

    def give_back(self, flat_F):
        self.spare.append(flat_F)


def of_shard(step, shard):
    return torch.randn(LENGTH, generator=torch.Generator().manual_seed(100 * step + shard))


def main():
    group = join()
    group.meet()
    vectors, last, same, counts = Vectors(), None, True, []
    for step in range(30):
        shards = (8, 5, 2)[step % 3]  # of three processes, several blocks in one, and none in another
        if last is not None:
            vectors.give_back(last)

        def add(left_F, right_F):
            left_F.add_(right_F)
            vectors.give_back(right_F)

        tree, whole = Tree(add), Tree(lambda left_F, right_F: left_F.add_(right_F))
        for shard in range(shards):
            whole.push(Block(shard, 1, of_shard(step, shard)))
        for shard in of_process(shards, group.rank, 3):
            tree.push(Block(shard, 1, vectors.new().copy_(of_shard(step, shard))))
        last = group.total(tree, shards, vectors)
        same &= torch.equal(last, whole.total())
        counts.append((vectors.made, len(vectors.spare)))
    group.leave()
    found = {"same": same, "after_three": counts[2], "at_last": counts[-1]}
    (Path(sys.argv[1]) / f"{group.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
