"""Genes without differential state, type by type."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from activa.pl._finish import Output
from activa.pl._legends import legend_above
from activa.pl._tables import check_table, set_colors

_MARKERS = "osD^vP"


def differential_state(
    table: pd.DataFrame,
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | Axes | None:
    """Share of genes whose expression does not differ from real cells', a dot a type and set.

    100%, a dashed line, is best. A set with too few cells of a type has no dot there; the legend has each set's mean over its
    types.

    Parameters
    ----------
    table
        What :func:`activa.experiments.differential_state` gave.
    ax
        Axes to draw into; by default those of a new figure.
    show
        Whether to show the plot; by default as ``scanpy.settings.autoshow`` says, but not where ``ax`` is given.
    save
        Path to write it to, in the format of its suffix.
    return_fig
        Whether to return the figure, which is then not shown.

    Returns
    -------
    The Axes; the figure with ``return_fig``; nothing if it is shown.

    Raises
    ------
    TypeError, ValueError
        If it is no such table.

    References
    ----------
    Figure S10 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> differential_state(table)
    """
    output = Output(show, save, return_fig, ax)
    check_table(table, "differential_state", ("set", "type", "differential"))
    shares = 1 - table.groupby(["set", "type"], observed=True)["differential"].mean()
    colors, types = set_colors(table), list(np.unique(table["type"].astype(str)))
    with output.panel(6.4, 1.5 + max(len(types), 3) * (0.16 + 0.12 * len(colors))) as ax:
        for i, (name, color) in enumerate(colors.items()):
            of_set = shares.xs(name, level="set")
            at = [types.index(str(label)) + (i - (len(colors) - 1) / 2) * 0.6 / len(colors) for label in of_set.index]
            style: dict[str, Any] = {"color": color, "marker": _MARKERS[i % len(_MARKERS)], "s": 28, "zorder": 3}
            ax.scatter(of_set, at, label=f"{name} (mean {of_set.mean():.1%})", **style)
        ax.axvline(1, color="#000000", lw=1, ls="--", zorder=1)
        # every second type on gray, so that dots are found to belong to a name
        for row in range(0, len(types), 2):
            ax.axhspan(row - 0.5, row + 0.5, color="#f2f2f2", zorder=0, linewidth=0)
        ax.set_yticks(range(len(types)), types)
        ax.tick_params(axis="y", length=0)
        span = 1 - min(shares.min(), 0.95)
        ax.set(ylim=(len(types) - 0.5, -0.5), xlim=(1 - 1.05 * span, 1 + 0.03 * span), ylabel="Type")
        ax.set_xlabel("Genes without differential state")
        ax.xaxis.set_major_formatter(PercentFormatter(1))
        ax.spines[["top", "right"]].set_visible(False)
        legend_above(ax, min(len(colors), 3), title="Real against generated cells, pseudobulk DESeq2")
        return output.finish(ax)
