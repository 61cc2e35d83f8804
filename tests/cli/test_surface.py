"""`thalweg surface` prints what its pictures show, and refuses invalid arguments before it computes."""

import json

import numpy as np
import pytest
from PIL import Image

from thalweg import optimizers, paths, surfaces
from thalweg.cli import surface as command
from thalweg.cli._lab_options import read_optimizers
from thalweg.errors import UsageError
from thalweg.figures.surface_map import outcomes_of


@pytest.fixture
def run(command_runner):
    return command_runner(command, "surface")


def document(result):
    return json.loads(result.stdout)


class TestNumbers:
    def test_without_arguments_it_lists_surfaces_and_optimizers(self, run):
        found = document(run("--json"))
        assert [surface["name"] for surface in found["surfaces"]] == list(surfaces.names())
        assert found["optimizers"] == list(optimizers.names())
        assert "rosenbrock" in run().stdout

    def test_a_surface_alone_tells_its_critical_points(self, run):
        found = document(run("saddle", "--json"))["surface"]
        assert [point["kind"] for point in found["critical_points"]] == ["minimum", "minimum", "saddle"]
        assert found["critical_points"][-1]["escape"] == [0.0, 1.0]
        assert "saddle point" in run("saddle").stdout

    def test_the_document_has_the_paths_numbers(self, run):
        options = "--optimizers", "sgd=0.1,adam", "--steps", "500", "--noise", "0.1", "--seed", "3"
        found = document(run("valley", *options, "--schedule", "linear", "--start", "-4,1", "--json"))
        sgd = paths.trace(
            surfaces.get("valley"), "sgd", lr=0.1, steps=500, noise=0.1, seed=3, schedule="linear", start=(-4.0, 1.0)
        )
        assert [path["optimizer"] for path in found["paths"]] == ["sgd", "adam"]
        assert found["paths"][0]["loss"] == sgd.loss[-1]
        assert found["paths"][0]["position"] == sgd.positions_S2[-1].tolist()
        assert found["surface"]["start"] == [-4.0, 1.0]
        assert found["columns"] is None

    def test_columns_are_bounded_and_say_so(self, run):
        every = document(run("bowl", "--optimizers", "sgd", "--steps", "50", "--json", "--points", "100"))["columns"]
        some = document(run("bowl", "--optimizers", "sgd", "--steps", "5000", "--json", "--points", "100"))["columns"]
        assert every["steps_are_all"]
        assert len(every["step"]) == 51
        assert not some["steps_are_all"]
        assert len(some["step"]) <= 100
        assert f"{len(some['step'])} of 5,001" in some["note"]
        path = paths.trace(surfaces.get("bowl"), "sgd", lr=1.8, steps=5000)
        np.testing.assert_array_equal(some["paths"][0]["loss"], path.loss[some["step"]])

    def test_the_table_has_a_row_an_optimizer(self, run):
        result = run("valley", "--optimizers", "sgd,adagrad,rmsprop,adam", "--steps", "1000")
        assert all(f"  {name} " in result.stdout for name in ("sgd", "adagrad", "rmsprop", "adam"))

    def test_a_diverged_path_is_valid_json(self, run):
        result = document(run("valley", "--optimizers", "sgd=100", "--json"))
        assert result["paths"][0]["last_step"] < 10_000
        assert "diverged" in [event["kind"] for event in result["paths"][0]["events"]]

    def test_a_formula_a_parameter_and_a_window(self, run):
        assert document(run("x^2 + 3*y^2", "--json"))["surface"]["formula"] == "x ** 2 + 3 * y ** 2"
        narrow = document(run("valley", "--parameter", "condition=10", "--window", "-1,1,-2,2", "--json"))["surface"]
        assert narrow["formula"] == surfaces.get("valley", condition=10.0).formula
        assert narrow["window"] == [[-1.0, 1.0], [-2.0, 2.0]]


class TestPictures:
    @pytest.mark.parametrize("suffix", [".png", ".gif", ".html"])
    def test_the_ending_says_what_is_written(self, run, tmp_path, suffix):
        file = tmp_path / f"bowl{suffix}"
        result = run("bowl", "--optimizers", "sgd,adam", "--steps", "8", "--view", "3d", "-o", str(file))
        assert str(file) in result.stderr.replace("\n", "")
        head = file.read_bytes()[:16]
        assert head.startswith({".png": b"\x89PNG", ".gif": b"GIF89a", ".html": b"<!doctype html>"}[suffix])

    def test_json_names_the_picture(self, run, tmp_path):
        file = tmp_path / "bowl.png"
        assert document(run("bowl", "-o", str(file), "--json"))["picture"] == str(file)
        with Image.open(file) as image:
            assert image.width > 1000


