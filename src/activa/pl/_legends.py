"""Legends beside the panel, which cover nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes


def legend_above(
    ax: Axes, n_columns: int = 2, *, handles: Sequence[Any] | None = None, title: str = "", pad: float = 0.5
) -> None:
    """Above the panel, where its title would be, so many heights of a letter from it."""
    style: dict[str, Any] = {"frameon": False, "fontsize": "small", "title": title, "borderaxespad": pad}
    if handles is not None:
        style["handles"] = handles
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=n_columns, **style)


def legend_right(ax: Axes, *, title: str = "") -> None:
    """To the right of the panel."""
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), title=title, frameon=False)
