"""The review of a run's labels, or of those of a folder of folds: which ones its predictions doubt.

Only photos that a network did not train on count: what it says of its own training photos repeats their labels. Folds
cover every labeled photo, a single run covers its validation split.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from thalweg._files import write_text
from thalweg.data.builtin import name_of
from thalweg.data.findings import read_findings
from thalweg.diagnosis.doubts import Doubts, find_doubts
from thalweg.errors import RunError
from thalweg.i18n import joined, percent, quoted, t, word
from thalweg.runs import Run, RunFolder, files
from thalweg.runs.answers import filled, large_array
from thalweg.runs.config import training_options
from thalweg.runs.folder import mapping, sequence


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

_HEADER: Final = ("rank", "path", "given", "suggested", "probability_given", "probability_suggested", "copies")
COLUMNS: Final = ("path", "given", "suggested", "p_given", "p_suggested", "copies")  # diagnosis.review_column_...
# how photos are found and split
_READING: Final = (
    *("classes", "photo_layout", "table", "path_column", "label_column", "encoding"),
    *("valid_fraction", "seed"),
)
_FEWEST: Final = 2  # classes


class Doubted(NamedTuple):
    """A photo whose label is doubted.

    Attributes:
        path: of the photo in its set.
        given: its label.
        suggested: the most probable other class.
        probability_given: of its label, in [0, 1].
        probability_suggested: of the suggested class, in [0, 1].
        copies: photos of the same picture with another label, and that label, as far as the data check knows them.
    """

    path: str
    given: str
    suggested: str
    probability_given: float
    probability_suggested: float
    copies: tuple[tuple[str, str], ...] = ()

    def cells(self) -> tuple[str, str, str, str, str, str]:
        """The fields as texts, in the order of `COLUMNS`."""
        shares = percent(self.probability_given, 2), percent(self.probability_suggested)
        copies = joined(t("diagnosis.review_copy", path=path, label=label) for path, label in self.copies)
        return (self.path, self.given, self.suggested, *shares, copies)


@dataclass(frozen=True, slots=True, eq=False)
class Review:
    """The labels of a run or of folds, and which of them predictions doubt.

    Attributes:
        path: the run, or the folder of folds.
        run: the run, or the first fold.
        covers_all: whether every labeled photo of the training and validation split is covered.
        doubts: what was found; rows are those of `paths`.
        paths: the covered photos.
        photos: the doubted ones, the most doubted first.
    """

    path: Path
    run: Run
    covers_all: bool
    doubts: Doubts
    paths: tuple[str, ...]
    photos: tuple[Doubted, ...]

    @property
    def pairs(self) -> list[tuple[str, str, float]]:
        """The pairs of classes with the most wrong labels: given class, true class, estimated photos."""
        names = self.run.classes
        return [(names[given], names[true], count) for given, true, count in self.doubts.pairs()]

    def command(self, *flags: Path | str) -> str:
        """The command that trains again on the same photos, read in the same way.

        Args:
            flags: what it has besides.
        """
        options, values = training_options(), self.run.config.to_dict()
        kept = [name for name in _READING if values.get(name, options[name].default) != options[name].default]
        same = [part for name in kept for part in (options[name].flag, options[name].show(values[name]))]
        typed = [quoted(part) if isinstance(part, Path) else word(part) for part in (*same, *flags)]
        return " ".join(["thalweg train", quoted(name_of(self.run.data["path"])), *typed])

    @property
    def sentences(self) -> tuple[str, str]:
        """How many labels may be wrong, and which photos are covered, in the current language."""
        count, doubted = len(self.paths), len(self.photos)
        estimate = t("diagnosis.review_estimate", share=self.doubts.wrong_share, count=count, doubted=doubted)
        if self.covers_all:
            return estimate, t("diagnosis.review_of_all")
        corrected = () if self.run.corrections is None else ("--corrections", self.run.corrections)
        command = self.command("--folds", "5", *corrected)
        return estimate, t("diagnosis.review_of_valid", count=count, command=command)

    def to_dict(self) -> dict[str, Any]:
        """All findings as JSON types."""
        photos = [{**one._asdict(), "copies": [list(copy) for copy in one.copies]} for one in self.photos]
        pairs = [{"given": given, "true": true, "photos": count} for given, true, count in self.pairs]
        return {
            "path": str(self.path),
            "covered": len(self.paths),
            "covers_all": self.covers_all,
            "wrong_share": self.doubts.wrong_share,
            "pairs": pairs,
            "photos": photos,
        }

    def to_csv(self) -> str:
        """The doubted photos as a table."""
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(_HEADER)
        for rank, one in enumerate(self.photos, start=1):
            shares = [f"{share:.6f}" for share in (one.probability_given, one.probability_suggested)]
            copies = "; ".join(f"{path} ({label})" for path, label in one.copies)
            writer.writerow([rank, one.path, one.given, one.suggested, *shares, copies])
        return lines.getvalue()

    def write(self, path: Path | str | None = None) -> Path:
        """Write the table of doubted photos.

        Args:
            path: the file; None: `review.csv` in the reviewed folder.

        Returns:
            The file.

        Raises:
            StorageError: it cannot be written.
        """
        path = self.path / files.REVIEW if path is None else Path(path)
        write_text(path, self.to_csv())
        return path


def review_of(path: Path | str) -> Review:
    """Review the labels of a run, or those of a folder of folds.

    Args:
        path: the folder.

    Raises:
        RunError: this is neither, has no predictions yet, folds are not finished, all photos have one label, or a photo
            may have several.
    """
    path = Path(path)
    runs = _runs_of(path)
    if runs[0].task.several:
        raise RunError("diagnosis.review_several", path=path)
    parts = [_predicted(run) for run in runs]
    paths = tuple(name for names, _, _ in parts for name in names)
    labels_N = np.concatenate([labels for _, labels, _ in parts])
    if len(np.unique(labels_N)) < _FEWEST:
        name = runs[0].classes[int(labels_N[0])]
        raise RunError("diagnosis.review_one_class", path=path, count=len(labels_N), name=name)
    probability_NC = parts[0][2]
    if len(parts) > 1:
        all_NC = large_array((len(labels_N), probability_NC.shape[1]), np.float64, path)
        probability_NC = filled(all_NC, (probabilities for _, _, probabilities in parts))
    doubts = find_doubts(probability_NC, labels_N)
    copies = _copies((run.path for run in runs), {paths[row] for row in map(int, doubts.doubted_M)})
    photos = _doubted(doubts, paths, labels_N, runs[0].classes, copies)
    return Review(path, runs[0], len(runs) > 1, doubts, paths, photos)


def reviewed_folder(path: Path) -> Path:
    """The folder that a review of a run belongs to: that of its folds once all are finished, else its own."""
    home = path.parent.parent
    return home if path.parent.name == files.FOLDS and (home / files.OUT_OF_FOLD).is_file() else path


def _runs_of(path: Path) -> list[Run]:
    """The run, or the runs of all folds.

    Raises:
        RunError: this is neither, or folds are not finished.
    """
    if (path / files.CONFIG).exists() or not (path / files.FOLDS).is_dir():
        return [Run.open(path)]
    home = path / files.FOLDS
    runs = [Run.open(fold) for fold in sorted(home.iterdir()) if (fold / files.CONFIG).exists()]
    folds = runs[0].config.folds or 1 if runs else 1
    finished = [run for run in runs if run.evaluation.exists() and run.summary().get("stopped") != "interrupted"]
    if len(finished) < folds:
        raise RunError("diagnosis.review_unfinished", path=path, done=len(finished), folds=folds)
    if any(run.classes != runs[0].classes for run in runs):
        raise RunError("runs.outputs_do_not_fit", path=path)
    return runs


def _predicted(run: Run) -> tuple[list[str], NDArray[np.int64], NDArray[np.float64]]:
    """Path, label and probabilities of each photo of the validation split.

    Raises:
        RunError: there are no predictions, or they do not fit the photos.
    """
    if not run.evaluation.exists():
        raise RunError("diagnosis.review_no_predictions", path=run.path)
    labels_N, paths = run.outputs()["labels"].astype(np.int64), run.read_split("valid")
    if len(paths) != len(labels_N):
        raise RunError("runs.outputs_do_not_fit", path=run.evaluation)
    return paths, labels_N, run.probabilities()


def _doubted(
    doubts: Doubts,
    paths: Sequence[str],
    labels_N: NDArray[np.int64],
    classes: Sequence[str],
    copies: dict[str, dict[str, str]],
) -> tuple[Doubted, ...]:
    found = []
    for row in map(int, doubts.doubted_M):
        given = classes[int(labels_N[row])]
        others = tuple((path, name) for path, name in copies.get(paths[row], {}).items() if name != given)
        shares = (float(doubts.own_N[row]), float(doubts.other_N[row]))
        found.append(Doubted(paths[row], given, classes[int(doubts.suggested_N[row])], *shares, others))
    return tuple(found)


def _copies(runs: Iterable[Path], wanted: Collection[str]) -> dict[str, dict[str, str]]:
    """The photos that show the same picture as the wanted ones, by path, with their labels; from the data checks."""
    found: dict[str, dict[str, str]] = {}
    for path in runs:
        for group in _same_pictures(RunFolder(path)):
            for name in group.keys() & wanted:
                others = {other: label for other, label in group.items() if other != name and label}
                found.setdefault(name, {}).update(others)
    return found


def _same_pictures(folder: RunFolder) -> Iterator[dict[str, str]]:
    """The groups of photos that a check found to be the same, by label: from its table if it has one."""
    try:
        equal: dict[str, dict[str, str]] = {}
        for one in read_findings(folder.path / files.FINDINGS):
            pair = {one.path: one.class_name, one.twin: one.twin_class}
            if one.kind == "conflicts":  # rows with one first photo are one group
                equal.setdefault(one.path, {}).update(pair)
            elif one.kind == "near_leaks":
                yield pair
        yield from equal.values()
    except (OSError, ValueError):  # a run without many findings, an older one, or a damaged table
        for group in map(
            mapping, [*sequence(folder.check.get("conflicts")), *sequence(folder.check.get("near_leaks"))]
        ):
            named = zip(sequence(group.get("paths")), sequence(group.get("classes")), strict=False)
            yield {str(name): "" if label is None else str(label) for name, label in named}