class TestMaps:
    @pytest.mark.slow
    def test_a_map_of_starts_says_where_paths_end(self, run, tmp_path):
        file = tmp_path / "map.png"
        options = "--optimizers", "sgd=0.005", "--steps", "500", "--map", "starts", "-o", str(file), "--json"
        found = document(run("himmelblau", *options))
        assert file.exists()
        same = paths.map_starts(surfaces.get("himmelblau"), "sgd", lr=0.005, steps=500, points=(81, 81))
        assert found["map"]["outcome"] == same.outcome_HW.tolist()
        assert [end["end"] for end in found["map"]["ends"]] == [words for _, words in outcomes_of(same)]
        assert sum(end["share"] for end in found["map"]["ends"]) == pytest.approx(1)

    def test_a_map_of_hyper_parameters_covers_what_was_asked(self, run):
        options = "--optimizers", "adam", "--steps", "50", "--map", "lr=0.01:1,beta2", "--json"
        found = document(run("valley", *options))["map"]
        assert (found["x"]["name"], found["y"]["name"]) == ("lr", "beta2")
        assert (found["x"]["values"][0], found["x"]["values"][-1]) == pytest.approx((0.01, 1))
        assert (found["y"]["values"][0], found["y"]["values"][-1]) == pytest.approx((0, 0.9999))
        assert "share of paths" in run("valley", *options[:-1]).stdout


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["vally"], "valley"),
            (["import os"], "\\^"),
            (["valley", "--optimizers", "adamm"], "adam"),
            (["valley", "--optimizers", "sgd,,adam"], "between two commas"),
            (["valley", "--optimizers", "sgd,sgd"], "twice"),
            (["valley", "--optimizers", "adam=fast"], "'fast' is not a number"),
            (["valley", "--optimizers", "adam", "--lr", "sgd=0.1"], "not among --optimizers"),
            (["valley", "--optimizers", "adam", "--lr", "-1"], "out of range"),
            (["valley", "--optimizers", "adam", "--lr", "nan"], "out of range"),
            (["valley", "--optimizers", "adam", "--steps", "0"], "at least 1"),
            (["valley", "--optimizers", "adam", "--steps", "1.5"], "whole number"),
            (["valley", "--optimizers", "adam", "--steps", "inf"], "whole number|more than"),
            (["valley", "--optimizers", "adam", "--steps", "1e12"], "more than"),
            (["valley", "--optimizers", "adam", "--noise", "-1"], "noise"),
            (["valley", "--optimizers", "adam", "--schedule", "cosinus"], "cosine"),
            (["valley", "--optimizers", "adam", "--start", "1"], "2 numbers"),
            (["valley", "--optimizers", "adam", "--start", "1,b"], "'b' is not a number"),
            (["log(x) + y", "--optimizers", "adam", "--start", "-1,0"], "start"),
            (["valley", "--window", "1,-1,0,1"], "window"),
            (["valley", "--parameter", "condition"], "condition"),
            (["valley", "--parameter", "conditoin=3"], "condition"),
            (["x**2", "--parameter", "a=1"], "formula"),
            (["valley", "--optimizers", "adam", "-o", "picture.bmp"], ".png, .gif, .html"),
            (["valley", "-o", "picture.html"], "--optimizers"),
            (["valley", "--points", "10"], "--json"),
            (["valley", "--map", "starts"], "one optimizer"),
            (["valley", "--optimizers", "sgd,adam", "--map", "starts"], "one optimizer"),
            (["valley", "--optimizers", "adam", "--map", "ends"], "starts"),
            (["valley", "--optimizers", "adam", "--map", "lr"], "two hyper-parameters"),
            (["valley", "--optimizers", "adam", "--map", "lr,gamma=0:1"], "gamma"),
            (["valley", "--optimizers", "adam", "--map", "lr,eps"], "eps=0.001:1"),
            (["valley", "--optimizers", "adam", "--map", "lr=1:0,beta1"], "lower first"),
            (["valley", "--optimizers", "adam", "--map", "starts", "-o", "map.gif"], ".png"),
        ],
    )
    def test_what_cannot_be_meant_is_said_and_nothing_is_written(self, run, tmp_path, monkeypatch, arguments, says):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UsageError, match=says):
            run(*arguments)
        assert not list(tmp_path.iterdir())

    def test_nine_optimizers_are_too_many_for_a_picture_and_fine_for_a_table(self, run, tmp_path):
        nine = ",".join(optimizers.names()[:9])
        assert run("bowl", "--optimizers", nine, "--steps", "10").exit_code == 0
        with pytest.raises(UsageError, match="at most 8"):
            run("bowl", "--optimizers", nine, "--steps", "10", "-o", str(tmp_path / "nine.png"))


class TestRates:
    def test_rates_are_shared_named_or_own(self):
        assert [choice.lr for choice in read_optimizers("sgd,adam", "0.1")] == [0.1, 0.1]
        assert [choice.lr for choice in read_optimizers("sgd,adam", "adam=0.2")] == [None, 0.2]
        assert [choice.lr for choice in read_optimizers("sgd=0.3,adam", "0.1")] == [0.3, 0.1]
        assert [choice.lr for choice in read_optimizers("adam=0.1,adam=0.2", None)] == [0.1, 0.2]
        assert [choice.optimizer.name for choice in read_optimizers("sign-sgd", "sign-sgd=1")] == ["sign_sgd"]
