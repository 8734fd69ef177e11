"""Variances against means."""

from __future__ import annotations

from os import PathLike

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.utils.sparsefuncs import mean_variance_axis

from activa.pl._finish import Output
from activa.pl._legends import legend_above
from activa.pl._pair import count_matrices
from activa.pl._turns import points_in_turns


def mean_variance(
    real: AnnData,
    synthetic: AnnData,
    *,
    layer: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | Axes | None:
    """Each gene's variance of counts against their mean, in both sets, on logarithmic axes.

    The dotted line is a Poisson distribution's, whose variance is its mean. Variances are over cells (divided by their
    number, not by one less). Genes whose counts do not vary in a set have no point there.

    Parameters
    ----------
    real, synthetic
        Cells x genes of counts, with the same genes in any order.
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
        As :func:`dropout`; and if no gene of a set varies.

    References
    ----------
    One of the properties that benchmarks of simulators compare (Crowell et al. 2023, doi:10.1186/s13059-023-02904-1).

    Examples
    --------
    >>> mean_variance(held_out, synthetic)  # doctest: +SKIP
    """
    output = Output(show, save, return_fig, ax)
    points = {}
    for name, counts in count_matrices(real, synthetic, layer).items():
        mean, variance = mean_variance_axis(counts.astype(np.float64), axis=0)
        if not (varies := variance > 0).any():
            raise ValueError(f"no gene of {name} varies; there is nothing to plot.")
        points[name] = mean[varies], variance[varies]
    with output.panel(5.2, 4.2) as ax:
        points_in_turns(ax, points, size=9, alpha=0.6, what="genes")
        means = np.concatenate([mean for mean, _ in points.values()])
        ends = [means.min(), means.max()]
        ax.plot(ends, ends, color="#000000", lw=1, ls=":", label="Poisson")
        ax.set(xscale="log", yscale="log", xlabel="Mean count", ylabel="Variance of counts")
        ax.spines[["top", "right"]].set_visible(False)
        legend_above(ax, 3)
        return output.finish(ax)
