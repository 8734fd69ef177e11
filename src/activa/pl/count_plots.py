"""Counts: dropout, mean and variance of genes; library size and detected genes of cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from scipy.sparse import csr_matrix
from sklearn.utils.sparsefuncs import mean_variance_axis

from activa.data import Cells
from activa.metrics.properties import gene_summary
from activa.pl import parts
from activa.pl.output import OnAxes, Output, Panel, Panels, Where, documented


@documented
def dropout(
    real: AnnData, synthetic: AnnData | Mapping[str, AnnData], *, layer: str | None = None, **where: Unpack[OnAxes]
) -> Panel:
    """Share of zero counts of each gene against its mean count, in all sets.

    The dotted line is the share of a Poisson distribution, exp(-mean); the more a gene's counts vary between cells, the
    further above it the gene lies. Genes without counts in a set have no point there.

    {parameters, generators, layer, output, errors, reference, sets_example}
    """
    output = Output(**where)
    points = {}
    for name, counts in parts.count_matrices(real, synthetic, layer).items():
        _, log_mean, zeros = gene_summary(counts)
        points[name] = 10**log_mean, zeros / counts.shape[0]
    scale: dict[str, Any] = {"ylim": (-0.03, 1.03), "ylabel": "Share of cells without a count"}
    return _against_mean(points, lambda mean: np.exp(-mean), output, **scale)


@documented
def mean_variance(
    real: AnnData, synthetic: AnnData | Mapping[str, AnnData], *, layer: str | None = None, **where: Unpack[OnAxes]
) -> Panel:
    """Variance of the counts of each gene against their mean, in all sets, on logarithmic axes.

    The dotted line is a Poisson distribution, whose variance is its mean. Variances are over cells (divided by their number,
    not by one less). Genes whose counts do not vary in a set have no point there.

    {parameters, generators, layer, output, errors}

    References
    ----------
    One of the properties that benchmarks of simulators compare (Crowell et al. 2023, doi:10.1186/s13059-023-02904-1).
    {sets_example}
    """
    output = Output(**where)
    points = {}
    for name, counts in parts.count_matrices(real, synthetic, layer).items():
        mean, variance = mean_variance_axis(counts.astype(np.float64), axis=0)
        if not (varies := variance > 0).any():
            raise ValueError(f"{name} must have genes that vary, got constant genes only: give more cells.")
        points[name] = mean[varies], variance[varies]
    return _against_mean(points, lambda mean: mean, output, yscale="log", ylabel="Variance of counts")


def _against_mean(
    points: dict[str, tuple[np.ndarray, np.ndarray]],
    poisson: Callable[[np.ndarray], np.ndarray],
    output: Output,
    **scale: Any,
) -> Panel:
    """One point per gene and set, mean and another number, and a line for the Poisson distribution."""
    means = np.concatenate([mean for mean, _ in points.values()])
    line = np.geomspace(means.min(), means.max(), 200)
    with output.panel(5.2, 4.2) as ax:
        parts.points_in_turns(ax, points, size=9, alpha=0.6, what="genes")
        ax.plot(line, poisson(line), color="#000000", lw=1, ls=":", label="Poisson")
        parts.open_frame(ax)
        parts.legend_above(ax, 3 if len(points) < 3 else 2)
        ax.set(xscale="log", xlabel="Mean count", **scale)
        return output.finish(ax)


@documented
def library_size(
    real: AnnData,
    synthetic: AnnData | Mapping[str, AnnData],
    *,
    labels_key: str | None = None,
    layer: str | None = None,
    **where: Unpack[OnAxes],
) -> Panel:
    """Distribution of the library size, the total count of a cell, in all sets.

    Histograms of shares of cells; with ``labels_key``, which is for one generator, two half violins per type, real cells above and synthetic cells
    below, all of one width, with a line at the median. A logarithmic axis cannot show cells without counts; the legend
    gives their number. :func:`activa.metrics.library_size_distance` is the distance between the two.

    {parameters, generators, labels_key, layer, output, errors, example}
    """
    output = Output(**where)
    cells = parts.read_sets(real, synthetic, labels_key, layer)
    numbers = {name: np.asarray(csr_matrix(of.counts).sum(axis=1)).ravel() for name, of in cells.items()}
    return _distribution(cells, numbers, "Library size (total counts of a cell)", output)


@documented
def genes_per_cell(
    real: AnnData,
    synthetic: AnnData | Mapping[str, AnnData],
    *,
    labels_key: str | None = None,
    layer: str | None = None,
    normalized: bool = False,
    **where: Unpack[OnAxes],
) -> Panel:
    """Distribution of the number of genes with counts in a cell, in all sets, as :func:`library_size` shows it.

    :func:`activa.metrics.genes_per_cell_distance` is the distance between the two.

    {parameters, generators, labels_key, layer, normalized, output, errors, example}
    """
    output = Output(**where)
    cells = parts.read_sets(real, synthetic, labels_key, layer, normalized=normalized)
    numbers = {name: np.asarray((of.log_expression > 0).sum(axis=1)).ravel() for name, of in cells.items()}
    return _distribution(cells, numbers, "Genes detected in a cell", output)


def _distribution(cells: dict[str, Cells], numbers: dict[str, np.ndarray], what: str, output: Output) -> Panel:
    """Positive numbers of all sets on a logarithmic axis, by type if the cells have types."""
    for name, x in numbers.items():
        parts.check_any(name, x)
    if cells["real"].labels is not None and len(cells) > 2:
        raise ValueError(f"synthetic must be of one generator to be shown by labels_key, got {list(cells)[1:]}.")
    types = [] if cells["real"].labels is None else parts.all_types(cells)
    width = 4.4 + 0.08 * max(map(len, types)) if types else 5.6
    with output.panel(width, 0.32 * max(len(types), 3) + 1.2 if types else 3.8) as ax:
        for row, label in enumerate(types):
            for (name, of), origin in zip(cells.items(), parts.ORIGINS, strict=True):
                x = numbers[name][of.types == label]
                parts.half_violin(ax, row, x[x > 0], origin, log=True, horizontal=True)
        if types:
            parts.name_rows(ax, types, pad=0.6)
        else:
            _histograms(ax, numbers)
        parts.log_ticks(ax.xaxis, np.concatenate([x[x > 0] for x in numbers.values()]))
        ax.set_xlabel(what)
        parts.open_frame(ax)
        sides = zip(numbers.items(), parts.ORIGINS.values(), ("above", "below"), strict=False)
        handles = [Patch(color=color, label=_entry(f"{name}, {side}", x)) for (name, x), color, side in sides]
        parts.legend_above(ax, 1, handles=handles if types else None)
        return output.finish(ax)


def _entry(name: str, numbers: np.ndarray) -> str:
    """A legend's entry, with the number of cells that a logarithmic axis cannot show."""
    n_empty = int((numbers == 0).sum())
    return (
        f"{parts.shorten(name, 30)} ({len(numbers):,} cells{f', {n_empty:,} empty ones not shown' if n_empty else ''})"
    )


