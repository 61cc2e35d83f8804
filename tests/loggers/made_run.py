"""The folder of a run as loggers read it: histories and a checkpoint, made in a moment."""

import json

import numpy as np
from safetensors.numpy import save_file

from thalweg.history import HistoryLog
from thalweg.runs import files


LAYER_UNITS = {"step": "", "conv1.gradient_norm": "", "conv1.update_ratio": "", "fc.gradient_norm": ""}
AN_EPOCH = 10  # steps


def loss_of(step):
    return float(np.float32(2.3 / step**0.5))


def write_rows(run, last, *, first=1):
    """Steps up to `last`, an epoch after every ten of them, layers at every fifth; `first` cuts what is after."""
    steps = range(first, last + 1)
    with HistoryLog(run / files.STEPS, files.STEP_UNITS) as log:
        log.cut_after(first - 1)
        log.extend([[step, step / AN_EPOCH, loss_of(step), 1.5, 0.01, 32, 0] for step in steps])
    ends = [step for step in steps if step % AN_EPOCH == 0]
    with HistoryLog(run / files.EPOCHS, files.EPOCH_UNITS) as log:
        log.cut_after(first - 1)
        log.extend([[step, step // AN_EPOCH, 2.0, 0.5, loss_of(step) + 0.1, 0.4, step / 100] for step in ends])
    with HistoryLog(run / files.LAYERS, LAYER_UNITS) as log:
        log.cut_after(first - 1)
        log.extend([[step, 0.5, 1e-3, 0.7] for step in steps if step % 5 == 0])


def write_checkpoint(run, step, *, batch=0):
    path = run / files.CHECKPOINTS / f"{files.LAST}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"state": {"step": step, "batch": batch}}
    save_file({"w": np.zeros(1, np.float32)}, path, {"thalweg": json.dumps(facts)})


def write_run(run, last, *, kept=None):
    """A run of `last` steps with a checkpoint at `kept`."""
    run.mkdir(parents=True, exist_ok=True)
    (run / files.CONFIG).write_text(
        f'format = {files.FORMAT}\n[training]\nlr = 0.01\nmodel = "cnn"\n[data]\nclasses = ["a", "b"]\ntrain = 96\n'
    )
    write_rows(run, last)
    write_checkpoint(run, last if kept is None else kept)
    return run


def write_end(run, stopped="done", **results):
    steps = len(HistoryLog.read(run / files.STEPS))
    (run / files.SUMMARY).write_text(json.dumps({"stopped": stopped, "steps": steps, **results}))
