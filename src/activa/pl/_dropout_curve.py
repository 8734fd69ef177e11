"""Dropout curves."""

from __future__ import annotations

from os import PathLike

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activa.pl._colors import REAL
from activa.pl._finish import Output
from activa.pl._tables import check_table, set_colors


def dropout_curve(
    table: pd.DataFrame,
    *,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | list[Axes] | None:
    """Share of cells without a gene against the gene's mean, with the regression and its 95% band.

    A panel a set, each with the curve of real cells dashed.

    Parameters
    ----------
    table
        What :func:`activa.experiments.dropout_curve` gave.
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
    Figure S9 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> dropout_curve(table)
    """
    output = Output(show, save, return_fig)
    check_table(table, "dropout_curve", ("set", "mean", "dropout", "fit", "lower", "upper"))
    colors = set_colors(table)
    with output.figure(3.6 * len(colors) + 0.4, 3.8) as figure:
        axes = figure.subplots(1, len(colors), squeeze=False, sharex=True, sharey=True)[0]
        real = table[table["set"] == "real"].sort_values("mean")
        for ax, (name, color) in zip(axes, colors.items(), strict=True):
            genes = table[table["set"] == name].sort_values("mean")
            ax.scatter(genes["mean"], genes["dropout"], s=3, color=color, alpha=0.25, linewidths=0, rasterized=True)
            ax.fill_between(genes["mean"], genes["lower"], genes["upper"], color="#000000", alpha=0.25, linewidth=0)
            ax.plot(genes["mean"], genes["fit"], color="#000000", lw=1.5, label=f"{name}, 95% band")
            if name != "real" and len(real):
                ax.plot(real["mean"], real["fit"], color=REAL, lw=1.5, ls="--", label="real")
            ax.set(xscale="log", ylim=(-0.02, 1.02), xlabel="Mean count of 10,000")
            ax.set_title(f"{name} ({len(genes):,} genes)", fontsize="medium")
            ax.legend(frameon=False, fontsize="small", loc="lower left")
        axes[0].set_ylabel("Share of cells without the gene")
        return output.finish(list(axes))
