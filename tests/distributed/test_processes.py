"""Real trainings in several processes: the same bits on any number of them, through kills, and sentences for faults."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from thalweg.runs import Run, checkpoint
from thalweg.training import recipe, train


pytestmark = pytest.mark.slow

ALL_ON = {
    "model": "resnet-small",
    "size": 32,
    "smaller_sizes": (16,),
    "epochs": 3,  # 15 steps: from the tenth on, each process updates its own weights
    "batch_size": 20,
    "shards": 4,
    "mixup": 0.3,
    "cutmix": 0.3,
    "drop_path": 0.2,
    "ema": 0.9,
    "augment": "standard",
    "precision": "fp32",
    "layout": "channels-last",
    "checkpoint_every": 0.05,
    "lr": 0.005,
}
ONE_BATCH_WITH_FEWER_SHARDS_THAN_PROCESSES = {"batch_size": 31, "shards": 5}  # the last of 96 photos are 3


def flags_of(fields):
    fields = {**fields, "size": f"{fields['smaller_sizes'][0]},{fields['size']}"}
    given = {name.replace("_", "-"): value for name, value in fields.items() if name != "smaller_sizes"}
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in given.items()]


def start(*arguments, program=("-m", "thalweg"), **variables):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **{name: str(value) for name, value in variables.items()}}
    command = [sys.executable, "-W", "ignore", *program, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    said, _ = process.communicate(timeout=240)
    return process.returncode, said


def run_on(processes, *arguments):
    code, said = finish(start("train", *arguments, f"--processes={processes}"))
    assert code == 0, said
    return said


def weights_of(path):
    tensors = checkpoint.load(Run.open(path).last)[0]
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def alone(striped, tmp_path, **changes):
    train(striped, recipe("standard", **{**ALL_ON, "threads": 2, **changes}), tmp_path / "alone")
    return weights_of(tmp_path / "alone")


def wait_for_steps(out, steps):
    file, deadline = out / "history" / "steps", time.monotonic() + 120
    while (file.stat().st_size if file.exists() else 0) < 100 + 56 * steps:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def workers_of(launcher):
    """The processes that a launcher started, by their numbers."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            variables = (folder / "environ").read_text().split("\0")
        except (OSError, ValueError):
            continue
        ranks = [one for one in variables if one.startswith("RANK=")]
        if parent == launcher.pid and ranks:
            found[int(ranks[0].removeprefix("RANK="))] = int(folder.name)
    return found


@pytest.mark.parametrize(
    ("processes", "changes"),
    [
        (2, {"optimizer": "sgd"}),
        (2, {"model": "resnet18", "size": 64, "smaller_sizes": (32,), "epochs": 1}),  # has kernels that are packed
        (4, {"optimizer": "adamw", "clip_grad_norm": 1.0, "keep": "best"}),
        (2, {"optimizer": "muon"}),
        (3, {"optimizer": "muon", **ONE_BATCH_WITH_FEWER_SHARDS_THAN_PROCESSES}),
        (2, {"optimizer": "schedule-free", "ema": 0.0, "schedule": "warmup(2)"}),
        (2, {"optimizer": "adamw", "fit_head": True, "freeze": "1", "norms": "frozen", "layer_decay": 0.5}),
    ],
)
def test_the_bits_are_those_of_one_process(striped, tmp_path, processes, changes):
    run_on(processes, striped, *flags_of({**ALL_ON, **changes}), f"--out={tmp_path / 'run'}")
    assert weights_of(tmp_path / "run") == alone(striped, tmp_path, **changes)
    ours, theirs = Run.open(tmp_path / "run"), Run.open(tmp_path / "alone")
    assert ours.summary()["valid"] == theirs.summary()["valid"]
    assert (ours.steps().rows_NC == theirs.steps().rows_NC).all()
    assert set(ours.processes()["process"]) == set(range(processes))
    assert (ours.processes()["photos_per_second"] > 0).all()
    assert theirs.processes() is None


@pytest.mark.parametrize("processes", [2, 4])
def test_balanced_sampling_has_the_bits_of_one_process(uneven, tmp_path, processes):
    changes = {"sampling": "balanced", "batch_size": 14}
    run_on(processes, uneven, *flags_of({**ALL_ON, **changes}), f"--out={tmp_path / 'run'}")
    assert weights_of(tmp_path / "run") == alone(uneven, tmp_path, **changes)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_worker_that_is_killed_is_started_again(striped, tmp_path, rank):
    out = tmp_path / "run"
    launcher = start("train", striped, *flags_of(ALL_ON), f"--out={out}", "--processes=2")
    wait_for_steps(out, 2)
    os.kill(workers_of(launcher)[rank], signal.SIGKILL)
    code, said = finish(launcher)
    assert code == 0, said
    assert f"Continuing {out} after step" in said
    assert weights_of(out) == alone(striped, tmp_path)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (2, 4), (1, 3)])
