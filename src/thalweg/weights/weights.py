"""Weights to start from, and the facts about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.weights.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights to start from.

    Attributes:
        source: as it was asked for; a path is absolute.
        tensors: by name.
        network: name of the network that they are made for; None: unknown.
        preprocessing: how photos are prepared for them; None: unknown.
        classes: names of the classes that their last layer tells apart, if they are known.
        license: under which they are published; empty: unknown.
        url: where they are published; empty: unknown.
        digest: SHA-256 of the file; empty: they come from no file.
        wrapper: the entry of the file that held them; empty if there was none.
    """

    source: str
    tensors: dict[str, Tensor]
    network: str | None = None
    preprocessing: Preprocessing | None = None
    classes: tuple[str, ...] | None = None
    license: str = ""
    url: str = ""
    digest: str = ""
    wrapper: str = ""

    def to_facts(self) -> dict[str, str]:
        """What a run keeps about where its weights come from."""
        facts = {name: getattr(self, name) for name in ("source", "network", "license", "url", "digest")}
        return {name: value for name, value in facts.items() if value}
