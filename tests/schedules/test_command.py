"""`thalweg schedule` says in numbers what it draws."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from thalweg.cli import schedule as command
from thalweg.errors import UsageError
from thalweg.figures.plain import telling_steps, text_plot
from thalweg.figures.schedule import draw_schedule
from thalweg.i18n import LANGUAGES, set_language, t
from thalweg.schedules import factors, names, parse


@pytest.fixture
def run(command_runner):
    return command_runner(command, "schedule")


def test_the_document_has_the_numbers(run):
    document = json.loads(run("warmup(10%)>cosine", "--steps", "200", "--lr", "0.5", "--json").stdout)
    rates = 0.5 * factors(parse("warmup(10%) > cosine"), 200)
    assert document["schedule"] == "warmup(10%) > cosine"
    assert document["points"] == {"step": list(range(200)), "value": rates.tolist()}
    assert document["highest"] == {"step": 20, "value": 0.5}
    assert document["lowest"] == document["last"] == {"step": 199, "value": rates[-1]}
    assert document["parts"] == [
        {"schedule": "warmup(10%)", "begins": 0, "steps": 20},
        {"schedule": "cosine", "begins": 20, "steps": 180},
    ]


def test_a_long_training_is_thinned_and_says_so(run):
    document = json.loads(run("cosine_restarts(0.01%)", "--steps", "100000", "--json").stdout)
    assert not document["points_are_all"]
    assert len(document["points"]["step"]) < 2000
    assert document["points"]["value"].count(1.0) > 400  # restarts are short, and still seen


def test_the_table_and_the_plot(run):
    text = run("linear", "--steps", "10").stdout
    assert "linear" in text
    assert "0.1" in text
    assert text.count("*") == 60


def test_the_list_names_every_schedule(run):
    text = run().stdout
    assert all(name in text for name in names())
    assert [entry["name"] for entry in json.loads(run("--json").stdout)] == list(names())


def examples():
    """The schedules that the list shows, in both languages."""
    for language in LANGUAGES:
        set_language(language)
        for name in names():
            text = re.split(r": |：", t(f"schedules.about_{name}"), maxsplit=1)[1]
            yield from re.split(r", (?![^(]*\))|、", text)
    set_language(None)


@pytest.mark.parametrize("spec", sorted(set(examples())))
def test_every_example_of_the_list_can_be_typed(spec):
    assert 0 <= parse(spec)(10, 100) <= 1


def test_wrong_use_is_refused(run):
    with pytest.raises(UsageError, match=r"cosne\n +\^"):
        run("cosne")
    assert run("cosine", "--steps", "0").exit_code == 2
    assert run("cosine", "--steps", "1000000000000").exit_code == 2
    assert run("cosine", "--lr", "-1").exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("spec", ["warmup(10%) > constant over 60% > cosine", "step(30%)", "constant", "plateau"])
def test_the_picture_is_drawn(run, tmp_path, language, spec):
    set_language(language)
    try:
        path = tmp_path / "schedule.png"
        assert run(spec, "-o", str(path), "--steps", "50").exit_code == 0
        with Image.open(path) as image:
            assert image.width == 1350
            assert len(image.convert("RGB").getcolors(1 << 20)) > 10
    finally:
        set_language(None)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_shortest_training_has_a_picture(tmp_path, steps):
    draw_schedule(tmp_path / "s.png", parse("warmup(5) > linear"), steps, learning_rate=0.0)
    assert (tmp_path / "s.png").stat().st_size > 0


def test_telling_steps_keep_what_stands_out():
    values = np.zeros(100_000)
    values[[17, 50_000, 99_998]] = 1, -1, 2
    kept = telling_steps(values, 100)
    assert {0, 17, 50_000, 99_998, 99_999} <= set(kept.tolist())
    assert len(kept) <= 301


@pytest.mark.parametrize("count", [1, 7, 60, 61, 100_000])
def test_the_plot_fills_its_width(count):
    lines = text_plot(np.linspace(0, 3, count), width=60, height=9).splitlines()
    columns = {column for line in lines[:-1] for column, sign in enumerate(line) if sign == "*"}
    assert len(columns) == 60
    assert len(lines) == 10
    assert lines[0].split("|")[0].strip() == ("3" if count > 1 else "1")
