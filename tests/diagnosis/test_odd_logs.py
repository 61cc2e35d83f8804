"""Logs as they are found: cut, mixed, blank, of several runs, of no kind; what is read is said."""

import json

import numpy as np
import pytest

from thalweg.diagnosis import diagnose_csv, diagnose_path
from thalweg.diagnosis.logs import read_table
from thalweg.diagnosis.logs.events import masked_crc
from thalweg.diagnosis.logs.names import chosen, meaning_of
from thalweg.errors import DataError, RunError
from thalweg.i18n import speaking


LOSSES = 2.3 * 0.97 ** np.arange(40)


def event(step, loss):
    """A record with one scalar of the tag `loss`."""
    value = b"\x0a\x04loss\x15" + np.float32(loss).tobytes()
    message = b"\x10" + bytes([step]) + b"\x2a" + bytes([len(value) + 2]) + b"\x0a" + bytes([len(value)]) + value
    head = len(message).to_bytes(8, "little")
    crcs = [masked_crc(part).to_bytes(4, "little") for part in (head, message)]
    return head + crcs[0] + message + crcs[1]


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_an_event_file_that_ends_within_a_record_is_read_up_to_there_and_it_is_said(tmp_path):
    records = [event(step, loss) for step, loss in enumerate(LOSSES)]
    path = tmp_path / "events.out.tfevents.1"
    for missing in (1, 5, len(records[-1]) - 3):
        path.write_bytes(b"".join(records)[:-missing])
        assert read_table(path).columns["loss"] == pytest.approx(LOSSES[:-1], rel=1e-6)
        verdict = diagnose_csv(path)
        assert "ends in the middle of a record: what was whole was read (39 records)" in str(verdict)
    with speaking("zh-CN"):
        assert "文件在一条记录的中间结束：完整的部分已读取（39 条记录）" in str(verdict)


def test_a_damaged_record_is_left_out_and_counted(tmp_path):
    records = [bytearray(event(step, loss)) for step, loss in enumerate(LOSSES)]
    records[7][-7] ^= 1  # within the message
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(b"".join(records))
    assert read_table(path).columns["step"].tolist() == [step for step in range(40) if step != 7]
    assert "1 damaged record" in str(diagnose_csv(path))
    records[9][3] ^= 1  # its length: nothing after it can be found
    path.write_bytes(b"".join(records))
    assert "(8 records)" in str(diagnose_csv(path))


def test_a_later_event_file_of_a_resumed_training_takes_the_place_of_what_was_done_again(tmp_path):
    (tmp_path / "events.out.tfevents.1").write_bytes(b"".join(event(step, 9.0) for step in range(30)))
    (tmp_path / "events.out.tfevents.2").write_bytes(b"".join(event(step, 1.0) for step in range(20, 40)))
    table = read_table(tmp_path)
    assert table.columns["step"].tolist() == list(range(40))
    assert table.columns["loss"].tolist() == [9.0] * 20 + [1.0] * 20


PANEL = "\n".join(['"Step","one - train/loss","one - train/loss__MIN","two - train/loss"', *("1,2.0,2.0,3.0",) * 30])


def test_of_several_runs_one_is_chosen_by_its_column_or_its_name(tmp_path):
    path = written(tmp_path / "wandb.csv", PANEL)
    with pytest.raises(
        DataError, match=r"2 runs \(found: one - train/loss, two - train/loss\).*--loss 'one - train/loss'"
    ):
        diagnose_csv(path)
    for name in ("two - train/loss", "two"):
        assert set(read_table(path, loss=name).columns["loss"]) == {3.0}
        assert "loss from two - train/loss" in str(diagnose_path(path, loss=name))
    with pytest.raises(DataError, match="no column and no run named three"):
        diagnose_csv(path, loss="three")


