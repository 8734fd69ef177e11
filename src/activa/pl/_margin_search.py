"""Realism against the margin."""

from __future__ import annotations

from os import PathLike

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activa.pl._colors import REAL
from activa.pl._finish import Output
from activa.pl._tables import check_table


def margin_search(
    table: pd.DataFrame,
    *,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | list[Axes] | None:
    """What each margin m of the hinge gave.

    The forest's area under the curve and the Wasserstein distance against m, the best m marked.

    Parameters
    ----------
    table
        What :func:`activa.experiments.margin_search` gave.
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
    Supplement G of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> margin_search(table)
    """
    output = Output(show, save, return_fig)
    check_table(table, "margin_search", ("margin", "rf_auc", "wasserstein", "best"))
    best = table.loc[table["best"], "margin"].item()
    titles = {"rf_auc": "A forest's area under the curve", "wasserstein": "Wasserstein-2 distance"}
    with output.figure(7.6, 3.4) as figure:
        axes = figure.subplots(1, 2)
        for ax, (column, title) in zip(axes, titles.items(), strict=True):
            ax.plot(table["margin"], table[column], "o-", color=REAL)
            ax.axvline(best, color="#888888", lw=1, ls="--", zorder=0)
            ax.text(best, 1.01, f"best: {best:g}", transform=ax.get_xaxis_transform(), ha="center", fontsize="small")
            ax.set(xlabel="margin m, nats", ylabel=title)
        return output.finish(list(axes))
