"""Both sets in one UMAP."""

from __future__ import annotations

from os import PathLike

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activa.pl._colors import BACKGROUND, ORIGINS, dots, type_colors
from activa.pl._finish import Output
from activa.pl._legends import legend_above
from activa.pl._pair import all_types, embed, read_pair, scatter, size_of

_MAX_LEGEND_ROWS = 18


def umap(
    real: AnnData,
    synthetic: AnnData,
    *,
    labels_key: str | None = None,
    layer: str | None = None,
    normalized: bool = False,
    n_neighbors: int = 15,
    min_dist: float = 0.5,
    point_size: float | None = None,
    seed: int = 0,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | list[Axes] | None:
    """Real and synthetic cells in one UMAP, side by side.

    Two panels show one set each over the other in gray, colored by type; a third shows both by origin. The counts
    are scaled to 10,000 a cell and log1p-transformed, and 50 principal components of the 2,000 genes of largest
    variance in ``real`` are fitted on both sets together. There is no integration, which would hide differences.

    Parameters
    ----------
    real, synthetic
        Cells x genes of counts, with the same genes in any order.
    labels_key
        Column of ``obs`` with the types, in both. Without it the two panels have the colors of their origin. Types have
        their colors of ``uns[f"{labels_key}_colors"]`` in ``real``, or else in ``synthetic``, or else of scanpy's palettes.
    layer
        Layer of the counts in both; ``X`` by default.
    normalized
        Both hold log1p of counts scaled to 10,000 a cell instead of counts.
    n_neighbors, min_dist
        As for :func:`scanpy.pp.neighbors` and :func:`scanpy.tl.umap`.
    point_size
        Area of a point in points^2; by default the smaller the more cells there are.
    seed
        Seed of the embedding. Global random state is left alone.
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
    KeyError, TypeError, ValueError
        As :func:`activa.metrics.evaluate` for the same arguments; and if there are fewer than five cells.

    References
    ----------
    Figure S13 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095, without its integration.

    Examples
    --------
    >>> umap(held_out, synthetic, labels_key="cell_type")  # doctest: +SKIP
    >>> umap(held_out, synthetic, labels_key="cell_type", save="umap.png", show=False)  # doctest: +SKIP
    """
    output = Output(show, save, return_fig)
    cells = read_pair(real, synthetic, labels_key, layer, normalized=normalized)
    of = embed(cells, n_neighbors, min_dist, seed)
    coordinates = np.vstack(list(of.values()))
    size = size_of(len(coordinates), point_size)
    colors = {} if labels_key is None else type_colors(all_types(cells), labels_key, real, synthetic)
    columns = -(-len(colors) // _MAX_LEGEND_ROWS)
    with output.figure(12.5 + 1.8 * columns, 4.4) as figure:
        axes = figure.subplots(1, 3)
        for ax, (name, other) in zip(axes, (("real", "synthetic"), ("synthetic", "real")), strict=False):
            scatter(ax, of[other], BACKGROUND, size)
            labels = cells[name].labels
            scatter(ax, of[name], ORIGINS[name] if labels is None else pd.Series(labels).map(colors).to_numpy(), size)
            ax.set_title(f"{name.capitalize()} ({len(of[name]):,} cells)")
        # Drawn in random order, so that neither origin covers the other.
        order = np.random.default_rng(seed).permutation(len(coordinates))
        origin = np.repeat(list(ORIGINS.values()), [len(x) for x in of.values()])
        scatter(axes[2], coordinates[order], origin[order], size)
        legend_above(axes[2], handles=dots(ORIGINS))
        for ax in axes:
            ax.set(xlabel="UMAP1", ylabel="UMAP2")
        if colors:
            style = {"frameon": False, "fontsize": "small", "handletextpad": 0.3}
            figure.legend(handles=dots(colors), loc="outside right center", ncols=columns, **style)
        return output.finish(list(axes))
