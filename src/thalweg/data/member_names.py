"""The encoding of names in an archive that states none, decided by what all names together look like.

A zip marks names in UTF-8 with a flag, which many tools leave out or set wrongly; a tar states nothing at all. Each
encoding in use reads the names as a text, and the most plausible text wins: letters of one script, small inside a
word, and characters that are common in their language. The costs are rough negative logarithms of probabilities.
"""

from __future__ import annotations

import codecs
from collections import Counter
from functools import cache
from itertools import pairwise
from math import log
from typing import TYPE_CHECKING, Final, NamedTuple
from unicodedata import category, name

from thalweg.errors import UsageError


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_UTF_8: Final = "utf-8"
_PERCENT: Final = "thalweg-percent"
_NAMES_LOOKED_AT: Final = 400
_NOT_IN_THIS_ENCODING: Final = 40.0  # for each name that an encoding cannot read


class _Candidate(NamedTuple):
    """An encoding: what it costs beforehand, the scripts that it is for, and the first bytes of common characters."""

    codec: str
    cost: float
    scripts: tuple[str, ...]
    common: range = range(0)


_CANDIDATES: Final = (
    _Candidate(_UTF_8, -6, ("LATIN", "CYRILLIC", "GREEK", "CJK", "HIRAGANA", "KATAKANA", "HANGUL"), range(256)),
    _Candidate("gb18030", 0, ("CJK",), range(0xB0, 0xD8)),
    _Candidate("cp1252", 0.5, ("LATIN",)),
    _Candidate("cp850", 0.6, ("LATIN",)),
    _Candidate("cp437", 0.7, ("LATIN",)),
    _Candidate("cp932", 2, ("CJK", "HIRAGANA", "KATAKANA"), range(0x88, 0x98)),
    _Candidate("cp866", 2, ("CYRILLIC",)),
    _Candidate("cp1251", 2, ("CYRILLIC",)),
    _Candidate("cp949", 3, ("HANGUL",)),
    _Candidate("cp950", 3, ("CJK",), range(0xA4, 0xC7)),
    _Candidate("cp852", 3, ("LATIN",)),
    _Candidate("cp1250", 3, ("LATIN",)),
    _Candidate("cp737", 4, ("GREEK",)),
    _Candidate("cp1253", 4, ("GREEK",)),
    _Candidate("cp857", 4, ("LATIN",)),
    _Candidate("cp1254", 4, ("LATIN",)),
)
_OF_ONE_WORD: Final = {"ASCII", "LATIN"}
# The accented letters of a language: of two readings, one that stays within a small alphabet is likelier.
_ALPHABETS: Final = (
    "äöüß",
    "éèêàâçîôûœëïùæ",
    "áéíóúñü",
    "ãõáéíóúâêôçà",
    "àèéìòù",
    "åäöé",
    "åæøé",
    "ąćęłńóśźż",
    "áčďéěíňóřšťúůýž",
    "áéíóöőúüű",
    "çğıöşü",
    "ăâîșțşţ",
    "čćđšž",
)
_COMMON: Final = {
    "CYRILLIC": "оеаинтсрвлкмдпуяыьгзбчй",
    "GREEK": "αειοηστνρπκλμυςίόάέή",
    "HANGUL": (
        "이다는에의가고을하지로사기도한리자나아어서은인정대스시수해그라일부과보으장전만여상제주들구있조요동원내모공마비안오우"
        "성연국중화방경선물소유생게세무신년강양개새차꽃바미면계치트적학식용회진살포파말밥김빵배"
    ),
}
_COSTS: Final = {  # of a common letter, and of another one
    "CYRILLIC": (3.2, 6.0),
    "GREEK": (3.2, 6.0),
    "HANGUL": (4.5, 10.0),
    "HIRAGANA": (4.5, 4.5),
    "KATAKANA": (4.5, 4.5),
}


def checked_encoding(encoding: str | None) -> str | None:
    """The encoding, if it is one for names of files.

    Raises:
        UsageError: no such encoding, or one that does not contain ASCII.

    Example:
        >>> checked_encoding("cp437"), checked_encoding(None)
        ('cp437', None)
    """
    if encoding is None:
        return None
    plain = bytes(byte for byte in range(32, 127) if byte != 0x5C) + b"\\"  # alone, a backslash escapes nothing
    try:
        fits = plain.decode(encoding) == plain.decode("ascii")
    except (LookupError, ValueError):
        fits = False
    if not fits:
        raise UsageError("data.no_such_encoding", encoding=encoding)
    return encoding


