"""Zeros against means."""

from __future__ import annotations

from os import PathLike

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activa.metrics.count_properties import gene_summary
from activa.pl._finish import Output
from activa.pl._legends import legend_above
from activa.pl._pair import count_matrices
from activa.pl._turns import points_in_turns


def dropout(
    real: AnnData,
    synthetic: AnnData,
    *,
    layer: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | Axes | None:
    """Each gene's share of zero counts against its mean count, in both sets.

    The dotted line is the share of a Poisson distribution, exp(-mean): genes lie above it, the more so the more their
    counts vary between cells. Genes without a count in a set have no point there.

    Parameters
    ----------
    real, synthetic
        Cells x genes of counts, with the same genes in any order.
    layer
        Layer of the counts in both; ``X`` by default.
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
    KeyError, TypeError, ValueError
        As :func:`activa.metrics.evaluate` for the same arguments; and if a set has no cells or no counts.

    References
    ----------
    After figure S9 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> dropout(held_out, synthetic)  # doctest: +SKIP
    """
    output = Output(show, save, return_fig, ax)
    points = {}
    for name, counts in count_matrices(real, synthetic, layer).items():
        _, log_mean, zeros = gene_summary(counts)
        points[name] = 10**log_mean, zeros / counts.shape[0]
    with output.panel(5.2, 4.2) as ax:
        points_in_turns(ax, points, size=9, alpha=0.6, what="genes")
        means = np.concatenate([mean for mean, _ in points.values()])
        expected = np.geomspace(means.min(), means.max(), 200)
        ax.plot(expected, np.exp(-expected), color="#000000", lw=1, ls=":", label="Poisson")
        ax.set(xscale="log", ylim=(-0.03, 1.03), xlabel="Mean count", ylabel="Share of cells without a count")
        ax.spines[["top", "right"]].set_visible(False)
        legend_above(ax, 3)
        return output.finish(ax)
