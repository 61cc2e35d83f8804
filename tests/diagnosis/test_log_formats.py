"""One training, written as each tool writes it: the same columns, and the same verdict."""

import csv
import io
import json
import struct

import numpy as np
import pytest

from thalweg.diagnosis import diagnose_csv, diagnose_path
from thalweg.diagnosis.logs import read_table
from thalweg.diagnosis.logs.events import masked_crc


EPOCHS = 60
NOISE = 1 + 0.01 * np.random.default_rng(0).standard_normal(EPOCHS)
VALID = np.maximum(1.0, 2 - 0.1 * np.arange(EPOCHS)) + 0.03 * np.maximum(0, np.arange(EPOCHS) - 12)
TRAININGS = {
    "overfitting": 2.3 * 0.93 ** np.arange(EPOCHS) * NOISE,
    "diverged": np.concatenate([np.linspace(2.3, 2.0, EPOCHS - 2), [np.nan, np.nan]]),
}


def table(path, head, rows, sign=",", encoding="utf-8"):
    lines = io.StringIO()
    csv.writer(lines, delimiter=sign, lineterminator="\n").writerows([head, *rows])
    path.write_bytes(lines.getvalue().encode(encoding))
    return path


def varint(value):
    found = b""
    while value > 0x7F:
        found, value = found + bytes([value & 0x7F | 0x80]), value >> 7
    return found + bytes([value])


def part(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def record(message):
    head = struct.pack("<Q", len(message))
    return head + struct.pack("<I", masked_crc(head)) + message + struct.pack("<I", masked_crc(message))


def scalar(tag, step, value, *, tensor=False):
    if tensor:  # as TensorFlow 2 writes it
        number = part(8, b"\x08\x01" + part(2, b"") + part(5, struct.pack("<f", value)))
    else:
        number = b"\x15" + struct.pack("<f", value)
    summary = part(5, part(1, part(1, tag.encode()) + number))
    return record(b"\x09" + struct.pack("<d", 1.7e9 + step) + b"\x10" + varint(step) + summary)


def events(path, losses, *, tags=("Loss/train", "Loss/val"), tensor=False):
    content = record(part(3, b"brain.Event:2")) + record(part(4, b"graph" * 20_000))
    for step, (loss, valid) in enumerate(zip(losses, VALID, strict=True)):
        content += scalar(tags[0], step, loss, tensor=tensor) + scalar(tags[1], step, valid, tensor=tensor)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def in_tensorboard(folder, losses):
    return events(folder / "events.out.tfevents.1700000000.host.1.0", losses)


def in_renamed_events(folder, losses):
    return events(folder / "log", losses, tensor=True)


def in_keras_folders(folder, losses):
    events(folder / "train" / "events.out.tfevents.1.a.v2", losses, tags=("epoch_loss", "other"), tensor=True)
    events(folder / "validation" / "events.out.tfevents.1.b.v2", VALID, tags=("epoch_loss", "other"), tensor=True)
    return folder


def in_trainer_state(folder, losses):
    history = []
    for step, (loss, valid) in enumerate(zip(losses, VALID, strict=True)):
        history.append({"epoch": step / 9, "grad_norm": 1.0, "learning_rate": 0.1, "loss": loss, "step": step})
        history.append({"epoch": step / 9, "eval_loss": valid, "eval_runtime": 1.1, "step": step})
    history.append({"epoch": 9.0, "step": EPOCHS, "total_flos": 1e15, "train_loss": 1.0, "train_runtime": 9.0})
    path = folder / "trainer_state.json"
    path.write_text(json.dumps({"best_metric": None, "log_history": history, "global_step": EPOCHS}, indent=2))
    return path


def in_lightning(folder, losses):
    head = ["epoch", "lr-Adam", "step", "train_loss_epoch", "train_loss_step", "val_loss"]
    rows = []
    for at, (loss, valid) in enumerate(zip(losses, VALID, strict=True)):
        rows += [["", 0.1, at * 10 + 9, "", "", ""], [at, "", at * 10 + 9, "", loss, ""]]
        rows += [[at, "", at * 10 + 9, "", "", valid], [at, "", at * 10 + 9, loss, "", ""]]
    return table(folder / "metrics.csv", head, rows)


def in_keras(folder, losses):
    rows = [[at, 0.5, loss, valid] for at, (loss, valid) in enumerate(zip(losses, VALID, strict=True))]
    return table(folder / "training.log", ["epoch", "learning_rate", "loss", "val_loss"], rows)


def in_mlflow(folder, losses):
    for name, values in {"train/loss": losses, "val_loss": VALID, "system/cpu": VALID}.items():
        path = folder / "0a1b" / "metrics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{1700000000000 + at} {value} {at}\n" for at, value in enumerate(values)))
    (folder / "0a1b" / "meta.yaml").write_text("run_id: 0a1b\n")
    return folder / "0a1b"


