"""Several replicas in one process, whose rows go through a store: what is equal, what is not, and since when."""

import math
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec, module_from_spec

import numpy as np
import pytest
import torch
from torch import distributed, nn
from torch.distributed import HashStore
from torch.nn.parallel import DistributedDataParallel
from torch.testing._internal.distributed import fake_pg  # noqa: F401 - its import makes the group known

from thalweg.diagnosis import judge
from thalweg.diagnosis.measures.replicas import of_rates, of_told, replica_measures
from thalweg.diagnosis.rules import REPLICA_CODES
from thalweg.history import History
from thalweg.probes.peers import BLOCKS, Peers, Row, Told
from thalweg.probes.replicas import ReplicaProbe, bits_of, random_states
from thalweg.runs.files import PROCESS_UNITS
from thalweg.training.batch import Taken
from thalweg.training.record import Meter


STEPS = 12


class Replicas:
    """Replicas of one network, in turn, each with a batch of its own and the mean of all gradients."""

    def __init__(self, count=2, *, promised=True, every=2):
        store = HashStore()
        torch.manual_seed(0)
        first = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
        self.models = [nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)) for _ in range(count)]
        for model in self.models:
            model.load_state_dict(first.state_dict())
        self.optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in self.models]
        self.probes = [
            ReplicaProbe(model, optimizer, Peers(store, rank, range(count), promised=promised), every=every)
            for rank, (model, optimizer) in enumerate(zip(self.models, self.optimizers, strict=True))
        ]
        self.batch = lambda step, rank: torch.randn(8, 4, generator=torch.Generator().manual_seed(9 * step + rank))
        self.skips = lambda _step, _rank: False

    def average(self, _step):
        for alike in zip(*(model.parameters() for model in self.models), strict=True):
            mean = torch.stack([parameter.grad for parameter in alike]).mean(dim=0)
            for parameter in alike:
                parameter.grad.copy_(mean)

    def after(self, step):
        pass

    def run(self, steps=STEPS):
        for probe in self.probes:
            probe.attach()
        for step in range(steps):
            for rank, model in enumerate(self.models):
                model.zero_grad()
                model(self.batch(step, rank)).square().mean().backward()
            self.average(step)
            for rank, optimizer in enumerate(self.optimizers):
                if not self.skips(step, rank):
                    optimizer.step()
            self.after(step)
        with ThreadPoolExecutor(len(self.probes)) as at_once:
            list(at_once.map(ReplicaProbe.detach, self.probes))
        found = [replica_measures(probe) for probe in self.probes]
        return [{name: value for name, value in one.items() if name != "waiting"} for one in found]  # they take turns


def found_by(replicas, steps=STEPS, **how):
    for name, value in how.items():
        setattr(replicas, name, value)
    measures = replicas.run(steps)
    verdicts = {judge({"steps": float(steps), **one}).code for one in measures}
    assert len(verdicts) == 1, "all processes say the same"
    code = verdicts.pop()
    return (code if code in REPLICA_CODES else "well"), measures[0]


@pytest.mark.parametrize("promised", [True, False])
def test_equal_replicas_are_not_accused(promised):
    code, measures = found_by(Replicas(3, promised=promised))
    assert code == "well"
    assert measures["weights_differ"] == measures["gradients_differ"] == measures["data_shared"] == 0


def test_weights_that_were_loaded_on_one_process_only():
    replicas = Replicas(3)
    with torch.no_grad():
        replicas.models[2][0].bias.add_(1e-3)
    code, measures = found_by(replicas)
    assert code == "replicas_differ"
    assert (measures["differ_since"], measures["odd_process"]) == (1, 2)
    assert measures["weights_differ"] == pytest.approx(30 / 44)  # the layer with the bias


def test_a_step_that_one_process_skipped():
    code, measures = found_by(Replicas(), skips=lambda step, rank: (step, rank) == (4, 1))
    assert code == "replicas_differ"
    assert (measures["differ_since"], measures["odd_process"]) == (6, 1)


def test_gradients_that_are_not_averaged():
    code, measures = found_by(Replicas(), average=lambda _step: None)
    assert (code, measures["gradients_differ"]) == ("gradients_not_averaged", 1)


def test_an_average_that_leaves_out_one_number():
    replicas = Replicas()
    whole = replicas.average

    def drops(step):
        own = [model[2].weight.grad[1, 5].clone() for model in replicas.models]
        whole(step)
        for model, value in zip(replicas.models, own, strict=True):
            model[2].weight.grad[1, 5] = value

    code, measures = found_by(replicas, average=drops)
    assert (code, measures["gradients_differ"]) == ("gradients_not_averaged", pytest.approx(14 / 44))


