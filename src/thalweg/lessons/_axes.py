"""The axis that most pictures share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import StrMethodFormatter

from thalweg.i18n import t


if TYPE_CHECKING:
    from matplotlib.axes import Axes


def number_steps(axes: Axes, last: int) -> None:
    """Steps from 0 to `last` along x, the thousands set apart."""
    axes.set_xlim(0, last)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel(t("lessons.axis_step"))
