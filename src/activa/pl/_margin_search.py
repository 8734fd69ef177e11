"""Realism against the margin."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from activa.pl._tables import check_table


def margin_search(table: pd.DataFrame) -> Figure:
    """What each margin m of the hinge gave.

    Parameters
    ----------
    table
        What :func:`activa.experiments.margin_search` gave.

    Returns
    -------
    The figure: the forest's area under the curve and the Wasserstein distance against m, the best m marked.

    Raises
    ------
    TypeError, ValueError
        If it is no such table.

    References
    ----------
    Supplement G of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> figure = margin_search(table)
    """
    check_table(table, "margin_search", ("margin", "rf_auc", "wasserstein", "best"))
    figure = Figure(figsize=(7.6, 3.4), layout="constrained")
    best = table.loc[table["best"], "margin"].item()
    titles = {"rf_auc": "A forest's area under the curve", "wasserstein": "Wasserstein-2 distance"}
    for ax, (column, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        ax.plot(table["margin"], table[column], "o-", color="#0072b2")
        ax.axvline(best, color="#888888", lw=1, ls="--", zorder=0)
        ax.text(best, 1.01, f"best: {best:g}", transform=ax.get_xaxis_transform(), ha="center", fontsize="small")
        ax.set(xlabel="margin m, nats", ylabel=title)
    return figure
