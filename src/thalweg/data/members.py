"""The members of an archive by name: encodings, links, names that occur twice, and names that point outside.

Names are composed (NFC), so a name is found whichever way the archive's tool spelled its accents: contents are read at
offsets, never by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from unicodedata import normalize

from thalweg.data.member_names import decoded, read_names
from thalweg.data.sources import Note, points_outside, without_litter
from thalweg.errors import BadImageError


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# No photo is larger: a member that claims more is a zip bomb or a mistake.
MAX_MEMBER_BYTES: Final = 1 << 30
_LONGEST_WAY: Final = 40  # links one after another, as file systems allow


class Member(NamedTuple):
    """Where a member's content lies.

    Attributes:
        offset: of the content (in a zip, of the header before it), in bytes.
        packed: bytes stored.
        size: bytes unpacked.
        method: of compression, by its number in a zip; 0: none.
        crc: the checksum that the archive stores, if it does.
        fault: the key of the sentence on why it cannot be read; `None`: nothing is known against it.
    """

    offset: int
    packed: int
    size: int
    method: int = 0
    crc: int | None = None
    fault: str | None = None


class Link(NamedTuple):
    """A member that stands for another one.

    Attributes:
        target: the name of the other one.
        is_symbolic: the target is relative to the link's folder; otherwise to the archive.
    """

    target: bytes
    is_symbolic: bool


class Entry(NamedTuple):
    """One entry of an archive's directory.

    Attributes:
        raw: the name as stored.
        is_utf8: whether the archive says that the name is UTF-8.
        content: the content, or the link to it.
    """

    raw: bytes
    is_utf8: bool
    content: Member | Link


class Members:
    """The members that are files, by name.

    Args:
        entries: in the archive's order; of two with one name the later one counts, as when unpacking.
        encoding: of names that state none; `None` decides by plausibility.
        backslashes: read a backslash in a name as a separator of folders.

    Attributes:
        notes: what was left out, and why.
    """

    def __init__(self, entries: Sequence[Entry], *, encoding: str | None, backslashes: bool = False) -> None:
        texts, chosen, guessed = read_names(
            [entry.raw for entry in entries], [entry.is_utf8 for entry in entries], encoding
        )
        found: dict[str, Member | tuple[str, Link]] = {}
        outside: list[str] = []
        replaced: list[str] = []
        for text, entry in zip(texts, entries, strict=True):
            stated = text.replace("\\", "/") if backslashes else text
            if points_outside(stated):
                outside.append(stated)
                continue
            name = composed(stated)
            content: Member | tuple[str, Link] | None = _linked(name, entry.content, found, chosen)
            if name in found and _differ(found[name], content):
                replaced.append(name)
            found[name] = content
        members, astray, to_folders = _followed(found)
        self._by_name = {name: members[name] for name in sorted(without_litter(members))}
        self.notes = tuple(
            Note(f"data.note_{key}", {"count": len(listed), "example": listed[0], **values})
            for key, listed, values in (
                ("names_guessed", [texts[position] for position in guessed], {"encoding": chosen}),
                ("names_outside", outside, {}),
                ("names_twice", replaced, {}),
                ("links_astray", list(without_litter(astray)), {}),
                ("links_to_folders", list(without_litter(to_folders)), {}),
            )
            if listed
        )

    def names(self) -> tuple[str, ...]:
        """All names."""
        return tuple(self._by_name)

    def get(self, name: str) -> Member | None:
        """The member of this name, in any spelling of its accents; `None` if there is none."""
        return self._by_name.get(name) or self._by_name.get(composed(name))

    def readable(self, name: str) -> Member:
        """The member of this name, if nothing is known against reading it.

        Raises:
            BadImageError: no such member, or it is damaged, encrypted or too large.
        """
        member = self.get(name)
        if member is None:
            raise BadImageError("data.bad_missing", path=name)
        if member.size > MAX_MEMBER_BYTES:
            raise BadImageError("data.bad_too_many_bytes", path=name, limit=MAX_MEMBER_BYTES >> 20)
        if member.fault:
            raise BadImageError(member.fault, path=name)
        return member


def composed(name: str) -> str:
    """The name without empty parts and dots, its accents composed (NFC).

    Example:
        >>> composed("./train//cat/1.jpg")
        'train/cat/1.jpg'
    """
    if not name.isascii():
        name = normalize("NFC", name)
    if "//" in name or "./" in name:
        name = "/".join(part for part in name.split("/") if part not in {"", "."})
    return name


def _linked(
    name: str, content: Member | Link, found: Mapping[str, Member | tuple[str, Link]], encoding: str
) -> Member | tuple[str, Link]:
    """The content; for a link, the member so far of the target's name, or else the target's name, to be found later."""
    if isinstance(content, Member):
        return content
    try:
        target = content.target.decode()
    except UnicodeDecodeError:
        target = decoded(content.target, encoding)
    if content.is_symbolic:
        return _joined(name.rpartition("/")[0], target), content
    target = _joined("", target)
    earlier = found.get(target)
    return earlier if isinstance(earlier, Member) else (target, content)


def _joined(folder: str, target: str) -> str:
    """The target's name in the archive; empty if it points out of it."""
    if target.startswith("/"):
        return ""
    parts = folder.split("/") if folder else []
    for part in composed(target).split("/"):
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            return ""
    return "/".join(parts)


def _differ(one: Member | tuple[str, Link], other: Member | tuple[str, Link]) -> bool:
    if isinstance(one, Member) and isinstance(other, Member) and one.crc is not None:
        return (one.crc, one.size) != (other.crc, other.size)
    return one != other


def _followed(found: Mapping[str, Member | tuple[str, Link]]) -> tuple[dict[str, Member], list[str], list[str]]:
    """The members with links replaced by what they lead to, the links that lead nowhere, and those to folders."""
    members = {name: content for name, content in found.items() if isinstance(content, Member)}
    links = {name: content[0] for name, content in found.items() if not isinstance(content, Member)}
    if not links:
        return members, [], []
    folders = {folder for name in found for folder in _folders_of(name)}
    astray: list[str] = []
    to_folders: list[str] = []
    reached: dict[str, Member] = {}
    for name in links:
        end = _end_of(name, links)
        if end in members:
            reached[name] = members[end]
        else:
            (to_folders if end in folders else astray).append(name)
    return members | reached, astray, to_folders


def _end_of(name: str, links: Mapping[str, str]) -> str | None:
    """Where a way of links ends; `None` if it goes round in a circle or out of the archive."""
    for _ in range(_LONGEST_WAY):
        folder = next((folder for folder in _folders_of(name) if folder in links), None)
        if name in links:
            name = links[name]
        elif folder:
            name = links[folder] + name[len(folder) :]
        else:
            return name
        if not name:
            return None
    return None


def _folders_of(name: str) -> Iterator[str]:
    place = name.find("/")
    while place >= 0:
        yield name[:place]
        place = name.find("/", place + 1)