class Names(NamedTuple):
    """The names of an archive as text.

    Attributes:
        texts: the names.
        encoding: of those that state none.
        guessed: positions of the names whose encoding was decided by plausibility, other than UTF-8.
    """

    texts: list[str]
    encoding: str
    guessed: list[int]


def read_names(raw: Sequence[bytes], declared: Sequence[bool], encoding: str | None) -> Names:
    r"""The names as text.

    Args:
        raw: the names as stored.
        declared: whether the archive says that a name is UTF-8; one that then is not has no declared encoding.
        encoding: of all names without a declared one; `None` decides by plausibility.

    Example:
        >>> read_names([b"K\x84se/1.jpg", b"Br\x94tchen/1.jpg"], [False, False], None)
        Names(texts=['Käse/1.jpg', 'Brötchen/1.jpg'], encoding='cp850', guessed=[0, 1])
    """
    unsure = [
        position
        for position, (one, is_utf8) in enumerate(zip(raw, declared, strict=True))
        if not (one.isascii() or (is_utf8 and _is_utf8(one)))
    ]
    chosen = encoding or (_most_plausible({raw[position] for position in unsure}) if unsure else _UTF_8)
    texts = [one.decode(_UTF_8, "replace") for one in raw]
    for position in unsure:
        texts[position] = decoded(raw[position], chosen)
    return Names(texts, chosen, [] if encoding or chosen == _UTF_8 else unsure)


def decoded(raw: bytes, encoding: str) -> str:
    r"""One name; a byte that the encoding cannot read becomes `%` and its number, so that names stay different.

    Example:
        >>> decoded(b"a\xff.jpg", "utf-8")
        'a%FF.jpg'
    """
    return raw.decode(encoding, _PERCENT)


def _percent(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - for the type checker
    return "".join(f"%{byte:02X}" for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_PERCENT, _percent)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _most_plausible(names: set[bytes]) -> str:
    some = sorted(names)[:: -(-len(names) // _NAMES_LOOKED_AT)]
    return min(_CANDIDATES, key=lambda candidate: _cost(some, candidate)).codec


def _cost(names: Iterable[bytes], candidate: _Candidate) -> float:
    cost, latin = candidate.cost, Counter[str]()
    for raw in names:
        try:
            text = raw.decode(candidate.codec)
        except UnicodeDecodeError:
            cost += _NOT_IN_THIS_ENCODING
            continue
        cost += sum(_of_character(character, candidate) for character in text if not character.isascii())
        cost += sum(_of_pair(*pair) for pair in pairwise(text))
        latin.update(character.lower() for character in text if _script(character) == "LATIN")
    return cost + min(_of_letters(latin, alphabet) for alphabet in _ALPHABETS)


def _of_letters(latin: Counter[str], alphabet: str) -> float:
    within = 2.5 + log(len(alphabet))
    return sum(count * (within if letter in alphabet else 10.0) for letter, count in latin.items())


def _of_pair(before: str, character: str) -> float:
    """What two characters cost for standing side by side."""
    if before.isascii() and character.isascii():
        return 0
    both = before.isalpha() and character.isalpha()
    scripts = {_script(before), _script(character)}
    cost = 9.0 if before.islower() and character.isupper() else 0.0
    if both and scripts == {"LATIN"}:
        cost += 2  # accented letters seldom stand side by side
    if both and "ASCII" in scripts and not scripts <= _OF_ONE_WORD:
        cost += 6  # a word has one script
    return cost


@cache
def _script(character: str) -> str:
    return "ASCII" if character.isascii() else name(character, "").partition(" ")[0]


@cache
def _of_character(character: str, candidate: _Candidate) -> float:
    script = _script(character)
    if category(character) in {"Cc", "Cn", "Co", "Cs"}:
        return 25
    if script not in candidate.scripts or not character.isalpha():
        return 8 if script in {"IDEOGRAPHIC", "FULLWIDTH"} else 10 if character in "’‘–°ªº" else 16
    if script == "CJK":
        lead, trail, *_ = *character.encode(candidate.codec), 0
        # In GB 18030, the area of GB 2312, whose first part are the common characters.
        return 7.5 if lead in candidate.common and (trail >= 0xA1 or candidate.codec != "gb18030") else 14
    common, rare = _COSTS.get(script, (0.0, 0.0))  # a Latin letter counts among those of its language
    return (common if character.lower() in _COMMON.get(script, "") else rare) + 2 * character.isupper()
