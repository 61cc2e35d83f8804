"""The letters of the pictures: DejaVu Sans, which matplotlib ships, then Chinese.

The bundled subset comes before what a machine has installed, so that a picture looks the same everywhere; the
installed ones follow, for characters that the subset lacks.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from matplotlib import font_manager


BUNDLED = Path(__file__).parent / "fonts" / "ThalwegSansSC-Regular.otf"

_INSTALLED = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
)


@cache
def families() -> tuple[str, ...]:
    """Font families, in the order in which a glyph is looked for.

    Example:
        >>> families()[:2]
        ('DejaVu Sans', 'Thalweg Sans SC')
    """
    manager = font_manager.fontManager
    manager.addfont(BUNDLED)
    bundled = font_manager.FontProperties(fname=BUNDLED).get_name()
    known = set(manager.get_font_names())
    return ("DejaVu Sans", bundled, *(name for name in _INSTALLED if name in known))