@pytest.mark.parametrize(("every", "steps"), [(4, 12), (16, 83), (20, 30)])
def test_weights_that_are_averaged_now_and_then(every, steps):
    replicas = Replicas(promised=False, every=20)

    def meet(step):
        if step % every == every - 1:
            for alike in zip(*(model.parameters() for model in replicas.models), strict=True):
                mean = torch.stack([parameter.data for parameter in alike]).mean(dim=0)
                for parameter in alike:
                    parameter.data.copy_(mean)

    code, measures = found_by(replicas, steps, average=lambda _step: None, after=meet)
    assert (code, measures["weights_differ"]) == ("well", 0)


def test_by_hand_an_average_may_be_yet_to_come():
    _, measures = found_by(Replicas(promised=False), average=lambda _step: None)
    assert measures["wrapped"] == 0
    assert judge({"steps": 100.0, **measures}).code == "gradients_not_averaged"
    learning = {"loss_constant": 0.7, "loss_first": 0.7, "loss_last": 0.1, "falling": 0.3, "left": 0.1}
    for wrapped in (0.0, 1.0):
        verdict = judge({"steps": 100.0, **measures, **learning, "wrapped": wrapped})
        assert (verdict.code in REPLICA_CODES) == bool(wrapped)


def test_parts_of_one_network_are_no_replicas():
    replicas = Replicas(promised=False)
    with torch.no_grad():
        for rank, model in enumerate(replicas.models):
            for layer in (model[0], model[2]):
                layer.weight.add_(rank)
                layer.bias.zero_()
    code, measures = found_by(replicas, average=lambda _step: None, batch=lambda _step, _rank: torch.ones(8, 4))
    assert (code, set(measures)) == ("well", {"processes_lacking"})


def test_the_same_batches_and_batches_without_samples():
    code, measures = found_by(Replicas(), batch=lambda step, _rank: torch.full((8, 4), step / 7))
    assert (code, measures["data_shared"]) == ("replicas_see_same_data", 1)
    code, measures = found_by(Replicas(), batch=lambda step, rank: torch.ones(0 if rank else 8, 4) * (step + 1))
    assert (code, measures["lacking_process"]) == ("rank_without_data", 1)


def test_an_input_that_is_the_same_in_all_steps_is_no_shared_data():
    code, measures = found_by(Replicas(), batch=lambda _step, _rank: torch.ones(8, 4))
    assert code == "well"
    assert "data_shared" not in measures


def test_a_process_that_came_after_another_had_left_is_heard():
    replicas = Replicas()
    early, late = replicas.probes
    early.attach()
    early.detach()
    assert replica_measures(early) == {}
    replicas.probes = [late]
    replicas.models, replicas.optimizers = replicas.models[1:], replicas.optimizers[1:]
    replicas.run()
    assert replica_measures(early)["lacking_process"] == replica_measures(late)["lacking_process"] == 0


def told(own=(1.0, 1.0), draws=(lambda step: step, lambda step: 100 + step), steps=10):
    return [
        Told(
            steps,
            steps,
            True,
            {
                step: Row(step, step, 8, (draw(step), 0, 0), (7,), (step,), seconds, 2.0, float(10 * rank + step))
                for step in range(1, steps + 1)
            },
        )
        for rank, (seconds, draw) in enumerate(zip(own, draws, strict=True))
    ]


def test_numbers_that_only_pythons_generator_draws_may_be_equal_by_design():
    processes = told(draws=(lambda _step: 5, lambda _step: 5))
    for one in processes:
        one.rows = {step: replace(row, draws=(5, step, step)) for step, row in one.rows.items()}
    assert measured(processes)["draws_shared"] == 0


def measured(processes):
    return of_told(processes, [4], [True], promised=True)


def test_the_late_process_is_named_if_the_others_wait_long():
    found = measured(told(own=(0.2, 1.0)))
    assert (found["slowest_process"], found["slowest_times"], found["waiting"]) == (1, 5, pytest.approx(0.4))
    assert judge({"steps": 10.0, **found}).code == "straggler"
    assert "rank 1" in str(judge({"steps": 10.0, **found}))
    assert measured(told(own=(1e-4, 9e-3)))["waiting"] == 0
    assert "waiting" not in measured(told(own=(0.2, math.nan)))


def test_the_rates_of_a_run_name_its_slowest_process():
    history = History(PROCESS_UNITS)
    for step in range(1, 20, 2):
        history.extend([[step, 0, 90.0 + step], [step, 1, 90.0 - step], [step, 2, 40.0]])
    found = of_rates(history)
    assert (found["slowest_process"], judge({"steps": 20.0, **found}).code) == (2, "straggler")
    history.extend([[21, 2, 85.0]])  # alone: it tells nothing of the others
    assert of_rates(history) == found
    history.extend([[step, rank, 60.0] for step in range(23, 33) for rank in (0, 1)])  # resumed on two
    assert of_rates(history)["waiting"] == 0


