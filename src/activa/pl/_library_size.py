"""Library sizes."""

from __future__ import annotations

from os import PathLike

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.sparse import csr_matrix

from activa.pl._distribution import distribution
from activa.pl._finish import Output
from activa.pl._pair import read_pair


def library_size(
    real: AnnData,
    synthetic: AnnData,
    *,
    labels_key: str | None = None,
    layer: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | Axes | None:
    """Distribution of the library size, a cell's total count, in both sets.

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
    :func:`activa.metrics.library_size_distance` is the distance between the two.

    Examples
    --------
    >>> library_size(held_out, synthetic, labels_key="cell_type")  # doctest: +SKIP
    """
    output = Output(show, save, return_fig, ax)
    cells = read_pair(real, synthetic, labels_key, layer)
    numbers = {name: np.asarray(csr_matrix(of.counts).sum(axis=1)).ravel() for name, of in cells.items()}
    return distribution(cells, numbers, "Library size (total counts of a cell)", output)
