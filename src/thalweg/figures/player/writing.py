"""From paths to the player's one file."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final

from thalweg._files import write_text
from thalweg.figures.lab.scene import make_scene
from thalweg.figures.lab.texts import formula_of, settings_text, title_of
from thalweg.figures.player.document import fill_page, transport
from thalweg.figures.player.payload import payload_of
from thalweg.i18n import get_language, t


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path as File

    from thalweg.figures.lab.stage import View
    from thalweg.paths import Path
    from thalweg.surfaces import Surface

_BUDGET: Final = 12_000  # kept steps times paths: keeps the file near a megabyte
_MOST: Final = 4_000  # kept steps
_SIDE: Final = 385  # grid points a side of the surface
_FORMULA: Final = 2_000  # letters

_KEYS: Final = ("space", "arrows", "shift", "home", "picture", "zoom", "digits", "help")


def write_player(surface: Surface, paths: Sequence[Path], file: File, *, view: View = "contour") -> None:
    """Write one HTML file that plays the paths over the surface, without a network.

    Args:
        surface: what the paths run on.
        paths: one to eight paths on this surface.
        file: where to write; replaced whole or not at all.
        view: what the page shows first, `contour` or `3d`.

    Raises:
        UsageError: more than eight paths.
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from thalweg import paths, surfaces
        >>> bowl = surfaces.get("bowl")
        >>> file = Path(tempfile.mkdtemp()) / "bowl.html"
        >>> write_player(bowl, [paths.trace(bowl, "adam", lr=0.1, steps=100)], file)
        >>> file.read_bytes()[:15]
        b'<!doctype html>'
    """
    scene = make_scene(surface, paths, limit=min(_MOST, _BUDGET // len(paths)), side=_SIDE)
    title = title_of(surface)
    texts = {
        "lang": get_language(),
        "title": title,
        "formula": formula_of(surface, longest=_FORMULA),
        "kept_note": f"{scene.kept.note} {t('lab.page_edge_note')}",
        "settings_note": settings_text(scene),
        "table_note": t("lab.page_table_note"),
        "picture_summary": t("lab.page_summary", title=title, labels=", ".join(look.label for look in scene.looks)),
        **{name: t(f"lab.{name}") for name in _PAGE_TEXTS},
    }
    write_text(file, fill_page(texts, payload_of(scene, view=view), raw={"help": _help(), "transport": transport()}))


_PAGE_TEXTS: Final = (
    "page_3d",
    "page_charts",
    "page_contour",
    "page_critical",
    "page_events",
    "page_failure",
    "page_keys",
    "page_noscript",
    "page_picture",
    "page_picture_keys",
    "page_rules",
    "page_table",
    "page_theme",
    "page_view",
    "page_zoom",
    "page_zoom_in",
    "page_zoom_out",
    "page_zoom_reset",
)


def _help() -> str:
    rows = (
        f"<dt><kbd>{html.escape(t(f'lab.key_{name}'))}</kbd></dt><dd>{html.escape(t(f'lab.key_{name}_does'))}</dd>"
        for name in _KEYS
    )
    return f"<dl>{''.join(rows)}</dl>"
