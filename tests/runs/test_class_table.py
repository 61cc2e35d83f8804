"""Of many classes, a run has a table of their names and shares beside its configuration."""

import pytest

from thalweg.errors import RunError
from thalweg.runs import Run, RunFolder, SettledConfig
from thalweg.runs.class_table import MOST_IN_CONFIG


ODD = ["a,b", 'say "x"', "two\nlines", "return\rhere", " spaced ", "椒麻雞", "", "class", "#9"]
ENVIRONMENT = {"device": "cpu", "threads": 1, "precision": "fp32", "layout": "channels-last"}


def facts(count):
    names = [*ODD, *(f"n{number:08}" for number in range(len(ODD), count))]
    shares = [(number + 1) / 3e5 for number in range(count)]
    return {
        "path": "photos", "layout": "flat", "classes": names, "fingerprint": "1", "stored": 16,
        "mean": [0.5] * 3, "std": [0.25] * 3, "class_shares": shares, "train": count, "valid": count, "test": 0,
    }  # fmt: skip


def saved(path, count):
    path.mkdir()
    Run(path, SettledConfig(size=16), facts(count), ENVIRONMENT).save()
    return path


@pytest.mark.parametrize("count", [MOST_IN_CONFIG, MOST_IN_CONFIG + 1, 5005])
def test_classes_come_back_as_they_were(tmp_path, count):
    path = saved(tmp_path / "run", count)
    assert Run.open(path).data == facts(count)
    folder = RunFolder(path)
    assert (folder.data, folder.missing) == (facts(count), [])
    assert folder.classes == facts(count)["classes"]
    assert (path / "classes.csv").exists() == (count > MOST_IN_CONFIG)


def test_the_configuration_of_many_classes_is_as_short_as_that_of_few(tmp_path):
    text = (saved(tmp_path / "run", 5005) / "config.toml").read_text(encoding="utf-8")
    assert '[data]\nclasses = "classes.csv"\nnumber_of_classes = 5005\n' in text
    assert "class_shares" not in text
    assert len(text) < 3000


def test_a_run_that_is_saved_again_is_the_same(tmp_path):
    path = saved(tmp_path / "run", 300)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    Run.open(path).save()
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_a_run_of_before_has_all_names_in_its_configuration(tmp_path, monkeypatch):
    monkeypatch.setattr("thalweg.runs.class_table.MOST_IN_CONFIG", 10**6)
    path = saved(tmp_path / "run", 300)
    monkeypatch.undo()
    assert not (path / "classes.csv").exists()
    assert Run.open(path).data == facts(300)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (None, "classes.csv: cannot be read"),
        (lambda rows: rows[:-1], "number_of_classes is 299, but should be 300"),
        (lambda rows: ["name,share", *rows[1:]], "no column class"),
        (lambda rows: [*rows[:-1], "n00000299"], "classes.csv: cannot be read"),
        (lambda rows: [*rows[:-1], "n00000299,many"], "classes.csv: cannot be read"),
        (lambda rows: [*rows[:-1], "n00000299,-1"], "class_shares is"),
        (lambda rows: [*rows[:-1], "n00000299,nan"], "class_shares is"),
        (lambda rows: [*rows[:-1], '"n00000299,0.1'], "classes.csv: cannot be read"),
        (lambda _rows: [], "classes.csv: cannot be read"),
    ],
)
def test_a_damaged_table_is_named_and_the_rest_is_shown(tmp_path, damage, said):
    path = saved(tmp_path / "run", 300)
    file = path / "classes.csv"
    if damage is None:
        file.unlink()
    else:
        file.write_bytes("\n".join(damage(file.read_bytes().decode().split("\n")[:-1])).encode())
    with pytest.raises(RunError, match=said) as caught:
        Run.open(path)
    assert "\n" not in str(caught.value)
    folder = RunFolder(path).read_all()
    assert folder.data["train"] == 300
    assert "share is" in said or "class_shares" in said or any(said in text for text in folder.missing)


def test_no_other_file_is_read(tmp_path):
    path = saved(tmp_path / "run", 300)
    text = (path / "config.toml").read_text(encoding="utf-8")
    (path / "config.toml").write_text(text.replace('"classes.csv"', '"../classes.csv"'), encoding="utf-8")
    with pytest.raises(RunError, match="classes is"):
        Run.open(path)
    assert RunFolder(path).classes == []