def test_a_rate_is_that_of_all_the_work_between_two_readings():
    meter, scalar = Meter(torch.device("cpu")), torch.tensor(1.0)
    for rates in ((), (10.0, 0.0), (30.0, 0.0)):
        taken = Taken(scalar, scalar, scalar, 4, are_mixed=False, seconds=0.1, rates=rates)
        meter.add(taken, step=1, epoch=1.0, lr=0.1, size=32)
    assert meter.rates() == {0: 15.0}  # a process without photos has no rate
    assert meter.rates() == {}


@pytest.mark.parametrize(
    ("draws", "share"),
    [
        ((lambda step: step, lambda step: step), 1),
        ((lambda step: step, lambda step: -step), 0),
        ((lambda _step: 5, lambda _step: 5), 0),  # nothing was drawn
        ((lambda step: step // 4, lambda step: step // 4), pytest.approx(2 / 9)),  # once an epoch, as loaders do
    ],
)
def test_random_numbers_count_where_all_draw_the_same(draws, share):
    assert measured(told(draws=draws))["draws_shared"] == share


def test_a_process_without_a_step_is_named_once_it_has_left_its_loop():
    began, left, elsewhere = Told(0, 0), Told(0, 0, True), Told()
    trains, stuck = told()[0], Told(0, 1, True)
    for first in (trains, stuck):
        assert of_told([first, left], [], [], promised=True)["lacking_process"] == 1
        assert of_told([first, began], [], [], promised=True) == {"processes_lacking": 0}, "it may not have told yet"
    assert of_told([trains, elsewhere], [], [], promised=True) == {}, "it does not watch"
    assert of_told([left, left], [], [], promised=True) == {"processes_lacking": 0}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64])
def test_bits_are_added_whatever_the_layout(dtype):
    values = torch.randn(3, 5, 7, 2, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = bits_of(values)
    for same in (values.to(memory_format=torch.channels_last), values.transpose(0, 1), torch.cat([values, values])[3:]):
        assert bits_of(same) == expected
    odd = torch.zeros(values.numel() + 1, dtype=dtype)
    odd[1:] = values.reshape(-1)
    assert bits_of(odd[1:]) == expected, "not at a multiple of eight bytes"
    values[1, 1, 1, 1] = torch.nextafter(values.real, values.real + 9)[1, 1, 1, 1] if dtype != torch.complex64 else 1j
    assert bits_of(values) != expected
    assert bits_of(None) == bits_of(torch.zeros(0)) == bits_of(values.to_sparse()) == 0


def test_states_tell_draws_apart_and_draw_nothing():
    def states():
        return random_states(torch.device("cpu"))

    before = states()
    assert states() == before
    torch.rand(1)
    random.random()
    np.random.rand()  # noqa: NPY002 - the one that augmentations use
    assert [one != other for one, other in zip(before, states(), strict=True)] == [True] * 3


def test_a_generator_of_another_kind_has_a_state_as_well():
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(3))
    try:
        first = random_states(torch.device("cpu"))
        np.random.rand()  # noqa: NPY002 - the one that augmentations use
        second = random_states(torch.device("cpu"))
    finally:
        np.random.set_bit_generator(before)
    assert first[:2] == second[:2]
    assert first[2] != second[2]


@pytest.fixture
def at_line():
    """Watch models at one line of the program, each in a process that knows nothing of the others'."""
    distributed.init_process_group("fake", store=HashStore(), rank=0, world_size=8)

    def watch(*models, beside=()):
        spec = find_spec("thalweg.probes.peers")
        processes = [module_from_spec(spec) for _ in models]
        for process in processes:
            spec.loader.exec_module(process)
        for process, model in zip(processes, beside, strict=False):
            process.Peers.of(model, None)
        return [process.Peers.of(model, None) for process, model in zip(processes, models, strict=True)]

    yield watch
    distributed.destroy_process_group()


def test_a_model_that_one_process_watches_beside_shifts_no_other(at_line):
    one, other = at_line(nn.Linear(3, 2), nn.Linear(3, 2), beside=[nn.Linear(3, 2)])
    one.post((), 5, 5)
    assert other.gather()[0].steps == 5


def test_groups_that_begin_alike_share_nothing(at_line):
    group = distributed.new_group([0, 1, 2, 3])
    one, other = at_line(*(DistributedDataParallel(nn.Linear(3, 2), process_group=part) for part in (None, group)))
    one.post((), 5, 5)
    assert other.gather()[0].steps is None


def test_a_row_is_read_as_it_was_written_and_a_store_keeps_the_begin_and_the_end():
    row = Row(3, 4, -1, (1, 2, 3), (-5, 2**63 - 1), (0, -(2**63)), 0.5, math.inf, 0.25)
    assert Row.from_bytes(row.to_bytes()) == row
    peers = Peers(HashStore(), 0, range(1), promised=True)
    for step in range(1, 60):
        peers.post([Row(step, step, 1, (0, 0, 0), (1,), (1,))], step, step, ended=step == 59)
    (own,) = peers.gather()
    assert (own.steps, own.ended, sorted(own.rows)) == (59, True, [1, *range(60 - BLOCKS, 60)])
