"""Numbers, as people read them."""

from __future__ import annotations

from thalweg.i18n import t


def percent(share: float | None) -> str:
    """A share in [0, 1] with one decimal; a dash where there is none.

    Example:
        >>> percent(0.8128), percent(float("nan"))
        ('81.3 %', '–')
    """
    return f"{100 * share:.1f} %" if share is not None and share == share else "–"  # noqa: PLR0124 - not NaN


def duration(seconds: float) -> str:
    """Seconds in the two largest units.

    Example:
        >>> from thalweg.i18n import set_language
        >>> set_language("en")
        >>> duration(8.44), duration(312), duration(3 * 3600 + 125)
        ('8.4 s', '5 min 12 s', '3 h 2 min')
    """
    if seconds < 60:
        return t("report.seconds", seconds=seconds)
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return t("report.minutes", minutes=minutes, seconds=rest)
    hours, minutes = divmod(minutes, 60)
    return t("report.hours", hours=hours, minutes=minutes)
