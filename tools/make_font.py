"""Make the Chinese font that the pictures fall back on: a renamed subset of Noto Sans CJK SC.

    python tools/make_font.py /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc

Keeps what GB 2312 has, both levels (the second has 馄饨, and other dishes that name a class) and its punctuation,
and every character of the zh-CN catalogue. The family is renamed, as the licence asks of changed fonts whose names
are reserved.
"""  # noqa: INP001 - a script

from __future__ import annotations

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTCollection, TTFont


FAMILY = "Thalweg Sans SC"
PACKAGE = Path(__file__).parents[1] / "src" / "thalweg"
OUTPUT = PACKAGE / "figures" / "fonts" / "ThalwegSansSC-Regular.otf"

_KEPT_NAMES = {0, 8, 9, 11, 12, 13, 14}  # copyright, makers, licence: they stay as they were
_CHARACTERS = range(0xB0, 0xF8)  # first bytes of GB 2312's characters
_PUNCTUATION = range(0xA1, 0xA4)  # first bytes of its punctuation, numbered signs and full-width forms


def wanted() -> set[int]:
    """The characters to keep, as code points."""
    pairs = [bytes((first, second)) for first in (*_PUNCTUATION, *_CHARACTERS) for second in range(0xA1, 0xFF)]
    characters = {character for pair in pairs for character in pair.decode("gb2312", errors="ignore")}
    for catalogue in (PACKAGE / "i18n" / "zh-CN").glob("*.json"):
        characters |= set(catalogue.read_text(encoding="utf-8"))
    return {ord(character) for character in characters if ord(character) > 0x7F}


def simplified_chinese(collection: Path) -> TTFont:
    """The font of a collection whose glyphs are those of mainland China."""
    for font in TTCollection(collection).fonts:
        if font["name"].getDebugName(1) == "Noto Sans CJK SC":
            return font
    raise SystemExit(f"{collection}: holds no Noto Sans CJK SC")


def rename(font: TTFont) -> None:
    """Give the font its own name; what says who made it, and on which terms, stays."""
    names = font["name"]
    names.names = [record for record in names.names if record.nameID in _KEPT_NAMES]
    postscript = FAMILY.replace(" ", "") + "-Regular"
    version = "Version 1.000, a subset of Noto Sans CJK SC 2.004"
    for identifier, text in {1: FAMILY, 2: "Regular", 3: postscript, 4: FAMILY, 5: version, 6: postscript}.items():
        names.setName(text, identifier, platformID=3, platEncID=1, langID=0x409)
    charstrings = font["CFF "].cff
    charstrings.fontNames = [postscript]
    top = charstrings.topDictIndex[0]
    top.FullName, top.FamilyName = FAMILY, FAMILY


def main() -> None:
    """Write the font into the package."""
    font = simplified_chinese(Path(sys.argv[1]))
    options = subset.Options(hinting=False, layout_features=[], name_IDs=["*"])
    options.drop_tables += ["BASE", "VORG", "vhea", "vmtx"]  # for lines that run downward
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=wanted())
    subsetter.subset(font)
    rename(font)
    font.recalcTimestamp = False  # the same input gives the same bytes
    font.save(OUTPUT)
    sys.stdout.write(f"{OUTPUT.name}: {OUTPUT.stat().st_size:,} bytes, {len(font.getBestCmap() or ()):,} characters\n")


if __name__ == "__main__":
    main()
