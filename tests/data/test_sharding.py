"""Shards cover a batch, and their sum is the same tree whoever computes its parts."""

import pytest

from thalweg.data.sharding import Block, Tree, blocks_of, cut, of_process


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17, 64])
@pytest.mark.parametrize("shards", [1, 2, 3, 4, 8, 100])
def test_shards_cover_the_batch_evenly_and_none_has_one_photo(count, shards):
    found = cut(count, shards)
    places = [place for shard in found for place in range(shard.start, shard.stop)]
    sizes = [shard.stop - shard.start for shard in found]
    assert places == list(range(count))
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= min(2, count)
    assert len(found) <= shards


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 5, 8, 13])
@pytest.mark.parametrize("shards", [1, 2, 3, 4, 6, 7, 8, 16, 21])
def test_processes_share_all_shards_and_sum_them_in_one_tree(shards, processes):
    shares = [of_process(shards, rank, processes) for rank in range(processes)]
    assert [shard for share in shares for shard in share] == list(range(shards))
    assert len(shares[0])  # the first one writes and speaks, so it takes part
    assert max(map(len, shares)) - min(map(len, shares)) <= 1

    def sums(places, given):
        tree = Tree(lambda left, right: left.append(right))
        for first, size in places:
            tree.push(Block(first, size, given(first, size)))
        return tree

    def one(first, size):
        return [first]

    expected = sums([(shard, 1) for shard in range(shards)], one).total()
    parts = {}
    for share in shares:
        own = sums([(shard, 1) for shard in share], one)
        assert [(block.first, block.size) for block in own.blocks] == blocks_of(share)
        parts |= {block.first: block.value for block in own.blocks}
    joined = sums([place for share in shares for place in blocks_of(share)], lambda first, _size: parts[first])
    assert joined.total() == expected
