"""Numbers of genes detected."""

from __future__ import annotations

from os import PathLike

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activa.pl._distribution import distribution
from activa.pl._finish import Output
from activa.pl._pair import read_pair


def genes_per_cell(
    real: AnnData,
    synthetic: AnnData,
    *,
    labels_key: str | None = None,
    layer: str | None = None,
    normalized: bool = False,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | Axes | None:
    """Distribution of the number of genes with a count in a cell, in both sets.

    Two histograms of the shares of cells; with ``labels_key`` two half violins a type instead, real cells above and
    synthetic ones below, each as wide as any, with a line at the median. Cells without a count have no place on the
    logarithmic axis; the legend says how many there are.

    Parameters
    ----------
    real, synthetic
        Cells x genes of counts, with the same genes in any order.
    labels_key
        Column of ``obs`` with the types, in both.
    layer
        Layer of the counts in both; ``X`` by default.
    normalized
        Both hold log1p of counts scaled to 10,000 a cell instead of counts.
    ax, show, save, return_fig
        As for :func:`dropout`.

    Returns
    -------
    The Axes; the figure with ``return_fig``; nothing if it is shown.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`activa.metrics.evaluate` for the same arguments; and if a set has no counts.

    References
    ----------
    :func:`activa.metrics.genes_per_cell_distance` is the distance between the two.

    Examples
    --------
    >>> genes_per_cell(held_out, synthetic, labels_key="cell_type")  # doctest: +SKIP
    """
    output = Output(show, save, return_fig, ax)
    cells = read_pair(real, synthetic, labels_key, layer, normalized=normalized)
    numbers = {name: np.asarray((of.log_expression > 0).sum(axis=1)).ravel() for name, of in cells.items()}
    return distribution(cells, numbers, "Genes detected in a cell", output)