def in_wandb(folder, losses):
    rows = [["", at, 9.9, loss, ""] for at, loss in enumerate(losses)]
    rows += [[valid, at, 9.9, "", 7] for at, valid in enumerate(VALID)]
    return table(folder / "wandb.csv", ["eval/loss", "_step", "_runtime", "train/loss", "gpu"], rows)


def in_wandb_panel(folder, losses):
    names = [f"brisk-sky-3 - {name}{end}" for name in ("train/loss", "eval/loss") for end in ("", "__MIN", "__MAX")]
    rows = [[at, one, one, one, two, two, two] for at, (one, two) in enumerate(zip(losses, VALID, strict=True))]
    return table(folder / "wandb_export.csv", ["Step", *names], rows)


def in_json_lines(folder, losses):
    rows = [{"step": at, "train": {"loss": loss}} for at, loss in enumerate(losses)]
    rows += [{"step": at, "val": {"loss": valid}, "text": "a"} for at, valid in enumerate(VALID)]
    path = folder / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def in_json_of_lists(folder, losses):
    path = folder / "history.json"
    path.write_text(json.dumps({"loss": list(losses), "val_loss": VALID.tolist()}))
    return path


def in_ultralytics(folder, losses):
    head = ["epoch", "time", "train/box_loss", "train/cls_loss", "metrics/mAP50(B)", "val/box_loss", "val/cls_loss"]
    rows = [
        [at, 3.2, 0.5 * one, 0.5 * one, 0.1, 0.5 * two, 0.5 * two, 0.01]
        for at, (one, two) in enumerate(zip(losses, VALID, strict=True))
    ]
    return table(folder / "results.csv", [f"{name:>23}" for name in (*head, "lr/pg0")], rows)


def in_fastai(folder, losses):
    rows = [[at, one, two, 0.7, "00:12"] for at, (one, two) in enumerate(zip(losses, VALID, strict=True))]
    return table(folder / "history.csv", ["epoch", "train_loss", "valid_loss", "accuracy", "time"], rows)


def in_gbk(folder, losses):
    rows = [[at, one, two] for at, (one, two) in enumerate(zip(losses, VALID, strict=True))]
    return table(folder / "日志.csv", ["轮次", "训练损失", "验证损失"], rows, encoding="gbk")


def in_utf_16(folder, losses):
    rows = [[at, one, two] for at, (one, two) in enumerate(zip(losses, VALID, strict=True))]
    return table(folder / "log.csv", ["step", "loss", "val_loss"], rows, sign="\t", encoding="utf-16")


def in_german(folder, losses):
    rows = [[at, *(str(n).replace(".", ",") for n in pair)] for at, pair in enumerate(zip(losses, VALID, strict=True))]
    return table(folder / "log.csv", ["Epoch", "TrainLoss", "ValLoss"], rows, sign=";", encoding="utf-8-sig")


def in_rows_of_phases(folder, losses):
    rows = [["train", at, loss] for at, loss in enumerate(losses)] + [["val", at, v] for at, v in enumerate(VALID)]
    return table(folder / "log.csv", ["phase", "epoch", "loss"], rows)


def in_long_rows(folder, losses):
    rows = [["train_loss", at, loss] for at, loss in enumerate(losses)]
    rows += [["val_loss", at, valid] for at, valid in enumerate(VALID)]
    return table(folder / "long.csv", ["metric", "step", "value"], rows)


WRITERS = [one for name, one in sorted(globals().items()) if name.startswith("in_")]


@pytest.mark.parametrize("code", TRAININGS)
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__[3:])
def test_the_same_training_has_the_same_verdict_in_every_format(tmp_path, write, code):
    losses = TRAININGS[code]
    path = write(tmp_path, losses)
    found = read_table(path)
    assert found.columns["loss"] == pytest.approx(losses, rel=1e-6, nan_ok=True)
    assert found.columns["valid"] == pytest.approx(VALID, rel=1e-6)
    assert found.holes == 0
    verdict = diagnose_path(path)
    plain = [[at, *pair] for at, pair in enumerate(zip(losses, VALID, strict=True))]
    reference = diagnose_csv(table(tmp_path / "plain.txt", ["step", "loss", "val_loss"], plain))
    assert verdict.code == reference.code == code
    for name, value in reference.measures.items():
        assert verdict.measures[name] == pytest.approx(value, rel=1e-3, abs=1e-6, nan_ok=True), name


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_what_tensorboard_exports_of_one_tag(tmp_path, ending):
    losses = TRAININGS["diverged"]
    path = tmp_path / f"run-exp_train-tag-Loss_train.{ending}"
    rows = [[1.7e9 + at, at, loss] for at, loss in enumerate(losses)]
    if ending == "json":
        path.write_text(json.dumps(rows))
    else:
        table(path, ["Wall time", "Step", "Value"], rows)
    verdict = diagnose_csv(path)
    assert verdict.code == "diverged"
    assert verdict.measures["nonfinite_step"] == EPOCHS - 1
