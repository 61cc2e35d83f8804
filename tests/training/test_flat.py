"""What shards give: summed as it is or in vectors, the bits are the same."""

import pytest
import torch
from torch import nn

from thalweg.data.sharding import Block, Tree
from thalweg.training.flat import Flat
from thalweg.training.lanes import Lanes


@pytest.fixture
def model():
    return nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1)).to(
        memory_format=torch.channels_last
    )


def given_of(flat, seed):
    """What a shard gives, with zeros of both signs; a third of the parameters have no gradient."""
    random = torch.Generator().manual_seed(seed)
    gradients = []
    for parameter in flat.parameters:
        gradient = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=random))
        zero = torch.rand(parameter.shape, generator=random) < 0.3
        absent = torch.rand((), generator=random) < 0.3
        gradients.append(None if absent else torch.where(zero, -0.0, gradient))
    buffers = [buffer + 1 for buffer in flat.buffers]
    return flat.given(gradients, buffers, (torch.tensor(0.5), torch.tensor(3)), share=0.3, counts=seed == 0)


def bits_of(given):
    tensors = [given.rest_R, *(one for one in given.gradients if one is not None)]
    return b"".join(tensor.numpy().tobytes() for tensor in tensors), [one is None for one in given.gradients]


@pytest.mark.parametrize("shards", [2, 3, 5])
@pytest.mark.parametrize("seed", range(0, 400, 100))
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_a_sum_in_vectors_has_the_bits_of_one_as_it_is(model, shards, seed, threads):
    flat = Flat(model, words=2, owners=[[0, 3], [1], [], [2, 4]])
    lanes = Lanes(threads)
    plain, packed = Tree(lambda left, right: left.add(right, lanes)), Tree(lambda left, right: left.add_(right))
    for shard in range(shards):
        plain.push(Block(shard, 1, given_of(flat, seed + shard)))
        packed.push(Block(shard, 1, flat.pack(given_of(flat, seed + shard))))
    assert bits_of(plain.total()) == bits_of(flat.parted(packed.total()))


def test_gradients_get_the_memory_order_of_their_parameters(model):
    flat = Flat(model, words=0, owners=[range(5)])
    gradients = [torch.randn(parameter.shape) for parameter in flat.parameters]
    given = flat.given(gradients, flat.buffers, (torch.tensor(0.0), torch.tensor(0)), share=1.0, counts=True)
    flat.put(given)
    for parameter, gradient in zip(flat.parameters, gradients, strict=True):
        assert parameter.grad.stride() == parameter.stride()
        assert torch.equal(parameter.grad, gradient)
    assert torch.equal(flat.parted(flat.pack(given)).gradients[0], gradients[0])


def test_a_gradient_that_two_parameters_share_is_changed_for_neither(model):
    flat = Flat(model, words=0, owners=[range(5)])
    shared = torch.ones(8)

    def given():
        gradients = [shared if parameter.shape == (8,) else None for parameter in flat.parameters]
        return flat.given(gradients, flat.buffers, (torch.tensor(0.0), torch.tensor(0)), share=1.0, counts=True)

    total = given()
    total.add(given(), Lanes(1))
    total.add(given(), Lanes(1))
    assert torch.equal(shared, torch.ones(8))
    flat.put(total)
    one, other = (parameter.grad for parameter in flat.parameters if parameter.shape == (8,))
    assert torch.equal(one, torch.full((8,), 3.0))
    assert torch.equal(other, one)
    flat.put(given())
    next(parameter for parameter in flat.parameters if parameter.shape == (8,)).grad.mul_(5)  # as clipping does
    assert torch.equal(shared, torch.ones(8))


def test_gradients_that_a_replay_on_a_gpu_writes_again_are_copied(model, monkeypatch):
    monkeypatch.setattr(Flat, "on_host", property(lambda _: False))
    flat = Flat(model, words=0, owners=[range(5)])
    gradients = [torch.ones_like(parameter) for parameter in flat.parameters]
    given = flat.given(gradients, flat.buffers, (torch.tensor(0.0), torch.tensor(0)), share=1.0, counts=True)
    for gradient in gradients:
        gradient.zero_()
    assert all(torch.equal(one, torch.ones_like(one)) for one in given.gradients)
