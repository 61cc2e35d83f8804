"""Resolve a request: from a recipe and some options to a configuration.

Command line, page and Python all call `resolve`, so the same request gives the same configuration everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from thalweg.errors import UnknownNameError, UsageError
from thalweg.i18n import joined
from thalweg.runs.config import FIELDS_OF_FORMAT_1, TrainingConfig, training_options
from thalweg.runs.options import flag_of, sizes_of
from thalweg.training.recipes import FEW, RECIPES


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from thalweg.runs.config import SettledConfig
    from thalweg.runs.options import Option

    Note = Callable[..., None]

ENDS: Final = ("epochs", "budget", "patience")  # what may change when a run is resumed
AUTO: Final = "auto"  # search for the learning rate
REACHED: Final = 0.5  # fraction of the matrix product's speed that a whole run reaches


def recipe(name: str, **overrides: Any) -> TrainingConfig:
    """Return the configuration of a recipe, with some fields changed as on the command line.

    Args:
        name: a name from `RECIPES`.
        **overrides: fields of `TrainingConfig`.

    Raises:
        UnknownNameError: there is no such recipe or field; the message suggests the nearest.
        UsageError: a value is invalid.

    Example:
        >>> recipe("homework").lr, recipe("homework", epochs=2).epochs
        (0.0003, 2)
    """
    return resolve(name, overrides)


def resolve(
    recipe: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    photos: Path | str | None = None,
    note: Note | None = None,
) -> TrainingConfig:
    """Resolve a recipe and some options to a configuration.

    A budget alone replaces the recipe's epochs. A different optimizer brings its own default learning rate, because the
    recipe's rate was chosen for the recipe's optimizer; muon has no rates for single layers. A different model does not
    grow through the recipe's sizes.

    Args:
        recipe: its name; None: from weights `finetune`, or `finetune-few` for fewer than a thousand `photos`; else
            `standard`, or the recipe that a budget affords on `photos`.
        overrides: maps fields to values, typed or as text from the command line (`"10m"`, `"64>96>128"`; `lr` also
            `"auto"`).
        photos: the photos to train on, needed if a budget chooses the recipe.
        note: called with (key, **values) of the catalogue for each choice that this function makes.

    Raises:
        UnknownNameError: there is no such recipe or field; the message suggests the nearest.
        UsageError: a value is invalid.
        DataError: a budget must choose the recipe, and there are no photos.

    Example:
        >>> config = resolve("quick", {"optimizer": "adam", "budget": "10m"})
        >>> config.lr, config.epochs, config.budget
        (0.001, None, 600.0)
    """
    from thalweg import schedules  # here because it needs numpy, which --help does not

    values = read(overrides or {})
    if "model" in values:
        values.setdefault("smaller_sizes", ())
    if values.get("weights") is not None:
        values |= _following(values, note)
    if recipe is None:
        recipe = _default_recipe(values, photos, note)
    if "budget" in values:
        values.setdefault("epochs", None)
    if recipe not in RECIPES:
        raise UnknownNameError("recipe", recipe, RECIPES)
    config = RECIPES[recipe]
    if values.get("optimizer", config.optimizer) != config.optimizer and "lr" not in values:
        from thalweg.training.optimizers import usual_rate

        values["lr"] = usual_rate(values["optimizer"])
        if note is not None and "find_lr" not in values:
            note("training.usual_rate", lr=values["lr"], optimizer=values["optimizer"], recipe=recipe)
    if values.get("optimizer") == "muon":
        values.setdefault("layer_decay", 1.0)
    config = replace(config, **values)
    if config.fit_head and config.weights is None and note is not None:
        note("training.fits_random")
    schedules.parse(config.schedule)
    return config


def _following(values: Mapping[str, Any], note: Note | None) -> dict[str, Any]:
    """Return what follows from weights: their network and size, unless the request says otherwise."""
    from thalweg.weights.source import kept_source, open_weights, settled_network

    weights = open_weights(values["weights"])
    found: dict[str, Any] = {"weights": kept_source(values["weights"]), "smaller_sizes": ()}
    if "model" not in values:
        found["model"] = settled_network(weights)
        if note is not None:
            note("weights.network", network=found["model"])
    size = weights.preprocessing.size if weights.preprocessing is not None else None
    if size is not None and "max_size" not in values:  # smaller photos are enlarged: features are those of this size
        found["size"] = size
    return {name: value for name, value in found.items() if name == "weights" or name not in values}


def read(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Read options as fields of the configuration, each checked by the table of `training_options`.

    Raises:
        UnknownNameError: there is no such field; the message suggests the nearest.
        UsageError: a value is invalid.

    Example:
        >>> read({"epochs": "3", "size": "64>96>128", "lr": "auto"})
        {'epochs': 3, 'size': 128, 'smaller_sizes': (64, 96), 'find_lr': True}
    """
    options = training_options()
    found: dict[str, Any] = {}
    for name, value in overrides.items():
        if name in FIELDS_OF_FORMAT_1:
            raise UsageError("training.renamed_field", name=name, now=FIELDS_OF_FORMAT_1[name])
        if name not in options:
            raise UnknownNameError("option", str(name)[:80], options)
        if name == "layout" and _is_photo_layout(value):
            name = "photo_layout"  # noqa: PLW2901 - `--layout flat` can mean nothing else
        if name == "size" and value is not None:
            found |= _read_sizes(value, found.get("smaller_sizes"))
        elif name == "lr" and isinstance(value, str) and value.strip().lower() == AUTO:
            found["find_lr"] = True  # the recipe's rate stays as the fallback
        else:
            found[name] = _read_one(options[name], value)
    return found