def test_killed_and_resumed_on_another_number(striped, tmp_path, before, after):
    out = tmp_path / "run"
    launcher = start("train", striped, *flags_of(ALL_ON), f"--out={out}", f"--processes={before}")
    wait_for_steps(out, 2)
    for process in [launcher.pid, *workers_of(launcher).values()]:
        os.kill(process, signal.SIGKILL)
    finish(launcher)
    run_on(after, f"--resume={out}")
    assert weights_of(out) == alone(striped, tmp_path)
    rows = Run.open(out).processes()
    steps = list(rows["step"])
    assert steps == sorted(steps)
    assert len({*zip(steps, rows["process"], strict=True)}) == len(steps), "no step is told twice"


def test_weights_that_differ_end_the_training(striped, tmp_path):
    # no processes share the weights of this optimizer
    flags = [
        "--model=cnn",
        "--size=32",
        "--epochs=6",
        "--batch-size=18",
        "--shards=3",
        "--optimizer=nadam",
        "--lr=1e-3",
    ]
    damaged = (str(Path(__file__).with_name("damaged.py")),)
    found = with_ranks(3, lambda _rank: [striped, *flags, f"--out={tmp_path / 'run'}"], program=damaged)
    assert [code for code, _ in found] == [1, 1, 1]
    assert "At step 20 process 1 does not hold the weights of process 0" in found[0][1]
    assert "Traceback" not in "".join(said for _, said in found)


def test_ctrl_c_ends_all_and_saves_once(striped, tmp_path):
    out = tmp_path / "run"
    launcher = start("train", striped, *flags_of(ALL_ON), f"--out={out}", "--processes=2")
    wait_for_steps(out, 2)
    launcher.send_signal(signal.SIGINT)
    code, said = finish(launcher)
    assert code == 130
    assert said.count("everything is saved") == 1
    assert "Traceback" not in said
    assert Run.open(out).summary()["stopped"] == "interrupted"
    run_on(1, f"--resume={out}")
    assert weights_of(out) == alone(striped, tmp_path)


def test_a_process_that_does_not_answer_is_named(striped, tmp_path):
    out = tmp_path / "run"
    flags = [*flags_of(ALL_ON), f"--out={out}", "--processes=3", "--max-restarts=0"]
    launcher = start("train", striped, *flags, THALWEG_PATIENCE=15)
    wait_for_steps(out, 2)
    stopped = workers_of(launcher)[2]
    os.kill(stopped, signal.SIGSTOP)
    time.sleep(20)
    os.kill(stopped, signal.SIGKILL)
    code, said = finish(launcher)
    assert code == 1
    assert said.count("has not answered for 15 s") == 1
    assert "Process 2 (" in said
    assert "Traceback" not in said


def with_ranks(count, arguments_of, **variables):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, **variables}
    started = [start("train", *arguments_of(rank), RANK=rank, **common) for rank in range(count)]
    return [finish(process) for process in started]


def test_other_photos_on_one_process_are_named_by_it_alone(striped, unlearnable, tmp_path):
    flags = [*flags_of(ALL_ON), f"--out={tmp_path / 'run'}"]
    (first, heard), (second, said) = with_ranks(2, lambda rank: [(striped, unlearnable)[rank], *flags])
    assert (first, second) == (2, 2)
    assert "Process 1 does not have the photos" in said
    assert "Process" not in heard
    assert "Traceback" not in said + heard


def test_what_is_wrong_for_all_is_said_once(striped, tmp_path):
    for wrong, word in ((["--shards=2"], "3 processes need a shard each"), (["--lr=-1"], "--lr")):
        flags = [*flags_of(ALL_ON), *wrong, f"--out={tmp_path / 'run'}"]
        found = with_ranks(3, lambda _rank, flags=flags: [striped, *flags])
        assert [code for code, _ in found] == [2, 2, 2]
        assert [word in said for _, said in found].count(True) == 1
        assert "Traceback" not in "".join(said for _, said in found)
    assert not (tmp_path / "run" / "history").exists()


def test_a_run_of_whole_batches_is_not_resumed_on_many(striped, tmp_path):
    train(striped, recipe("standard", **{**ALL_ON, "shards": None, "epochs": 1}), tmp_path / "run")
    code, said = finish(start("train", f"--resume={tmp_path / 'run'}", "--epochs=2", "--processes=2"))
    assert code == 2
    assert said.count("takes each batch whole") == 1