@pytest.mark.parametrize("kind", ["events", "mlflow"])
def test_a_folder_of_several_runs_names_them(tmp_path, kind):
    for run, level in (("a", 2.0), ("b", 3.0)):
        if kind == "events":
            path = tmp_path / run / "events.out.tfevents.1"
            content = b"".join(event(step, level) for step in range(30))
        else:
            path = tmp_path / run / "metrics" / "loss"
            content = "".join(f"1700000000000 {level} {step}\n" for step in range(30)).encode()
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    with pytest.raises(DataError, match="found: a - loss, b - loss"):
        diagnose_path(tmp_path)
    assert set(read_table(tmp_path, loss="b").columns["loss"]) == {3.0}
    assert set(read_table(tmp_path / "a").columns["loss"]) == {2.0}


def test_a_column_of_any_name_is_taken_if_the_user_names_it(tmp_path):
    path = written(
        tmp_path / "log.csv", "step,criterion,lr\n" + "".join(f"{at},{v},0.1\n" for at, v in enumerate(LOSSES))
    )
    with pytest.raises(DataError, match=r"found: step, criterion, lr\).*--loss COLUMN"):
        diagnose_csv(path)
    verdict = diagnose_csv(path, loss="criterion")
    assert verdict.measures["loss_first"] == LOSSES[0]
    assert verdict.to_dict()["source"]["columns"] == {"loss": ["criterion"], "step": ["step"], "lr": ["lr"]}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\n\n", "is empty"),
        (b"PK\x03\x04rest", "a compressed archive"),
        (b"\x00\x01\x02\x03\xff\xfe" * 20, "neither text nor an event file"),
        (b'{"version": 3, "cells": []}', "no column of losses"),
        (b"epoch,time\n1,2\n", "found: epoch, time"),
        (b"Dear reader,\nthere is no loss here.\n", "no column of losses"),
        (b"step\tval_loss\n1\t2\n", "no column of losses"),
    ],
)
def test_what_is_no_log_is_refused_in_one_sentence_that_names_what_is_read(tmp_path, content, found):
    path = tmp_path / "thing"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        diagnose_csv(path)
    assert found in str(raised.value)
    assert "TensorBoard" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_log_is_refused(tmp_path):
    with pytest.raises(RunError, match="TensorBoard"):
        diagnose_path(tmp_path)


@pytest.mark.parametrize("words", [("nan", "inf"), ("NaN", "-Infinity"), ("-nan", "1.#INF"), ("tensor(nan)", "+inf")])
def test_no_number_as_text_is_a_finding(tmp_path, words):
    path = written(
        tmp_path / "log.csv", "\n".join(["step,loss", *(f"{at},2.0" for at in range(9)), *(f"9,{w}" for w in words)])
    )
    assert diagnose_csv(path).code == "diverged"
    rows = [*({"loss": 2.0} for _ in range(9)), *({"loss": word} for word in words)]
    assert diagnose_csv(written(tmp_path / "log.jsonl", "\n".join(map(json.dumps, rows)))).code == "diverged"


def test_a_line_of_json_that_is_cut_is_left_out_and_it_is_said(tmp_path):
    rows = "\n".join(json.dumps({"step": at, "loss": loss}) for at, loss in enumerate(LOSSES))
    path = written(tmp_path / "log.jsonl", rows[:-9])
    assert len(read_table(path).columns["loss"]) == 39
    assert "what was whole was read (39 records)" in str(diagnose_csv(path))


