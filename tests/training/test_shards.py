"""A step in shards: what it sums, and what changes no bit of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from thalweg.data.augmentation import augmentation
from thalweg.data.augmenters import HostAugmenter
from thalweg.data.batches import Batches
from thalweg.data.mixing import Mixing
from thalweg.distributed.team import Team
from thalweg.errors import EndedElsewhereError, TrainingError, UsageError
from thalweg.models import build, set_drop_path
from thalweg.models.network import Network
from thalweg.runs import TrainingConfig, checkpoint
from thalweg.training import train
from thalweg.training.flat import Flat
from thalweg.training.lanes import Lanes
from thalweg.training.losses import Objective, Targets
from thalweg.training.muon import Muon, orthogonal
from thalweg.training.number_format import Format
from thalweg.training.progress import State
from thalweg.training.shards import AGREE_EVERY, ShardedBatch, draws_from_torch
from thalweg.training.sharing import SharedMatrices, StepInLanes, dealt, update_of, work_of
from thalweg.training.step import Gradients
from thalweg.training.weight_averaging import Average


FORMAT = Format("fp32", "channels-last")
PHOTOS = np.random.default_rng(0).integers(0, 256, (11, 16, 16, 3), dtype=np.uint8)
LABELS = np.arange(11) % 3


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def step_of(shards, lanes=1, *, drop=0.0, mixing=None, augment="none", team=None):
    """A small network and what takes its only batch of 11 photos."""
    torch.manual_seed(0)
    model = build("resnet-small", classes=3, size=16).to(memory_format=torch.channels_last).train()
    set_drop_path(model, drop)
    augmenter = HostAugmenter(PHOTOS, [0.5] * 3, [0.25] * 3)
    options = {"size": 16, "batch_size": 11, "policy": augmentation(augment), "seed": 3}
    batches = Batches(augmenter, np.arange(11), LABELS, **options)
    gradients = Gradients(model, Objective("cross-entropy", 0.1), FORMAT)
    return model, batches, sharded(gradients, batches, shards=shards, mixing=mixing, lanes=lanes, team=team)


def sharded(gradients, batches, *, shards, mixing=None, lanes=1, team=None):
    team = team or Team()
    count = len([one for one in gradients.model.parameters() if one.requires_grad])
    flat = Flat(gradients.model, len(team.message), dealt([1] * count, team.processes))
    return ShardedBatch(batches, mixing, gradients, Lanes(lanes), team, flat=flat, shards=shards, seed=5)


def bits_of(model):
    parts = [parameter.grad for parameter in model.parameters()] + list(model.buffers())
    return b"".join(part.contiguous().numpy().tobytes() for part in parts)


def test_a_step_is_the_weighted_mean_over_its_ghost_batches():
    """Each shard has its own batch norm; gradients, statistics and loss are means weighted by photos."""
    model, batches, take = step_of(shards=3)
    twins = [step_of(shards=1)[0] for _ in range(3)]
    objective, losses, right = Objective("cross-entropy", 0.1), [], 0
    shares = (3 / 11, 4 / 11, 4 / 11)
    for shard, (twin, places) in enumerate(zip(twins, (slice(0, 3), slice(3, 7), slice(7, 11)), strict=True)):
        images, labels = batches.shard(0, 0, shard, places, batches.augmenter)
        logits = twin(images)
        loss = objective(logits, Targets(labels))
        loss.backward()
        losses.append(loss.item())
        right += int((logits.argmax(dim=1) == labels).sum())
    taken = take(State(), 16, mixes=False)
    assert (taken.photos, int(taken.right), taken.are_mixed) == (11, right, False)
    assert taken.loss.item() == pytest.approx(np.dot(shares, losses), rel=1e-6)
    for ours, *theirs in zip(model.parameters(), *(twin.parameters() for twin in twins), strict=True):
        expected = sum(share * one.grad for share, one in zip(shares, theirs, strict=True))
        torch.testing.assert_close(ours.grad, expected, rtol=1e-4, atol=1e-6)
    for ours, *theirs in zip(model.buffers(), *(twin.buffers() for twin in twins), strict=True):
        expected = sum(share * one.double() for share, one in zip(shares, theirs, strict=True))
        torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=1e-6)


class Pair(Team):
    """Several processes, of which this one alone works; the others answer its looks with their own sums."""

    def __init__(self, *differences, rank=0, pause=lambda: None):
        super().__init__()
        self.rank, self.processes = rank, 1 + len(differences)
        self._differences, self._pause, self.worked_s = differences, pause, []

    def gather(self, own, lengths):
        self._pause()
        (own_F,) = own
        return [own_F, *(own_F + difference for difference in self._differences)]

    def worked(self, photos, seconds):
        self.worked_s.append(seconds)


@pytest.mark.parametrize(
    ("differences", "said"),
    [((0, 5, 0), "process 2 "), ((5,), "the processes do not hold the same weights"), ((5, 5, 0), "the processes")],
)
def test_processes_with_different_weights_do_not_go_on(differences, said):
    take = step_of(4, team=Pair(*differences))[2]
    with pytest.raises(TrainingError, match=said):
        take(State(), 16, mixes=False)
    with pytest.raises(EndedElsewhereError):
        step_of(4, team=Pair(*differences, rank=1))[2](State(), 16, mixes=False)
    take(State(step=AGREE_EVERY - 1), 16, mixes=False)  # between two looks


def test_waiting_for_the_others_at_a_look_is_no_work(monkeypatch):
    waited = []
    monkeypatch.setattr("time.monotonic", lambda: 1000.0 * len(waited))
    team = Pair(0, pause=lambda: waited.append(1))
    step_of(4, team=team)[2](State(), 16, mixes=False)
    assert waited
    assert team.worked_s == [0]


def test_threads_change_no_bit_and_each_shard_draws_for_itself():
    mixing = Mixing(0.5, 0.5, 3)
    options = {"drop": 0.5, "mixing": mixing, "augment": "standard"}
    found = set()
    for lanes in (1, 2, 3):
        model, _, take = step_of(5, lanes, **options)
        assert take(State(), 16, mixes=True).are_mixed
        found.add(bits_of(model))
    assert len(found) == 1
    model, _, take = step_of(5, **options)
    take(State(step=1), 16, mixes=True)  # the same photos; another step drops other branches
    assert bits_of(model) not in found


def test_a_parameter_without_a_gradient_keeps_none_and_held_statistics_their_bits():
    model, batches, _ = step_of(4)
    model.unused = torch.nn.Parameter(torch.ones(2))
    norm = next(module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d))
    norm.running_mean.fill_(1 / 3)
    norm.train = lambda _mode=True: norm
    norm.training = False
    gradients = Gradients(model, Objective("cross-entropy", 0.1), FORMAT)
    sharded(gradients, batches, shards=4)(State(), 16, mixes=False)
    assert model.unused.grad is None
    assert torch.equal(norm.running_mean, torch.full_like(norm.running_mean, 1 / 3))


def test_a_network_that_draws_from_torch_is_found():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    model = build("resnet-small", classes=3, size=16)
    torch.set_rng_state(before)
    set_drop_path(model, 0.5)
    assert not draws_from_torch(model, 16)
    model.neck = torch.nn.Sequential(model.neck, torch.nn.Dropout(0.1))
    assert draws_from_torch(model, 16)
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(model, Network)


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_muons_matrices_are_dealt_evenly(processes):
    shapes = [(64, 27), (64, 576), (128, 576), (128, 1152), (256, 1152), (256, 2304), (256, 2304)]
    owned = dealt(list(map(work_of, shapes)), processes)
    assert sorted(place for places in owned for place in places) == list(range(7))
    if processes == 2:
        work = [sum(min(shapes[at]) ** 2 * max(shapes[at]) for at in places) for places in owned]
        assert max(work) < 0.6 * sum(work)


def test_muon_gives_the_same_bits_with_its_matrices_side_by_side():
    def moved(share_out):
        torch.manual_seed(1)
        matrices = [torch.nn.Parameter(torch.randn(shape)) for shape in ((8, 3, 3, 3), (16, 8, 3, 3), (40, 5))]
        optimizer = Muon(matrices, [{"params": [torch.nn.Parameter(torch.ones(3))]}])
        optimizer.share_out = share_out
        for parameter in matrices:
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
        return [parameter.detach() for parameter in matrices]

    plain = moved(None)
    for share_out in (
        lambda shapes, matrix: [orthogonal(matrix(at)) for at in range(len(shapes))],
        SharedMatrices(Team(), Lanes(2)),
    ):
        assert all(map(torch.equal, plain, moved(share_out)))


def steps_taken(kind, lanes, **options):
    """Weights and state after some steps at changing rates."""
    torch.manual_seed(2)
    parameters = [torch.nn.Parameter(torch.randn(shape)) for shape in ((40, 7, 3, 3), (33,), (5, 21), (1,))]
    groups = [{"params": parameters[:2], "weight_decay": 0.1}, {"params": parameters[2:], "weight_decay": 0.0}]
    optimizer = kind(groups, lr=0.1, fused=True, **options)
    step = update_of(optimizer, Lanes(lanes))
    assert isinstance(step, StepInLanes) == (lanes > 1)
    for number in range(3):
        for place, parameter in enumerate(parameters):
            parameter.grad = torch.randn_like(parameter) if (number, place) != (1, 1) else None
        for group in optimizer.param_groups:
            group["lr"] = 0.1 / (1 + number)
        step()
    state = checkpoint.optimizer_tensors(optimizer)[0]
    return b"".join(tensor.detach().numpy().tobytes() for tensor in [*parameters, *map(state.get, sorted(state))])


@pytest.mark.parametrize(
    ("kind", "options"),
    [(torch.optim.SGD, {"momentum": 0.9}), (torch.optim.AdamW, {}), (torch.optim.Adam, {}), (torch.optim.Adagrad, {})],
)
def test_an_optimizers_step_side_by_side_has_the_bits_of_its_own(kind, options):
    assert len({steps_taken(kind, lanes, **options) for lanes in (1, 2, 3, 7)}) == 1


def test_an_optimizer_that_nobody_knows_takes_its_own_step():
    class Other(torch.optim.AdamW):
        pass

    for optimizer in (
        Other([torch.ones(2, requires_grad=True)]),
        torch.optim.NAdam([torch.ones(2, requires_grad=True)]),
    ):
        assert update_of(optimizer, Lanes(2)) == optimizer.step


def test_an_average_moves_side_by_side_with_the_same_bits():
    def moved(lanes):
        model, twin = (network_of(seed) for seed in (0, 1))
        average = Average(model, twin, 0.9, Lanes(lanes))
        for parameter in model.parameters():
            parameter.data += 1 / 3
        average.update(5)
        return [*average.twin.state_dict().values()]

    assert all(map(torch.equal, moved(1), moved(3)))


def network_of(seed):
    torch.manual_seed(seed)
    return build("resnet-small", classes=3, size=16)


CONFIG = TrainingConfig(
    model="resnet-small", size=16, epochs=1, batch_size=32, augment="none", precision="fp32", layout="channels-last",
    threads=1,
)  # fmt: skip


def test_one_shard_is_the_whole_batch_and_many_evaluate_every_photo_once(striped, tmp_path):
    whole, one, four = (
        train(striped, replace(CONFIG, shards=shards), tmp_path / str(shards)) for shards in (None, 1, 4)
    )
    ours, theirs = checkpoint.load(one.last)[0], checkpoint.load(whole.last)[0]
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert four.summary()["valid"]["count"] == 24
    assert four.epochs()["valid_loss"][-1] == pytest.approx(four.summary()["valid"]["loss"], rel=1e-6)
    assert four.config.shards == 4
    with pytest.raises(UsageError, match="--shards"):
        replace(CONFIG, shards=0)
