"""Violins of marker genes."""

from __future__ import annotations

from os import PathLike

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from activa.pl._finish import Output
from activa.pl._tables import check_table, set_colors


def marker_expression(
    table: pd.DataFrame,
    *,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | list[Axes] | None:
    """Log expression of marker genes in the cells of the type that they mark, a violin a set.

    A panel a type, with a bar at each median. A set without cells of a type has no violin there.

    Parameters
    ----------
    table
        What :func:`activa.experiments.marker_expression` gave.
    show
        Whether to show the plot; by default as ``scanpy.settings.autoshow`` says.
    save
        Path to write it to, in the format of its suffix.
    return_fig
        Whether to return the figure, which is then not shown.

    Returns
    -------
    The panels' Axes; the figure with ``return_fig``; nothing if it is shown.

    Raises
    ------
    TypeError, ValueError
        If it is no such table.

    References
    ----------
    Figure S11 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> marker_expression(table)
    """
    output = Output(show, save, return_fig)
    check_table(table, "marker_expression", ("set", "type", "gene", "expression"))
    colors, types = set_colors(table), table["type"].unique()
    n_genes = table.groupby("type", observed=True)["gene"].nunique().max()
    width = min(3 + 0.35 * n_genes * len(colors), 12)
    with output.figure(width, 2.7 * len(types) + 0.4) as figure:
        axes = figure.subplots(len(types), 1, squeeze=False)[:, 0]
        for ax, label in zip(axes, types, strict=True):
            of_type = table[table["type"] == label]
            genes = of_type["gene"].unique()
            for i, (name, color) in enumerate(colors.items()):
                for j, gene in enumerate(genes):
                    x = of_type.loc[(of_type["set"] == name) & (of_type["gene"] == gene), "expression"].to_numpy()
                    if len(x) < 2:
                        continue
                    at = j + (i - (len(colors) - 1) / 2) * 0.8 / len(colors)
                    if np.ptp(x) > 0:  # a density needs some spread
                        body = ax.violinplot(x, [at], widths=0.75 / len(colors), showextrema=False)["bodies"][0]
                        body.set(facecolor=color, edgecolor="none", alpha=0.75)
                    ax.plot(np.array([-0.3, 0.3]) / len(colors) + at, [np.median(x)] * 2, color="#000000", lw=1.5)
            ax.set_xticks(range(len(genes)), genes)
            ax.set(ylabel="log(1 + count of 10,000)", ylim=(min(0.0, of_type["expression"].min()), None))
            ax.set_title(f"{label} ({(of_type['set'] == 'real').sum() // len(genes):,} real cells)", fontsize="medium")
        handles = [Patch(color=color, label=name) for name, color in colors.items()]
        figure.legend(handles=handles, loc="outside upper center", ncols=len(colors), frameon=False)
        return output.finish(list(axes))