def test_steps_that_begin_again_in_each_epoch_stay_in_the_order_of_the_epochs(tmp_path):
    rows = [(epoch, step, 9 - epoch - step / 10) for epoch in range(3) for step in range(5)]
    for head, kept in (("epoch,step,loss", slice(0, 3)), ("step,loss", slice(1, 3))):
        lines = [head, *(",".join(map(str, row[kept])) for row in rows)]
        table = read_table(written(tmp_path / "log.csv", "\n".join(lines)))
        assert table.columns["loss"].tolist() == [loss for *_, loss in rows]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        *[(name, "loss") for name in ("loss", "Train/Loss", "trainLoss", "loss_train", "batch_loss", "epoch_loss")],
        *[
            (name, "valid")
            for name in ("validation/loss", "Loss/test", "eval_loss", "valLoss", "loss_val", "验证集损失")
        ],
        *[
            (name, "lr")
            for name in ("lr-Adam", "learning_rate", "lr/pg0", "lr-SGD/group1", "train/learning_rate", "学习率")
        ],
        *[(name, "gradient_norm") for name in ("grad_norm", "train/grad_norm", "grad_2.0_norm_total", "gradNorm")],
        *[(name, "valid_accuracy") for name in ("val_acc", "metrics/accuracy_top1", "eval_accuracy", "Accuracy/val")],
        *[
            (name, "step")
            for name in ("global_step", "_step", "trainer/global_step", "train/epoch", "Iteration", "轮次")
        ],
        *[
            (name, None)
            for name in ("loss_scale", "train_steps_per_second", "metrics/accuracy_top5", "grad_norm/fc1.weight")
        ],
        *[(name, None) for name in ("epoch_time", "train_runtime", "val_lr", "perplexity", "total_flos", "loss_G")],
    ],
)
def test_what_names_mean(name, ours):
    meaning = meaning_of(name)
    assert (meaning and meaning.ours) == ours


def test_of_several_names_the_plainest_with_enough_values_is_taken():
    assert chosen({"train_loss_epoch": 9, "train_loss_step": 90, "val_loss": 9, "test_loss": 9}) == {
        "loss": ("train_loss_step",),
        "valid": ("val_loss",),
    }
    assert chosen({"loss": 90, "train_loss": 1, "train/box_loss": 90})["loss"] == ("loss",)
    assert chosen({"loss": 1, "train_loss": 90})["loss"] == ("train_loss",)


@pytest.mark.parametrize(
    "text",
    [
        "# made by hand\n# epoch loss\n1 2.5\n2 2.0\n",
        "sep=;\nstep;loss\n1;2,5\n2;2,0\n",
        "step|loss\n1|tensor(2.5, device='cuda:0')\n2|[2.0]\n",
        "step\tloss\r\n1\t2.5\r\nstep\tloss\r\n2\t2.0\r\n",  # the header again, where a training was resumed
        '[{"step": 1, "loss": 2.5}, {"step": 2, "loss": [2.0]}]',
        '{"config": {"lr": 0.1}, "history": {"loss": [2.5, 2.0], "step": [1, 2]}}',
        "1700000000000 2.5 1\n1700000000001 2.0 2\n",
        '{"step": 1}\n{"loss": 2.5}\n{"step": 2}\n{"loss": 2.0}\n',
    ],
)
def test_ways_to_write_two_losses(tmp_path, text):
    assert read_table(written(tmp_path / "loss", text)).columns["loss"].tolist() == [2.5, 2.0]


def test_a_learning_rate_holds_until_the_next_is_written_and_rows_of_other_things_are_no_holes(tmp_path):
    lines = ["step,loss,lr,gpu", "1,,0.1,", "1,3.0,,", "2,2.0,,", "2,,,7", "3,,0.2,", "3,1.0,,", "4,,,"]
    table = read_table(written(tmp_path / "log.csv", "\n".join(lines)))
    assert table.columns["lr"].tolist() == [0.1, 0.1, 0.2]
    assert table.holes == 1


@pytest.mark.parametrize(("metric", "value"), [("accuracy", 0.75), ("error_rate", 0.25)])
def test_the_metrics_of_fastai_are_of_validation_data(tmp_path, metric, value):
    lines = [f"epoch,train_loss,valid_loss,{metric},time", *(f"{at},{2 - at / 9},2.5,{value},00:02" for at in range(9))]
    table = read_table(written(tmp_path / "history.csv", "\n".join(lines)))
    assert set(table.columns) == {"loss", "valid", "valid_accuracy", "step"}
    assert set(table.columns["valid_accuracy"]) == {0.75}
