"""The offline player: traces on a surface, or a run's path over its landscape, as one HTML file without any server.

Python computes everything (`payload`, `landscape`, on the ground of `relief`), packs the numbers (`packing`) and puts
one page together (`document`); the page's own modules in `page/` only draw. Every number at a kept step is exact; the
page says what was left out.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.figures.player.landscape import write_landscape
    from thalweg.figures.player.payload import write_player

_homes = {"write_landscape": ".landscape", "write_player": ".payload"}

__all__ = ["write_landscape", "write_player"]

__getattr__, __dir__ = lazy_names(__name__, _homes)
