"""Dropout curves."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from activa.pl._tables import check_table, set_colours


def dropout_curve(table: pd.DataFrame) -> Figure:
    """Share of cells without a gene against the gene's mean, with the regression and its 95% band.

    Parameters
    ----------
    table
        What :func:`activa.experiments.dropout_curve` gave.

    Returns
    -------
    The figure: a panel a set, each with the curve of real cells dashed.

    Raises
    ------
    TypeError, ValueError
        If it is no such table.

    References
    ----------
    Figure S9 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> figure = dropout_curve(table)
    """
    check_table(table, "dropout_curve", ("set", "mean", "dropout", "fit", "lower", "upper"))
    colours = set_colours(table)
    figure = Figure(figsize=(3.6 * len(colours) + 0.4, 3.8), layout="constrained")
    axes = figure.subplots(1, len(colours), squeeze=False, sharex=True, sharey=True)[0]
    real = table[table["set"] == "real"].sort_values("mean")
    for ax, (name, colour) in zip(axes, colours.items(), strict=True):
        genes = table[table["set"] == name].sort_values("mean")
        ax.scatter(genes["mean"], genes["dropout"], s=3, color=colour, alpha=0.25, linewidths=0, rasterized=True)
        ax.fill_between(genes["mean"], genes["lower"], genes["upper"], color="#000000", alpha=0.25, linewidth=0)
        ax.plot(genes["mean"], genes["fit"], color="#000000", lw=1.5, label=f"{name}, 95% band")
        if name != "real" and len(real):
            ax.plot(real["mean"], real["fit"], color="#0072b2", lw=1.5, ls="--", label="real")
        ax.set(xscale="log", ylim=(-0.02, 1.02), xlabel="Mean count of 10,000")
        ax.set_title(f"{name} ({len(genes):,} genes)", fontsize="medium")
        ax.legend(frameon=False, fontsize="small", loc="lower left")
    axes[0].set_ylabel("Share of cells without the gene")
    return figure
