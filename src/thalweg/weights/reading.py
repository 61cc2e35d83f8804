"""A file of weights to tensors by name; nothing in the file is run, and nothing is believed before it is checked."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import warnings
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from thalweg.errors import UsageError
from thalweg.i18n import joined


if TYPE_CHECKING:
    from collections.abc import Mapping

ENDINGS: Final = (".safetensors", ".pth", ".pt", ".bin")
# Where training scripts put the weights, in the order of preference: an average is what its training evaluated.
_WRAPPERS: Final = (
    *("ema", "model_ema", "state_dict_ema", "ema_state_dict", "state_dict", "model_state_dict", "model_state"),
    *("model", "module", "net", "network", "params", "weights"),
)
_PREFIXES: Final = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")
_DEEPEST: Final = 4  # wrappers inside wrappers
_LARGEST_HEADER: Final = 100_000_000  # bytes: what the safetensors library reads at most
_EMPTY: Final = 1 << 20  # bytes that a file may unpack to, however small it is
# How a file begins that is often taken for weights.
_OTHERS: Final = (
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"version https://git-lfs", "lfs"),
    (b"<", "page"),
    (b"\x1f\x8b", "gzip"),
    (b"\x93NUMPY", "numpy"),
    (b"\xff\xd8\xff", "photo"),
    (b"\x89PNG", "photo"),
    (b"GGUF", "gguf"),
)
_GLOBAL: Final = re.compile(r"(?:GLOBAL|[Cc]lass|[Ff]unction) [`']?([\w.]+)")


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """The tensors of a file.

    Attributes:
        path: the file.
        tensors: by name, without the wrappers and prefixes that training scripts add.
        metadata: texts that a safetensors file keeps beside its tensors.
        wrapper: the entry of the file that held the tensors, such as `state_dict`; empty if there was none.
        digest: SHA-256 of the file.
    """

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    wrapper: str = ""
    digest: str = ""


def read_weights(path: Path | str) -> WeightsFile:
    """Read a safetensors file, or what `torch.save` wrote, with `weights_only`; the content decides, not the ending.

    Args:
        path: the file.

    Raises:
        UsageError: it is no file of weights, is damaged, or holds code; nothing of it was run.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> import torch
        >>> path = Path(mkdtemp()) / "weights.pt"
        >>> torch.save({"epoch": 3, "state_dict": {"module.fc.bias": torch.zeros(2)}}, path)
        >>> found = read_weights(path)
        >>> list(found.tensors), found.wrapper
        (['fc.bias'], 'state_dict')
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError("weights.unreadable", path=path, reason=error.strerror or error) from error
    metadata: dict[str, str] = {}
    wrapper = ""
    if start.startswith((b"PK", b"\x80")):
        tensors, wrapper = _unwrapped(_unpickled(path, size, start), path)
    elif start[8:9] == b"{" or path.suffix.lower() == ".safetensors":
        tensors, metadata = _safetensors(path, size, start)
    else:
        raise _other(path, start)
    _check(tensors, path, size)
    return WeightsFile(path, _without_prefixes(tensors), metadata, wrapper, digest)


def _other(path: Path, start: bytes) -> UsageError:
    """The error for a file that holds something else."""
    if not start:
        return UsageError("weights.empty_file", path=path)
    for magic, kind in _OTHERS:
        if start.lstrip().startswith(magic):
            return UsageError(f"weights.is_{kind}", path=path)
    return UsageError("weights.unknown_file", path=path, start=start[:8].hex(" "), endings=joined(ENDINGS))


def _safetensors(path: Path, size: int, start: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    header = int.from_bytes(start[:8], "little")
    if len(start) < 8 or header > min(size - 8, _LARGEST_HEADER):
        kind = next((kind for magic, kind in _OTHERS if start.lstrip().startswith(magic)), None)
        if kind is not None or not start:
            raise _other(path, start)
        raise UsageError("weights.long_header", path=path, header=header / 1e9, size=size)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = {f"{key}": f"{value}" for key, value in (file.metadata() or {}).items()}
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError, ValueError, TypeError, RuntimeError, AttributeError, RecursionError) as error:
        raise UsageError("weights.damaged", path=path, reason=_first_line(error)) from error


def _unpickled(path: Path, size: int, start: bytes) -> Any:
    if start.startswith(b"PK"):
        _check_archive(path, size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about formats of before
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = _GLOBAL.search(str(error))
        if found is None:
            raise UsageError("weights.damaged", path=path, reason=_first_line(error)) from error
        raise UsageError("weights.has_code", path=path, name=found[1]) from error
    except Exception as error:  # a file that anybody wrote may raise anything
        raise UsageError("weights.damaged", path=path, reason=_first_line(error)) from error


def _check_archive(path: Path, size: int) -> None:
    """Refuse an archive that is no file of torch's, or that unpacks to more than it holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UsageError("weights.damaged", path=path, reason=_first_line(error)) from error
    names = [member.filename for member in members]
    if any(name.endswith("constants.pkl") for name in names):
        raise UsageError("weights.is_script", path=path)
    if not any(name.endswith("data.pkl") for name in names):
        raise UsageError("weights.is_archive", path=path, names=joined(names[:3]))
    if sum(member.file_size for member in members) > 2 * size + _EMPTY:
        raise UsageError("weights.unpacks", path=path, size=size, most=sum(member.file_size for member in members))


def _unwrapped(content: Any, path: Path) -> tuple[dict[str, Tensor], str]:
    """Follow the entries where training scripts put weights."""
    wrapper = ""
    for _ in range(_DEEPEST):
        if not isinstance(content, dict):
            break
        if "param_groups" in content and "state" in content:
            raise UsageError("weights.is_optimizer", path=path)
        inner = next((key for key in _WRAPPERS if _holds_tensors(content.get(key))), None)
        if inner is None:
            break
        content, wrapper = content[inner], inner
    if not isinstance(content, dict):
        raise UsageError("weights.no_tensors", path=path, found=type(content).__name__)
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        found = joined(f"{key}"[:40] for key in list(content)[:5]) or type(content).__name__
        raise UsageError("weights.no_tensors", path=path, found=found)
    return {name: value.detach() for name, value in tensors.items()}, wrapper


def _holds_tensors(value: Any, depth: int = 0) -> bool:
    """Whether an entry holds tensors by name, or wraps such an entry."""
    if not isinstance(value, dict) or depth > _DEEPEST:
        return False
    if any(isinstance(key, str) and isinstance(part, Tensor) for key, part in value.items()):
        return True
    return any(_holds_tensors(value.get(key), depth + 1) for key in _WRAPPERS)


def _check(tensors: Mapping[str, Tensor], path: Path, size: int) -> None:
    """Refuse files without weights, and tensors that claim more memory than the file has."""
    if not tensors:
        raise UsageError("weights.no_tensors", path=path, found="-")
    for name, tensor in tensors.items():
        claimed = tensor.numel() * tensor.element_size()
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta or claimed > size + _EMPTY:
            raise UsageError("weights.strange_tensor", path=path, name=name, shape=tuple(tensor.shape))


def _without_prefixes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off the prefixes that most of the names share; names without them stay."""
    found = dict(tensors)
    for _ in range(_DEEPEST):
        counts = Counter(prefix for name in found for prefix in _PREFIXES if name.startswith(prefix))
        prefix, count = counts.most_common(1)[0] if counts else ("", 0)
        shorter = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
        if 2 * count <= len(found) or len(shorter) < len(found):
            break
        found = shorter
    return found


def json_of(text: str | None) -> dict[str, Any]:
    """Parse a JSON object in a file's metadata; anything else is empty."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