def _is_photo_layout(value: Any) -> bool:
    """Whether a text names a layout of photos, not one of memory; `auto` is the default of both."""
    from thalweg.data.layouts import KINDS

    return isinstance(value, str) and value.partition(":")[0] in KINDS and value != AUTO


def extended(config: SettledConfig, ends: Mapping[str, Any]) -> SettledConfig:
    """Return the configuration of a run with another end: it goes on as if it had been started with that.

    A new number of epochs or a new budget replaces both old ones.

    Args:
        config: of the run.
        ends: maps fields of `ENDS` to values, typed or as text.

    Raises:
        UsageError: a field is none of `ENDS`, a value is invalid, or the run only fits its classifier.

    Example:
        >>> longer = extended(recipe("quick", budget="10m").settle(64), {"epochs": 100, "patience": "5"})
        >>> longer.epochs, longer.budget, longer.patience
        (100, None, 5)
    """
    values = read(ends)
    if values and config.only_head:
        raise UsageError("training.head_is_all")
    others = [name for name in values if name not in ENDS]
    if others:
        raise UsageError("training.resume_keeps", names=joined(map(flag_of, others)), ends=joined(map(flag_of, ENDS)))
    if "epochs" in values or "budget" in values:
        values = {"epochs": None, "budget": None, **values}
    return replace(config, **values)


def command(photos: str, recipe: str, overrides: Mapping[str, Any], out: str) -> list[str]:
    """Return the arguments of `thalweg` for the same request; each flag includes its value, so none can be misread.

    Args:
        photos: a folder, an archive, a table, or `builtin`.
        recipe: its name.
        overrides: as for `resolve`.
        out: the run's folder.

    Example:
        >>> command("my photos", "quick", {"epochs": 3, "normalize": False}, "runs/a")
        ['train', '--recipe=quick', '--out=runs/a', '--epochs=3', '--no-normalize', '--', 'my photos']
    """
    values = read(overrides)
    sizes = (*values.pop("smaller_sizes", ()), *([values.pop("size")] if values.get("size") else ()))
    options = training_options()
    flags = [_typed(options[name], value) for name, value in values.items() if value is not None]
    if sizes:
        flags.append(f"{options['size'].flag}={options['smaller_sizes'].show(sizes)}")
    return ["train", f"--recipe={recipe}", f"--out={out}", *flags, "--", photos]


def typed_options() -> dict[str, Option]:
    """Return the options that have a flag: all fields except `smaller_sizes`, which `--size 64>96>128` sets."""
    return {name: option for name, option in training_options().items() if name != "smaller_sizes"}


