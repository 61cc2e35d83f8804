"""What people's `DistributedDataParallel` loops do wrong is named, in real processes; what is well is not accused."""

import pytest


pytestmark = pytest.mark.slow

WELL = ("Healthy", "Accumulated", "Uneven", "ByHand", "Sized")
ILL = {
    "LoadedAfterwards": "replicas_differ",
    "Failing": "replicas_differ",
    "Unwrapped": "gradients_not_averaged",
    "Dropping": "gradients_not_averaged",
    "SeedsOfWorkers": "replicas_see_same_data",
    "SeedsOfAugmentation": "replicas_see_same_data",
    "Late": "straggler",
    "Empty": "rank_without_data",
}
NAMED = {"LoadedAfterwards": "Rank 1", "Failing": "Rank 1", "Late": "rank 1", "Empty": "Rank 1"}


@pytest.fixture(scope="module")
def processes(run_script):
    return run_script("ddp_loops.py", 2)


@pytest.mark.parametrize("name", WELL)
def test_a_loop_that_is_well_is_not_accused(processes, name):
    for found in processes:
        assert found[name]["code"] in {"healthy", "unsure", "noise_floor"}
        assert found[name]["measures"]["weights_differ"] == 0
        assert found[name]["problems"] == []


@pytest.mark.parametrize(("name", "code"), ILL.items())
def test_the_fault_is_named_by_every_process(processes, name, code):
    for found in processes:
        assert found[name]["code"] == code
        assert NAMED.get(name, "") in found[name]["text"]


def test_the_bits_are_those_of_an_unwatched_training(processes):
    assert all(found["same"] for found in processes)
