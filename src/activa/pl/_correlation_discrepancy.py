"""Correlation matrices side by side."""

from __future__ import annotations

from os import PathLike

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activa.pl._finish import Output
from activa.pl._tables import check_table

_MAX_NAMED_GENES = 50


def correlation_discrepancy(
    table: pd.DataFrame,
    *,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | list[Axes] | None:
    """Correlations of marker genes, a heat map a set.

    Genes stand in the order of the types that they mark, with their names where there are up to 50.

    Parameters
    ----------
    table
        What :func:`activa.experiments.correlation_discrepancy` gave.
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
    Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> correlation_discrepancy(table)
    """
    output = Output(show, save, return_fig)
    check_table(table, "correlation_discrepancy", ("set", "gene", "other_gene", "correlation", "discrepancy"))
    sets, genes = table["set"].unique(), table["gene"].unique()
    with output.figure(4.2 * len(sets) + 1, 4.6) as figure:
        axes = figure.subplots(1, len(sets), squeeze=False)[0]
        for ax, name in zip(axes, sets, strict=True):
            of_set = table[table["set"] == name]
            matrix = of_set.pivot(index="gene", columns="other_gene", values="correlation").loc[genes, genes]
            ax.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
            distance = of_set["discrepancy"].iloc[0]
            ax.set_title("real" if name == "real" else f"{name}: {distance:.2f} from real", fontsize="medium")
            named = range(len(genes)) if len(genes) <= _MAX_NAMED_GENES else []
            ax.set_xticks(named, genes[named], rotation=90, fontsize=5)
            ax.set_yticks(named, genes[named] if ax is axes[0] else [], fontsize=5)
            ax.tick_params(length=0)
        figure.colorbar(axes[0].images[0], ax=axes, shrink=0.7, label="Pearson correlation")
        return output.finish(list(axes))