class Affordable(NamedTuple):
    """A recipe for a budget: its name, the epochs that fit in the budget, and the machine's speed."""

    recipe: str
    epochs: float
    gflops: float


def affordable(photos: Path | str, budget: float, **fields: Any) -> Affordable:
    """Choose the most thorough recipe with at least half of its epochs within a budget, else `quick`.

    An epoch's time is estimated from the network's FLOPs, at three forward passes per photo, over all sizes that the
    photos grow through, at `REACHED` times the speed of this machine's matrix product, measured for 0.1 seconds.

    Args:
        photos: as `train` takes them.
        budget: in seconds; folds share it.
        **fields: fields of the configuration that differ from the recipe.

    Raises:
        DataError: there are no photos.
    """
    from thalweg import models
    from thalweg.runs.photos import find_photos
    from thalweg.training.machine import matmul_gflops, settled_device
    from thalweg.training.prepare import choose_sizes, typical_side

    asked = replace(TrainingConfig(), **fields)
    images = find_photos(photos, asked)
    typical, photo_count = typical_side(images), len(images.split("train"))
    if asked.folds and asked.fold is None:
        photo_count = round((photo_count + len(images.split("valid"))) * (1 - 1 / asked.folds))
        budget /= asked.folds
    gflops = max(matmul_gflops(settled_device(asked.device)).values())
    for name in ("strong", "standard", "quick"):
        config = replace(RECIPES[name], **fields)
        size, _ = choose_sizes(config.size, config.max_size, typical, 1.0)
        if size < models.smallest_size(config.model):
            continue
        sides = config.settle(size).sizes
        pixels = sum(side**2 for side in sides) / len(sides) / size**2  # on average, relative to full size
        flops = 3 * pixels * models.describe(config.model, size=size, classes=len(images.classes)).flops
        epochs = budget * REACHED * gflops * 1e9 / (flops * photo_count)
        if name == "quick" or epochs >= (config.epochs or 0) / 2:
            break
    return Affordable(name, epochs, gflops)


def _default_recipe(values: Mapping[str, Any], photos: Path | str | None, note: Note | None) -> str:
    """Return `finetune` or `finetune-few` from weights, else `standard`, or what a budget affords without epochs."""
    if values.get("weights") is not None:
        return "finetune" if photos is None else _finetuning(photos, values, note)
    if photos is None or values.get("budget") is None or "epochs" in values:
        return "standard"
    found = affordable(photos, **values)
    if note is not None:
        key = "training.recipe_chosen" if found.epochs >= 1 else "training.recipe_too_long"
        note(key, **found._asdict(), share=found.epochs)
    return found.recipe


def _finetuning(photos: Path | str, values: Mapping[str, Any], note: Note | None) -> str:
    """Return the recipe from weights for as many training photos."""
    from thalweg.runs.photos import find_photos

    count = len(find_photos(photos, replace(TrainingConfig(), **values)).split("train"))
    if count >= FEW:
        return "finetune"
    if note is not None:
        note("training.recipe_for_few", count=count, most=FEW)
    return "finetune-few"


def _read_one(option: Option, value: Any) -> Any:
    if option.kind == "text" and isinstance(value, PurePath):
        value = str(value)
    if isinstance(value, str) and option.kind not in ("text", "choice"):
        value = option.parse(value)
    return option.check(value)


def _read_sizes(value: Any, smaller: tuple[int, ...] | None) -> dict[str, Any]:
    """Split `64>96>128` into two fields: the last size, and those before it."""
    options = training_options()
    sizes = sizes_of(value) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else (value,)
    if not sizes:
        raise UsageError("training.bad_sizes", value=value)
    *before, size = sizes
    return {
        "size": options["size"].check(size),
        "smaller_sizes": options["smaller_sizes"].check(before) if before else smaller or (),
    }


def _typed(option: Option, value: Any) -> str:
    if option.kind == "flag":
        return option.flag if value else f"--no-{option.flag.removeprefix('--')}"
    return f"{option.flag}={option.show(value)}"
