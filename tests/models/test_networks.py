"""The networks against closed forms, at many sizes, and in training."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from thalweg.errors import MissingExtraError, UnknownNameError, UsageError
from thalweg.models import build, describe, features, names, smallest_size
from thalweg.models.depthwise import SameConv2d


CLASSES = 11
SIZES = (16, 17, 28, 31, 32, 47, 48, 64, 65, 95, 96, 128, 160)
CASES = [(name, size) for name in names() for size in SIZES if size >= smallest_size(name)]

# Closed forms. A convolution has in·out·k² weights (and out biases), a norm 2·channels, a linear layer (in + 1)·out.
CONV = lambda inputs, outputs, kernel=3: inputs * outputs * kernel**2  # noqa: E731 - a formula
WIDTHS = (3, 64, 128, 256, 512, 512)
PAIRS = list(pairwise(WIDTHS))


def cnn_parameters(size):
    blocks = sum(CONV(i, o) + o + 2 * o for i, o in PAIRS)
    flat = 512 * (size // 32) ** 2
    return blocks + (flat + 1) * 1024 + 1025 * 512 + 513 * CLASSES


def cnn_multiplications(size):
    sides = [size // 2**index for index in range(5)]
    blocks = sum(CONV(i, o) * side**2 for (i, o), side in zip(PAIRS, sides, strict=True))
    return blocks + 512 * (size // 32) ** 2 * 1024 + 1024 * 512 + 512 * CLASSES


def residual_parameters():
    return sum(CONV(i, o) + CONV(o, o) + 4 * o for i, o in PAIRS) + 513 * CLASSES


def residual_multiplications(size):
    sides = [size // 2**index for index in range(5)]
    befores, afters = sides, [*sides[1:], sides[-1]]  # the last block's pooling is the global one
    blocks = sum(
        CONV(i, o) * before**2 + CONV(o, o) * after**2
        for (i, o), before, after in zip(PAIRS, befores, afters, strict=True)
    )
    return blocks + 512 * CLASSES


def resnet_parameters(width):
    half = width // 2
    stem = CONV(3, half) + CONV(half, half) + CONV(half, width) + 2 * (half + half + width)
    first = 4 * (CONV(width, width) + 2 * width)
    later = sum(
        CONV(c, 2 * c) + 3 * CONV(2 * c, 2 * c) + CONV(c, 2 * c, 1) + 5 * 2 * 2 * c
        for c in (width, 2 * width, 4 * width)
    )
    return stem + first + later + (8 * width + 1) * CLASSES


def small_parameters():
    widths = (3, 32, 64, 128)
    blocks = sum(2 * CONV(c, c) + 4 * c for c in widths[1:])
    halvings = CONV(3, 32, 5) + CONV(32, 64) + CONV(64, 128) + 2 * (32 + 64 + 128)
    return blocks + halvings + 129 * CLASSES


def small_multiplications(size):
    sides = [-(-size // 2), -(-size // 4), -(-size // 8)]
    halvings = (CONV(3, 32, 5), CONV(32, 64), CONV(64, 128))
    blocks = [2 * CONV(c, c) for c in (32, 64, 128)]
    return sum((h + b) * side**2 for h, b, side in zip(halvings, blocks, sides, strict=True)) + 128 * CLASSES


def resnet_multiplications(width, stem_side, side):
    """Sides of the stem's maps and of the first stage's."""
    half = width // 2
    total = (CONV(3, half) + CONV(half, half) + CONV(half, width)) * stem_side**2
    total += 4 * CONV(width, width) * side**2
    for c in (width, 2 * width, 4 * width):
        side = (side + 1) // 2
        total += (CONV(c, 2 * c) + 3 * CONV(2 * c, 2 * c) + CONV(c, 2 * c, 1)) * side**2
    return total + 8 * width * CLASSES


@pytest.mark.parametrize("size", [32, 64, 128, 160])
def test_cnn_is_what_the_formula_says(size):
    card = describe("cnn", size=size, classes=CLASSES)
    assert (card.parameters, card.flops) == (cnn_parameters(size), 2 * cnn_multiplications(size))


@pytest.mark.parametrize("size", [32, 100, 128])
def test_residual_is_what_the_formula_says(size):
    card = describe("residual", size=size, classes=CLASSES)
    assert (card.parameters, card.flops) == (residual_parameters(), 2 * residual_multiplications(size))


@pytest.mark.parametrize("size", [16, 28, 33])
def test_the_small_net_is_its_closed_form(size):
    card = describe("resnet-small", size=size, classes=CLASSES)
    assert card.parameters == small_parameters()
    assert card.flops == 2 * small_multiplications(size)


def lite0_cost(size, classes):
    """Parameters and multiplications of EfficientNet-Lite0, from the paper's table of stages."""
    side = (size + 1) // 2
    parameters, multiplications, inputs = CONV(3, 32) + 2 * 32, CONV(3, 32) * side**2, 32
    rows = "1 3 1 1 16, 2 3 2 6 24, 2 5 2 6 40, 3 3 2 6 80, 3 5 1 6 112, 4 5 2 6 192, 1 3 1 6 320"
    for blocks, kernel, stride, expansion, channels in (map(int, row.split()) for row in rows.split(",")):
        for step in (stride, *[1] * (blocks - 1)):
            wide, before = inputs * expansion, side
            side = -(-side // step)
            widening = inputs * wide if expansion > 1 else 0
            parameters += widening + wide * kernel**2 + wide * channels
            parameters += 2 * (wide * (expansion > 1) + wide + channels)
            multiplications += widening * before**2 + (wide * kernel**2 + wide * channels) * side**2
            inputs = channels
    head = 320 * 1280
    return parameters + head + 2 * 1280 + 1281 * classes, multiplications + head * side**2 + 1280 * classes


@pytest.mark.parametrize("size", [33, 64, 160, 224])
def test_efficientnet_lite0_is_what_the_papers_table_says(size):
    card = describe("efficientnet-lite0", size=size, classes=1000)
    parameters, multiplications = lite0_cost(size, 1000)
    assert (card.parameters, card.flops) == (parameters, 2 * multiplications)
    assert card.parameters == 4_652_008


@pytest.mark.parametrize(("size", "stride", "kernel"), [(8, 2, 3), (9, 2, 3), (8, 2, 5), (7, 1, 5), (12, 2, 1)])
def test_an_odd_pixel_of_padding_comes_last(size, stride, kernel):
    torch.manual_seed(0)
    convolution = SameConv2d(2, 3, kernel, stride, bias=False)
    maps = torch.randn(1, 2, size, size)
    found = convolution(maps)
    assert found.shape[-1] == -(-size // stride)
    total = max((found.shape[-1] - 1) * stride + kernel - size, 0)
    canvas = torch.zeros(1, 2, size + total, size + total)
    canvas[..., total // 2 : total // 2 + size, total // 2 : total // 2 + size] = maps
    for row, column in ((0, 0), (-1, -1), (1, 2)):
        top, left = (at % found.shape[-1] * stride for at in (row, column))
        patch = canvas[..., top : top + kernel, left : left + kernel]
        torch.testing.assert_close(found[..., row, column], torch.einsum("nchw,dchw->nd", patch, convolution.weight))


@pytest.mark.parametrize(("name", "width"), [("resnet18", 64), ("resnet18-half", 32)])
@pytest.mark.parametrize(
    ("size", "stem_side", "side"), [(20, 20, 20), (28, 14, 14), (64, 32, 32), (128, 64, 32), (97, 49, 25)]
)
def test_resnet_is_what_the_formula_says(name, width, size, stem_side, side):
    card = describe(name, size=size, classes=CLASSES)
    expected = (resnet_parameters(width), 2 * resnet_multiplications(width, stem_side, side))
    assert (card.parameters, card.flops) == expected


def test_cnn_is_the_notebooks_network_layer_by_layer():
    found = [type(module).__name__ for module in build("cnn", classes=11, size=128).modules()]
    kinds = [kind for kind in found if kind not in ("Network", "Sequential")]
    block = ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"]
    assert kinds == [*block * 5, "Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear"]


@pytest.mark.parametrize("name", names())
def test_describing_makes_the_same_network_and_leaves_the_random_state(name):
    state = torch.get_rng_state()
    card = describe(name, size=64, classes=CLASSES)
    assert torch.equal(torch.get_rng_state(), state)
    assert card.parameters == sum(p.numel() for p in build(name, classes=CLASSES, size=64).parameters())


@pytest.mark.parametrize(("name", "size"), CASES)
def test_logits_at_every_size(name, size):
    with torch.device("meta"):
        model = build(name, classes=3, size=size)
        assert model(torch.empty(2, 3, size, size)).shape == (2, 3)


@pytest.mark.parametrize("name", names())
def test_the_smallest_size_trains_even_one_photo_and_one_less_is_refused(name):
    size = smallest_size(name)
    model = build(name, classes=3, size=size)
    model(torch.randn(1, 3, size, size)).sum().backward()
    with pytest.raises(UsageError, match=rf"{size - 1} px.*--size {size}"):
        build(name, classes=3, size=size - 1)


@pytest.mark.parametrize("size", [20, 28, 32, 64, 96, 128, 160])
def test_the_last_maps_of_a_resnet_have_two_to_five_pixels_a_side(size):
    with torch.device("meta"):
        maps = build("resnet18-half", classes=2, size=size).stages(torch.empty(1, 3, size, size))
    assert 2 <= maps.shape[-1] <= 5


@pytest.mark.parametrize("name", names())
def test_the_seed_decides_the_weights(name):
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(build(name, classes=3, size=max(32, smallest_size(name))).state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert any(not torch.equal(value, states[2][key]) for key, value in states[0].items())


@pytest.mark.parametrize("name", ["resnet18", "resnet18-half"])
def test_every_block_of_a_resnet_starts_as_its_shortcut(name):
    blocks = [m for m in build(name, classes=3, size=32).eval().modules() if hasattr(m, "shortcut")]
    assert len(blocks) == 8
    for block in blocks:
        maps = torch.rand(1, block.branch[0][0].in_channels, 4, 4)
        assert torch.equal(block(maps), torch.relu(block.shortcut(maps)))


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_one_batch_is_learned_by_heart_and_gradients_reach_every_weight(name):
    torch.manual_seed(0)
    size, labels = max(32, smallest_size(name)), torch.tensor([0, 1, 2, 0])
    images = torch.randn(4, 3, size, size)
    model = build(name, classes=3, size=size)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    reached = set()
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        reached |= {key for key, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        optimizer.step()
    assert loss < 0.05
    assert reached == {key for key, _ in model.named_parameters()}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if "lite" in name else ()) for name in names()]
)
def test_channels_last_gives_the_same_and_bf16_nearly(name):
    torch.manual_seed(0)
    size = max(32, smallest_size(name))
    model = build(name, classes=5, size=size).eval()
    images = torch.randn(4, 3, size, size)
    with torch.inference_mode():
        expected = features(model, images)
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
        last = features(model, images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = features(model, images)
    for key, value in expected.items():
        assert half[key].dtype == torch.float32
        torch.testing.assert_close(last[key], value, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(half[key], value, atol=0.05 * value.abs().max().item(), rtol=0.1)


def test_bf16_trains_in_channels_last():
    model = build("resnet18-half", classes=3, size=32).to(memory_format=torch.channels_last)
    images = torch.randn(4, 3, 32, 32).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(images).float().square().mean()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="resnet18") as caught:
        build("resnet81", classes=3, size=64)
    assert "resnet18" in caught.value.nearest
    with pytest.raises(UnknownNameError):
        smallest_size("resnet81")


def test_without_timm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)  # what an import of nothing looks like
    with pytest.raises(MissingExtraError, match=r"thalweg\[timm\]"):
        build("timm:resnet50", classes=3, size=64)