def _histograms(ax: Axes, numbers: dict[str, np.ndarray]) -> None:
    shown = np.concatenate([x[x > 0] for x in numbers.values()])
    # a little wider, for a bin of its own where all cells are alike
    edges = list(np.geomspace(shown.min() * 0.999, shown.max() * 1.001, 41))
    colors = parts.origin_styles(numbers)
    for name, x in numbers.items():
        style: Any = {"histtype": "stepfilled", "alpha": 0.5} if name == "real" else {"histtype": "step", "lw": 1.8}
        weights = np.full((x > 0).sum(), 1 / len(x))
        ax.hist(x[x > 0], edges, weights=weights, color=colors[name][0], label=_entry(name, x), **style)
    ax.set_ylabel("Share of cells")


@documented
def dropout_curve(table: pd.DataFrame, **where: Unpack[Where]) -> Panels:
    """Share of cells without a gene against the gene's mean, with the regression and its 95% band, one panel per set.

    The curve of real cells is dashed in every other panel (figure S9 of the paper).

    {table}
    """
    output = Output(**where)
    parts.check_table(table, "dropout_curve", ("set", "mean", "dropout", "fit", "lower", "upper"))
    colors = parts.set_colors(table)
    with output.figure(3.6 * len(colors) + 0.4, 3.8) as figure:
        axes = list(figure.subplots(1, len(colors), squeeze=False, sharex=True, sharey=True)[0])
        real = table[table["set"] == "real"].sort_values("mean")
        for ax, (name, color) in zip(axes, colors.items(), strict=True):
            genes = table[table["set"] == name].sort_values("mean")
            ax.scatter(genes["mean"], genes["dropout"], s=3, color=color, alpha=0.25, linewidths=0, rasterized=True)
            ax.fill_between(genes["mean"], genes["lower"], genes["upper"], color="#000000", alpha=0.25, linewidth=0)
            ax.plot(genes["mean"], genes["fit"], color="#000000", lw=1.5, label=f"{name}, 95% band")
            if name != "real" and len(real):
                ax.plot(real["mean"], real["fit"], color=parts.REAL, lw=1.5, ls="--", label="real")
            ax.set(xscale="log", ylim=(-0.02, 1.02), xlabel="Mean count of 10,000")
            ax.set_title(f"{name} ({len(genes):,} genes)", fontsize="medium")
            ax.legend(frameon=False, fontsize="small", loc="lower left")
        axes[0].set_ylabel("Share of cells without the gene")
        return output.finish(axes)
