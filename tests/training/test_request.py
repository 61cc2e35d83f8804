"""One request, three entrances: command line, page and Python resolve it to the same configuration."""

import json
import shlex
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import thalweg
from thalweg.cli import train as command_line
from thalweg.errors import UnknownNameError, UsageError
from thalweg.runs import TrainingConfig
from thalweg.training import RECIPES, recipe, resolve
from thalweg.training.request import command, read, typed_options
from thalweg.training.session import claimed


def parsed(arguments, monkeypatch):
    """The configuration that the command line makes of arguments."""
    found = []
    monkeypatch.setattr(command_line, "begin", lambda _photos, config, out, **_: found.append((config, out)))
    app = typer.Typer()
    command_line.register(app)
    app.callback()(lambda: None)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return found[0]


VALUES = {
    "lr": st.floats(1e-8, 10),
    "epochs": st.integers(1, 1000),
    "budget": st.floats(1, 1e6),
    "size": st.one_of(st.integers(1, 4096), st.lists(st.integers(1, 4096), min_size=1, max_size=3)),
    "normalize": st.booleans(),
    "find_lr": st.booleans(),
    "optimizer": st.sampled_from(["adam", "sgd", "muon"]),
    "model": st.sampled_from(["cnn", "resnet18"]),
    "schedule": st.sampled_from(["constant", "warmup(5%) > cosine"]),
    "resize": st.sampled_from(["stretch", "center-crop"]),
    "label_smoothing": st.floats(0, 0.999),
    "clip_grad_norm": st.floats(1e-3, 1e3),
    "classes": st.sampled_from(["food11", "my names.txt", "--lr=5"]),
}


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({}, optional=VALUES), st.sampled_from(sorted(RECIPES)))
def test_the_command_that_is_shown_makes_the_configuration_that_is_shown(overrides, name):
    assume(not (name == "linear" and overrides.get("find_lr")))  # refused: a fit has no rate
    with pytest.MonkeyPatch.context() as patch:
        typed = shlex.split(shlex.join(command("my photos", name, overrides, "runs/a b")))
        config, out = parsed(typed, patch)
    assert config == resolve(name, overrides)
    assert out == Path("runs/a b")


def test_every_field_but_one_has_a_flag():
    fields = set(TrainingConfig.__dataclass_fields__)
    assert set(typed_options()) == fields - {"smaller_sizes"}  # which --size 64>96>128 sets


@pytest.mark.parametrize(
    ("name", "overrides", "expected"),
    [
        ("quick", {"optimizer": "adam"}, {"optimizer": "adam", "lr": 1e-3}),
        ("quick", {"optimizer": "adam", "lr": 0.5}, {"optimizer": "adam", "lr": 0.5}),
        ("quick", {"budget": "1m30s"}, {"budget": 90.0, "epochs": None}),
        ("quick", {"budget": 90, "epochs": 3}, {"budget": 90.0, "epochs": 3}),
        ("standard", {"model": "cnn"}, {"model": "cnn", "smaller_sizes": ()}),
        ("standard", {"size": "64>96"}, {"size": 96, "smaller_sizes": (64,)}),
        ("standard", {"size": 96}, {"size": 96, "smaller_sizes": ()}),
        ("standard", {"lr": "auto"}, {"find_lr": True}),
        (None, {"epochs": "2"}, {"epochs": 2, "optimizer": "muon", "lr": 5e-3}),
    ],
)
def test_what_is_asked_for_is_what_trains(name, overrides, expected):
    assert resolve(name, overrides) == replace(RECIPES[name or "standard"], **expected)


def test_python_takes_a_recipe_and_fields():
    assert recipe("homework", epochs=2) == replace(recipe("homework"), epochs=2)
    assert recipe("homework", epochs="2").epochs == 2


def test_choices_made_for_the_user_are_reported():
    notes = []
    resolve("quick", {"optimizer": "adam"}, note=lambda key, **values: notes.append((key, values)))
    assert notes == [("training.usual_rate", {"lr": 1e-3, "optimizer": "adam", "recipe": "quick"})]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"epochs": "many"}, "--epochs must be a whole number"),
        ({"budget": "soon"}, "soon"),
        ({"size": "64>big"}, "64>big"),
        ({"size": []}, "Sizes are"),
        ({"normalize": "maybe"}, "--normalize"),
        ({"lr": "fast"}, "--lr must be a number"),
        ({"lr": {}}, "--lr must be a number"),
        ({"lr": 10**400}, "--lr"),
        ({"schedule": "cosin"}, "cosin"),
    ],
)
def test_what_is_invalid_is_refused(overrides, said):
    with pytest.raises(UsageError, match=said):
        resolve("quick", overrides)


def test_an_unknown_field_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="epochs"):
        read({"epoch": 3})


@pytest.mark.parametrize(("old", "now"), [("clip", "clip_grad_norm"), ("select", "keep"), ("fit", "resize")])
def test_a_renamed_field_names_its_new_name(old, now):
    with pytest.raises(UsageError, match=now):
        recipe("quick", **{old: 1})


def test_strings_and_fields_are_enough_in_python(striped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = {"epochs": 1, "size": 16, "precision": "fp32", "layout": "channels-last"}
    run = thalweg.train(str(striped), recipe="quick", out="runs/x", **few)
    assert thalweg.Run.open("runs/x").config == run.config
    again = thalweg.train(str(striped), thalweg.recipe("quick", **few), "runs/y")
    assert again.config == run.config
    assert thalweg.train(str(striped), recipe="quick", **few).path == Path("runs") / striped.name
    with pytest.raises(UsageError, match="not both"):
        thalweg.train(str(striped), again.config, "runs/z", epochs=2)


def test_only_one_of_many_takes_a_folder(tmp_path, monkeypatch):
    """Also a default name: every training gets a folder, and no two the same."""
    monkeypatch.chdir(tmp_path)
    barrier, taken, refused = threading.Barrier(8), [], []

    def take(out):
        barrier.wait()
        try:
            with claimed(out, "photos/pets") as folder:
                (folder / "config.toml").write_text("")
                taken.append(folder.name)
        except UsageError:
            refused.append(out)

    for out, expected in ((None, 8), ("runs/mine", 1)):
        taken.clear()
        threads = [threading.Thread(target=take, args=(out,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(taken)) == len(taken) == expected
    assert len(refused) == 7


@pytest.mark.slow
def test_a_folder_whose_claim_was_killed_can_be_taken(tmp_path):
    code = (
        "import os, sys; from thalweg.training.session import claimed\n"
        "with claimed(sys.argv[1], 'photos'):\n    os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=False)
    assert (tmp_path / "run" / ".claim").exists()
    with claimed(tmp_path / "run", "photos"):
        pass
    assert not (tmp_path / "run").exists()  # nothing was written into it


def test_the_table_can_be_sent_as_json():
    json.dumps({name: [option.kind, option.flag, option.choices] for name, option in typed_options().items()})
