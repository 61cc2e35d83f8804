"""A batch cut into virtual shards, and the tree in which what they give is summed.

Both depend on the number of photos and of shards only, never on the processes that compute them: so a sum of floating-
point numbers has the same bits whoever computes its parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar


if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")

_FEWEST = 2  # photos of a shard: batch norm cannot average over one


def cut(count: int, shards: int) -> list[slice]:
    """Cut a batch into shards of equal sizes, or sizes that differ by one.

    Args:
        count: photos in the batch, at least 1.
        shards: at most; a small batch has fewer, so that each has two photos.

    Returns:
        The positions of each shard in the batch.

    Example:
        >>> cut(10, 4)
        [slice(0, 2, None), slice(2, 5, None), slice(5, 7, None), slice(7, 10, None)]
        >>> cut(3, 4)
        [slice(0, 3, None)]
    """
    number = max(1, min(shards, count // _FEWEST))
    return [slice(at * count // number, (at + 1) * count // number) for at in range(number)]


def of_process(shards: int, rank: int, processes: int) -> range:
    """Return the shards that a process computes: neighbors, about equally many for each process, some for the first.

    Example:
        >>> [list(of_process(4, rank, 3)) for rank in range(3)]
        [[0, 1], [2], [3]]
    """
    first, last = (-(-at * shards // processes) for at in (rank, rank + 1))
    return range(first, last)


class Block(NamedTuple, Generic[Value]):
    """The sum over `size` neighboring shards from `first` on."""

    first: int
    size: int
    value: Value


class Tree(Generic[Value]):
    """Sums values in a fixed binary tree: neighbors in pairs, then pairs of pairs; what is left over, from the right.

    Args:
        add: adds the right value to the left one, in place.

    Example:
        >>> tree = Tree(lambda left, right: left.append(right))
        >>> for place in range(5):
        ...     tree.push(Block(place, 1, [place]))
        >>> tree.total()
        [0, [1], [2, [3]], [4]]
    """

    def __init__(self, add: Callable[[Value, Value], object]) -> None:
        self._add = add
        self.blocks: list[Block[Value]] = []

    def push(self, block: Block[Value]) -> None:
        """Take the next block, and add up all that form a whole subtree."""
        self.blocks.append(block)
        while len(self.blocks) > 1 and self._are_siblings():
            self._join()

    def total(self) -> Value:
        """Return the sum over all that was pushed."""
        while len(self.blocks) > 1:
            self._join()
        return self.blocks.pop().value

    def _are_siblings(self) -> bool:
        left, right = self.blocks[-2:]
        return left.size == right.size and left.first % (2 * left.size) == 0

    def _join(self) -> None:
        right, left = self.blocks.pop(), self.blocks.pop()
        self._add(left.value, right.value)
        self.blocks.append(Block(left.first, left.size + right.size, left.value))


def blocks_of(shards: range) -> list[tuple[int, int]]:
    """Return the whole subtrees that neighboring shards form, as (first, size), in order.

    Example:
        >>> blocks_of(range(3, 8)), blocks_of(range(0))
        ([(3, 1), (4, 4)], [])
    """
    tree: Tree[None] = Tree(lambda left, right: None)  # noqa: ARG005 - only the shape counts
    for shard in shards:
        tree.push(Block(shard, 1, None))
    return [(block.first, block.size) for block in tree.blocks]
