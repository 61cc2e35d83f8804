"""`thalweg export`: a run as files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg.cli._output import JsonFlag, note, print_json, print_table
from thalweg.errors import UsageError
from thalweg.i18n import percent, t


if TYPE_CHECKING:
    from thalweg.prediction.int8 import Comparison


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export", help=t("prediction.help_export"))(export)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help=t("prediction.help_export_run"))],
    onnx: Annotated[Path | None, typer.Option(metavar="FILE", help=t("prediction.help_onnx"))] = None,
    int8: Annotated[bool, typer.Option("--int8", help=t("prediction.help_int8"))] = False,
    openvino: Annotated[Path | None, typer.Option(metavar="FILE", help=t("prediction.help_openvino"))] = None,
    pt2: Annotated[Path | None, typer.Option(metavar="FILE", help=t("prediction.help_pt2"))] = None,
    torchscript: Annotated[Path | None, typer.Option(metavar="FILE", help=t("prediction.help_torchscript"))] = None,
    photos: Annotated[str | None, typer.Option("--photos", metavar="DIR", help=t("training.help_moved"))] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write the files, and print how well they agree with the run."""
    files = {"onnx": onnx, "openvino": openvino, "pt2": pt2, "torchscript": torchscript}
    if not any(files.values()):
        raise UsageError("prediction.export_what", run=run)
    if int8 and onnx is None:
        raise UsageError("prediction.int8_alone", run=run)
    from dataclasses import asdict
    from functools import partial

    from thalweg.prediction import export_run, quantize_onnx
    from thalweg.runs import Run

    opened = Run.open(run, photos=photos)
    told: dict[str, Any] = {"largest_difference": 0.0, "checked_on_photos": True}
    for kind, path in files.items():
        if path is not None:
            unseen: list[str] = []
            difference = export_run(opened, kind, path, note=partial(_say, unseen))
            told["largest_difference"] = max(difference, told["largest_difference"])
            told |= {kind: str(path), "checked_on_photos": not unseen}
            key = "prediction.exported_on_noise" if unseen else "prediction.exported"
            note(t(key, path=path, difference=difference))
    if torchscript is not None:
        note(t("prediction.torchscript_deprecated", run=run))
    if int8 and onnx is not None:
        found = quantize_onnx(opened, onnx)
        told["int8"] = asdict(found)
        _show(found, as_json=as_json)
    if as_json:
        print_json(told)


def _say(unseen: list[str], key: str, **values: object) -> None:
    unseen.append(key)
    note(t(key, **values))


def _show(found: Comparison, *, as_json: bool) -> None:
    """The quantized file beside the other; the table is for people."""
    rows = [
        [
            t(f"prediction.int8_{name}"),
            percent(one.accuracy, 2),
            round(one.photos_per_second),
            round(one.milliseconds, 2),
            round(one.bytes / 1e6, 2),
        ]
        for name, one in (("floats", found.floats), ("int8", found.int8))
    ]
    columns = ("map" if found.several else "accuracy", "photos_per_second", "milliseconds", "megabytes")
    if not as_json:
        print_table(["", *(t(f"prediction.int8_{name}") for name in columns)], rows)
    note(
        t(
            "prediction.quantized_several" if found.several else "prediction.quantized",
            path=found.path,
            before=percent(found.floats.accuracy, 2),
            after=percent(found.int8.accuracy, 2),
            photos=found.photos,
            same=percent(found.same),
            gain=found.int8.photos_per_second / found.floats.photos_per_second,
            processor=found.processor,
        )
    )
