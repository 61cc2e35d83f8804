"""`thalweg data`: check a set of photos before training, or download the homework's."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from thalweg.cli._options import training_flags
from thalweg.cli._output import JsonFlag, note, print_json, print_table
from thalweg.data.photos import SPLITS, ends
from thalweg.i18n import joined, t


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from thalweg.data import ImageSet
    from thalweg.data.check import Check, Range
    from thalweg.data.label_sets import Labels


_CLASSES_WITH_EXAMPLES = 20


def register(app: typer.Typer) -> None:
    """Add the group `data` with its commands."""
    group = typer.Typer(name="data", help=t("data.help"), no_args_is_help=True)
    group.command("check", help=t("data.help_check"))(check)
    group.command("get", help=t("data.help_get"))(get)
    group.command("preview", help=t("data.help_preview"))(training_flags(preview))
    app.add_typer(group)


def check(
    folder: Annotated[str, typer.Argument(metavar="DIR", help=t("data.help_dir"))],
    *,
    classes: Annotated[str | None, typer.Option(metavar="food11|FILE", help=t("data.help_classes"))] = None,
    layout: Annotated[
        str, typer.Option("--photo-layout", "--layout", metavar="LAYOUT", help=t("data.help_photo_layout"))
    ] = "auto",
    table: Annotated[str | None, typer.Option(metavar="FILE", help=t("data.help_table"))] = None,
    path_column: Annotated[str | None, typer.Option(metavar="NAME", help=t("data.help_path_column"))] = None,
    label_column: Annotated[str | None, typer.Option(metavar="NAME", help=t("data.help_label_column"))] = None,
    labels: Annotated[str, typer.Option(metavar="auto|one|several", help=t("data.help_labels"))] = "auto",
    encoding: Annotated[str | None, typer.Option(metavar="NAME", help=t("data.help_encoding"))] = None,
    strict: Annotated[bool, typer.Option("--strict", help=t("data.help_strict"))] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="CSV", help=t("data.help_check_out"))] = None,
    as_json: JsonFlag = False,
) -> None:
    """Read every photo of a set and report what is wrong."""
    from thalweg.data import LayoutChoice, check_images, open_images
    from thalweg.data.check import EXAMPLES

    choice = LayoutChoice(layout, table, path_column, label_column, encoding, cast("Labels", labels))
    bring(folder)
    with _progress(t("data.listing")) as advance:
        images = open_images(folder, classes=classes, choice=choice, progress=advance)
    if not as_json:
        note(images.describe())
        for line in _homes(images):
            note(line)
    with _progress(t("data.reading")) as advance:
        found = check_images(images, progress=advance)
    if out:
        found.write_csv(out)
    if as_json:
        leftovers = [vars(one) for one in images.leftovers]
        print_json(found.to_json() | {"csv": out and str(out), "examples": images.examples, "leftovers": leftovers})
    else:
        _show(found, images)
    if out:
        note(t("data.findings_written", path=out))
    elif found.has_more_than() if as_json else found.has_more_than(EXAMPLES):
        note(t("data.findings_left_out"))
    if strict and found.warnings():
        raise typer.Exit(1)


def get(
    name: Annotated[str, typer.Argument(metavar="food11", help=t("data.help_name"))],
    *,
    url: Annotated[str | None, typer.Option(help=t("data.help_url"))] = None,
    sha256: Annotated[str | None, typer.Option(metavar="HEX", help=t("data.help_sha256"))] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help=t("data.help_out"))] = Path("food11"),
    as_json: JsonFlag = False,
) -> None:
    """Download a set of photos."""
    from thalweg.data.download import get_set

    with _progress(t("data.fetching"), unit_bytes=True) as advance:
        fetched = get_set(name, out=out, url=url, sha256=sha256, progress=advance)
    if as_json:
        print_json(fetched.to_json())
    else:
        note(t("data.fetched", files=len(fetched.files), folder=fetched.folder))
        note(t("data.fetched_next", path=fetched.opens))


def preview(
    folder: Annotated[str, typer.Argument(metavar="DIR", help=t("data.help_dir"))],
    *,
    name: Annotated[str, typer.Option("--recipe", metavar="NAME", help=t("data.help_recipe"))] = "standard",
    count: Annotated[int, typer.Option("--photos", min=1, max=40, help=t("data.help_photos"))] = 6,
    copies: Annotated[int, typer.Option(min=1, max=24, help=t("data.help_copies"))] = 8,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PNG", help=t("data.help_preview_out"))] = Path(
        "preview.png"
    ),
    **overrides: Any,
) -> None:
    """Draw what augmentation makes of some photos."""
    from thalweg.figures.augmented import draw_augmented
    from thalweg.training import recipe
    from thalweg.training.preview import preview as seen

    config = recipe(name, **overrides)
    bring(folder)
    found = seen(folder, config, count=count, copies=copies)
    side = found.plain_PSS3.shape[1]
    mixed = config.mixup + config.cutmix
    title = t("figures.augmented_mixed" if mixed else "figures.augmented", name=config.augment, side=side, share=mixed)
    draw_augmented(out, [one for _, one in found.names], found.plain_PSS3, found.copies_PKSS3, title=title)
    note(t("data.previewed", count=len(found.names), copies=copies, path=out))


def bring(photos: str) -> None:
    """Copy a set at an address into the cache, with its progress, so that whoever opens it finds the copy."""
    from thalweg.data.addresses import is_url

    if is_url(photos):
        from thalweg.data.remote import local_copy

        with _progress(t("data.fetching"), unit_bytes=True) as advance:
            local_copy(photos, progress=advance)


def _homes(images: ImageSet) -> Iterator[str]:
    """Which folder each split was found in."""
    for split in SPLITS:
        if photos := images.split(split):
            folder = images.homes(split) or "./"
            yield "  " + t("data.tree_split", split=t(f"data.split_{split}"), count=len(photos), folder=folder)


def _show(found: Check, images: ImageSet) -> None:
    _show_classes(found, images)
    if images.leftovers:
        columns = [t(f"data.column_{column}") for column in ("ending", "files", "example")]
        endings = [[one.ending or t("data.leftover_no_ending"), one.count, one.example] for one in images.leftovers]
        print_table(columns, endings)
    ranges = {"width": found.width, "height": found.height, "size_bytes": found.size_bytes}
    print_table(
        ["", *(t(f"data.column_{column}") for column in ("smallest", "median", "largest"))],
        [_row(t(f"data.range_{name}"), values) for name, values in ranges.items()],
    )
    unusual = [[t(f"data.odd_{name}"), len(paths), paths[0]] for name, paths in found.oddities.items() if paths]
    if unusual:
        columns = [t(f"data.column_{column}") for column in ("unusual", "photos", "example")]
        print_table(columns, unusual)
    for line in _findings(found):
        typer.echo(line)


def _show_classes(found: Check, images: ImageSet) -> None:
    """Photos of each class; of many classes the first and the last, and the sum of the others."""
    names = list(dict.fromkeys(name for counts in found.counts.values() for name in counts))
    home = images.homes("train")
    few = len(names) <= _CLASSES_WITH_EXAMPLES
    examples = [t("data.column_examples")] if few else []

    def row(name: str) -> list[str | int]:
        paths = [joined(path.removeprefix(home) for path in images.examples.get(name, ()))] if few else []
        return [name or t("data.no_label"), *(counts.get(name, 0) for counts in found.counts.values()), *paths]

    first, between, last = ends(names)
    left_out = [sum(counts.get(name, 0) for name in between) for counts in found.counts.values()]
    middle = [[t("data.classes_left_out", count=len(between)), *left_out]] if between else []
    splits = [t(f"data.split_{split}") for split in found.counts]
    print_table([t("data.column_class"), *splits, *examples], [*map(row, first), *middle, *map(row, last)])


def _row(name: str, values: Range) -> list[str | int]:
    return [name, values.smallest, values.median, values.largest]


def _findings(found: Check) -> Iterator[str]:
    warnings = found.warnings()
    yield t("data.imbalance", ratio=found.imbalance)
    if not found.near_checked:
        yield t("data.near_not_checked")
    if found.repeated:
        yield t("data.repeated", count=found.repeated)
    if not warnings:
        yield t("data.all_well")
    for warning in warnings:
        yield f"! {warning}"


@contextmanager
def _progress(label: str, *, unit_bytes: bool = False) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if unit_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
