"""What objects show in a notebook: names stay text, styles stay inside, nothing is loaded, both languages."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from made import ENVIRONMENT, facts
from thalweg import optimizers, paths, surfaces
from thalweg.data import BadImage, ImageSet, Photo
from thalweg.data.check import Check, Range
from thalweg.data.sources import Note
from thalweg.diagnosis import Verdict
from thalweg.diagnosis.verdict import Evidence, Fix, Source, Trial
from thalweg.errors import UnknownNameError
from thalweg.history import History, HistoryLog
from thalweg.i18n import set_language
from thalweg.notebooks.cell import scoped_style
from thalweg.notebooks.objects import PARTS
from thalweg.prediction import Predictions
from thalweg.rate import Evaluation, RateSweep
from thalweg.runs import Run, SettledConfig, TrainingConfig
from thalweg.runs.files import EPOCH_UNITS, STEP_UNITS


EVIL = '<script>alert("1")</script>\'&\u202e'
CLASSES = (EVIL, "面条")


class Elements(HTMLParser):
    """The elements of an output, and the text between them; every element is closed."""

    def __init__(self, html):
        super().__init__()
        self.found, self.open, self.text = [], [], ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, name, attributes):
        self.found.append((name, dict(attributes)))
        if name not in {"br", "img"}:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        self.text += data if "style" not in self.open else ""


def made_run(home):
    folder = home / "<b>run"
    run = Run(folder, SettledConfig(model=f"timm:{EVIL}"), facts(CLASSES, path=f"/photos/{EVIL}"), ENVIRONMENT)
    folder.mkdir()
    run.save()
    with HistoryLog(folder / "history" / "steps", STEP_UNITS) as log:
        log.extend([[step, step / 10, 1 / step, 1.0, 1e-3, 32, 0] for step in range(1, 31)])
    with HistoryLog(folder / "history" / "epochs", EPOCH_UNITS) as log:
        log.extend([[10 * epoch, epoch, 1, 0.5, 1.2, 0.4, 3] for epoch in (1, 2, 3)])
    logits = np.eye(2, dtype=np.float32)
    save_file({"logits": logits, "labels": np.array([0, 1]), "mid": logits, "top": logits}, run.evaluation)
    result = {"accuracy": 0.5, "count": 120, "loss": 1.0}
    run.write_json("summary.json", {"stopped": "done", "epochs": 3, "steps": 30, "valid": result, "messages": [EVIL]})
    bad = [{"path": EVIL, "reason": EVIL}]
    run.write_json("data-check.json", {"warnings": [EVIL], "bad": bad, "counts": {"train": dict.fromkeys(CLASSES, 3)}})
    return run


def made_images():
    photos = tuple(Photo(f"{EVIL}{number}.jpg", "train", number % 2) for number in range(30))
    return ImageSet(Path(f"/photos/{EVIL}"), "flat", CLASSES, photos, None, (Note("data.bad_empty", {"path": EVIL}),))


def made_check():
    size = Range(1, 2, 3)
    bad = (BadImage(EVIL, Note("data.bad_empty", {"path": EVIL})),)
    counts = {"train": dict.fromkeys(CLASSES, 3)}
    return Check(EVIL, "flat", 6, counts, size, size, size, 1.0, bad, {"cmyk": (EVIL,)}, 0, (), (), 0, (), ())


def made_verdict():
    fix = Fix("zero_grad", {"line": "before", "at": EVIL, "code": EVIL, "there": EVIL})
    return Verdict(
        "zero_grad_missing",
        0.9,
        (Evidence("gradless", 1.0, ">", 0.5),),
        (fix,),
        (("lr_too_large", None),),
        (f"not_copied:{EVIL}",),
        {"gradless": 1.0},
        Trial(fix, "loss", 100, 2.0, 1.9, 1.0, 3, helped=True),
        Source("json_lines", {"loss": (EVIL,)}),
    )


def made_predictions():
    images = made_images()
    rows = np.tile([0.25, 0.75], (30, 1))
    return Predictions(images.photos, CLASSES, rows, (BadImage(EVIL, Note("data.bad_empty", {"path": EVIL})),))


def made_history():
    history = History({"step": "", EVIL: EVIL, "loss": "nat"})
    history.extend([[1, 2, 3], [2, np.nan, -1]])
    return history


def made_rate_sweep():
    rates = tuple(np.geomspace(1e-4, 1, 8))
    runs = (Evaluation(0.01, 10, 0.9), Evaluation(0.1, 10, float("inf")))
    return RateSweep(0.01, None, None, rates, (1.0,) * 7 + (float("nan"),), (1.0,) * 8, 1.0, 1.0, runs, 28)


def made_sweep():
    ends = np.ones((2, 3, 1))
    ends[0, 2] = np.inf
    chosen = optimizers.get("sgd"), optimizers.get("adam")
    starts = np.zeros((1, 2))
    return paths.Sweep(surfaces.get("bowl"), chosen, np.geomspace(0.1, 1, 3), starts, 10, ends, ends, ends, 10 * ends)


def made_trace(steps=5):
    surface = replace(surfaces.get("bowl"), name=EVIL)
    record = np.linspace(2, 1, 8 * (steps + 1)).reshape(steps + 1, 8)
    return paths.Trace(surface, optimizers.get("adam"), 0.1, steps, steps, np.full(steps, 0.1), record)


class Loaded:
    """What the HTML of a classifier asks of it."""

    def __init__(self, run):
        self.run, self.classes = run, CLASSES


MAKERS = {
    "check": lambda _: made_check(),
    "classifier": lambda home: Loaded(made_run(home)),
    "config": lambda _: TrainingConfig(model=f"timm:{EVIL}", smaller_sizes=(16, 24)),
    "history": lambda _: made_history(),
    "images": lambda _: made_images(),
    "predictions": lambda _: made_predictions(),
    "rate_sweep": lambda _: made_rate_sweep(),
    "run": made_run,
    "sweep": lambda _: made_sweep(),
    "trace": lambda _: made_trace(),
    "verdict": lambda _: made_verdict(),
}


def shown(kind, home):
    made = MAKERS[kind](home)
    show = getattr(type(made), "_repr_html_", None)
    if show is None:  # a stand-in
        from thalweg.prediction import Classifier

        show = Classifier._repr_html_
    return show(made)


def test_every_kind_of_object_is_in_the_table():
    assert MAKERS.keys() == PARTS.keys()


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_what_a_user_named_shows_as_text_and_nothing_is_loaded(kind, tmp_path):
    html = shown(kind, tmp_path)
    elements = Elements(html)
    assert elements.found[0] == ("div", {"class": "thalweg", "lang": "en"})
    names = {name for name, _ in elements.found}
    assert not names & {"script", "link", "iframe", "object", "b", "base", "meta"}
    for name, attributes in elements.found:
        assert not any(key.startswith("on") for key in attributes), name
        for key in ("src", "href"):
            assert attributes.get(key, "data:image/png").startswith("data:image/png")
    assert "url(" not in html
    assert "\u202e" not in html
    if kind not in {"rate_sweep", "sweep"}:  # which have no names of a user's
        assert '<script>alert("1")</script>' in elements.text


@pytest.mark.parametrize("kind", sorted(MAKERS.keys() - {"trace"}))  # whose picture takes a second
def test_chinese_readers_get_chinese(kind, tmp_path):
    set_language("zh-CN")
    html = shown(kind, tmp_path)
    assert 'lang="zh-CN"' in html
    text = Elements(html).text.replace("面条", "")
    assert any("\u4e00" <= letter <= "\u9fff" for letter in text)


def test_the_style_holds_inside_an_output_only_and_follows_the_notebook_s_theme():
    style = scoped_style()
    rules = [part for part in style.replace("@media", "}@media").split("}") if "{" in part]
    for rule in rules:
        selectors = rule.split("{")[-2] if rule.count("{") > 1 else rule.split("{")[0]
        assert all(".thalweg.thalweg" in one for one in selectors.split(",")), rule
    assert '[data-jp-theme-light="false"] .thalweg.thalweg{--paper: #14171a' in style
    assert '[data-jp-theme-light="true"] .thalweg.thalweg{--paper: #ffffff' in style
    assert style.index("prefers-color-scheme: dark") < style.index("data-jp-theme-light"), "the notebook's theme wins"
    assert "<" not in style


def test_a_run_draws_its_pictures_and_a_notebook_shows_them_as_wide_as_a_cell(tmp_path):
    run = made_run(tmp_path)
    content, shown_at = run.draw("confusion")._repr_png_()
    assert content.startswith(b"\x89PNG")
    assert 200 < shown_at["width"] <= 860
    assert run.draw("confusion").axes[0].get_xlabel() == "predicted class"
    assert not list(run.path.glob("*.png")), "nothing is written"
    with pytest.raises(UnknownNameError, match="tsne-top"):
        run.draw("tsne")


def test_a_run_whose_folder_is_gone_shows_as_text(tmp_path):
    run = Run(tmp_path / "gone", SettledConfig(), facts(CLASSES), ENVIRONMENT)
    assert run._repr_html_() is None
    assert repr(run) == f"Run({str(tmp_path / 'gone')!r})"


@pytest.mark.parametrize("columns", [("step",), ("step", "loss"), ("step", *map(str, range(100)))])
def test_a_history_without_rows_or_with_many_columns_shows(columns):
    shown = Elements(History(dict.fromkeys(columns, ""))._repr_html_())
    assert f"0 rows, {len(columns)} columns" in shown.text
    assert ("and 41 more" in shown.text) == (len(columns) > 60)
