"""Names as they are compared: composed (NFC), so that é is one letter however a system wrote it."""

from __future__ import annotations

from unicodedata import normalize


def composed(name: str) -> str:
    r"""The name in NFC. Names are compared so; files are opened by the name they have.

    Example:
        >>> composed("Cafe\u0301") == "Caf\u00e9"
        True
    """
    return name if name.isascii() else normalize("NFC", name)


def decoded(content: bytes) -> str:
    r"""A text file as editors and spreadsheets write them: UTF-8, or UTF-16 if it says so.

    Raises:
        UnicodeDecodeError: it is neither.

    Example:
        >>> decoded("猫".encode("utf-16")), decoded(b"\xef\xbb\xbfcat")
        ('猫', 'cat')
    """
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    return content.decode("utf-8-sig")
