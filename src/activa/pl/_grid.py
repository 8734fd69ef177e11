"""Many small panels in one figure."""

from __future__ import annotations

import math
import textwrap

from matplotlib.axes import Axes


def grid(n_panels: int, most: int = 8) -> tuple[int, int]:
    """Rows and columns for so many panels: one row up to five, then wider than high."""
    n_columns = n_panels if n_panels <= 5 else min(math.ceil(math.sqrt(1.6 * n_panels)), most)
    return math.ceil(n_panels / n_columns), n_columns


def shorten(text: str, width: int) -> str:
    """The text, cut to so many characters."""
    return text if len(text) <= width else f"{text[: width - 3]}..."


def panel_title(ax: Axes, title: str, width: int) -> None:
    """A small panel's title, in two lines of so many characters at most."""
    lines = textwrap.wrap(title, width, max_lines=2, placeholder=" ...")
    ax.set_title("\n".join(lines), fontsize="small")
