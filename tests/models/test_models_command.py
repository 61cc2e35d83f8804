import json

import pytest
import typer
from typer.testing import CliRunner

from thalweg.cli import models as command
from thalweg.models import describe, names


@pytest.fixture
def run():
    app = typer.Typer()
    command.register(app)
    app.callback()(lambda: None)
    return lambda *arguments: CliRunner().invoke(app, ["models", *arguments])


def test_every_network_is_listed_with_its_cost(run):
    listed = json.loads(run("--json", "--size", "64", "--classes", "10").stdout)
    assert [entry["name"] for entry in listed] == names()
    for entry in listed:
        card = describe(entry["name"], size=64, classes=10)
        assert (entry["parameters"], entry["flops"]) == (card.parameters, card.flops)


def test_a_size_too_small_for_some_is_no_failure(run):
    listed = {entry["name"]: entry for entry in json.loads(run("--json", "--size", "28").stdout)}
    assert listed["cnn"]["parameters"] is None
    assert listed["cnn"]["smallest_size"] == 32
    assert listed["resnet18"]["flops"] > 0


def test_the_table_names_units(run):
    shown = run()
    assert shown.exit_code == 0
    assert "12.83 M" in shown.stdout
    assert "2.188 G" in shown.stdout


def test_size_zero_is_wrong_use(run):
    assert run("--size", "0").exit_code == 2
