import math
from typing import Any

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from activa._embedding import umap_coordinates
from activa.metrics._cells import check_sets, read_cells
from activa.metrics._space import Space

_BACKGROUND = "#dddddd"
_ORIGINS = {"real": "#0072b2", "synthetic": "#e69f00"}
_MAX_LEGEND_ROWS = 18


def _palette(types: list[str]) -> dict[str, str]:
    palettes = (sc.pl.palettes.vega_20_scanpy, sc.pl.palettes.zeileis_28, sc.pl.palettes.godsnot_102)
    # Pale colours would be taken for the background.
    distinct = [[c for c in palette if math.dist(to_rgb(c), to_rgb(_BACKGROUND)) > 0.3] for palette in palettes]
    colours = next((colours for colours in distinct if len(colours) >= len(types)), distinct[-1])
    return {label: colours[i % len(colours)] for i, label in enumerate(types)}


def _scatter(ax: Axes, coordinates: np.ndarray, colours: np.ndarray | str, size: float) -> None:
    ax.scatter(coordinates[:, 0], coordinates[:, 1], c=colours, s=size, linewidths=0, rasterized=True)


def _handles(colours: dict[str, str]) -> list[Line2D]:
    return [Line2D([], [], marker="o", linestyle="", color=c, label=label) for label, c in colours.items()]


def umap(
    real: AnnData,
    synthetic: AnnData,
    *,
    labels_key: str | None = None,
    layer: str | None = None,
    normalised: bool = False,
    n_neighbors: int = 15,
    min_dist: float = 0.5,
    point_size: float | None = None,
    seed: int = 0,
) -> Figure:
    """Real and synthetic cells in one UMAP, side by side.

    Two panels show one set each over the other in grey, coloured by type; a third shows both by origin. The counts
    are scaled to 10,000 a cell and log1p-transformed, and 50 principal components of the 2,000 genes of largest
    variance in ``real`` are fitted on both sets together. There is no integration, which would hide differences.

    Parameters
    ----------
    real, synthetic
        Cells x genes of counts, with the same genes in any order.
    labels_key
        Column of ``obs`` with the types, in both. Without it the two panels have the colours of their origin.
    layer
        Layer of the counts in both; ``X`` by default.
    normalised
        Both hold log1p of counts scaled to 10,000 a cell instead of counts.
    n_neighbors, min_dist
        As for :func:`scanpy.pp.neighbors` and :func:`scanpy.tl.umap`.
    point_size
        Area of a point in points^2; by default the smaller the more cells there are.
    seed
        Seed of the embedding. Global random state is left alone.

    Returns
    -------
    The figure. A notebook shows it as the last value of a cell; ``figure.savefig(path)`` writes it.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`activa.metrics.evaluate` for the same arguments; and if there are fewer than five cells.

    References
    ----------
    Figure S13 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095, without its integration.

    Examples
    --------
    >>> figure = umap(held_out, synthetic, labels_key="cell_type")  # doctest: +SKIP
    >>> figure.savefig("umap.png")  # doctest: +SKIP
    """
    sets = {"real": real, "synthetic": synthetic}
    check_sets(sets, labels_key, layer)
    if real.n_obs + synthetic.n_obs < 5:
        msg = f"real and synthetic have {real.n_obs + synthetic.n_obs} cells; a UMAP needs at least 5."
        raise ValueError(msg)
    cells = read_cells(sets, labels_key=labels_key, layer=layer, normalised=normalised)
    components = Space(cells["real"], seed).project_together(cells["real"], cells["synthetic"])
    coordinates = umap_coordinates(np.vstack(components), n_neighbors, min_dist, seed)
    of = dict(zip(sets, np.split(coordinates, [real.n_obs]), strict=True))
    size = float(np.clip(12_000 / len(coordinates), 1, 12)) if point_size is None else point_size

    types = [] if labels_key is None else sorted({*cells["real"].types, *cells["synthetic"].types})
    colours = _palette(types)
    columns = -(-len(types) // _MAX_LEGEND_ROWS)
    figure = Figure(figsize=(12.5 + 1.8 * columns, 4.4), layout="constrained")
    axes = figure.subplots(1, 3)
    for ax, (name, other) in zip(axes, (("real", "synthetic"), ("synthetic", "real")), strict=False):
        _scatter(ax, of[other], _BACKGROUND, size)
        labels = cells[name].labels
        _scatter(ax, of[name], _ORIGINS[name] if labels is None else pd.Series(labels).map(colours).to_numpy(), size)
        ax.set_title(f"{name.capitalize()} ({len(of[name]):,} cells)")
    # Drawn in random order, so that neither origin covers the other.
    order = np.random.default_rng(seed).permutation(len(coordinates))
    origin = np.repeat(list(_ORIGINS.values()), [real.n_obs, synthetic.n_obs])
    _scatter(axes[2], coordinates[order], origin[order], size)
    style: dict[str, Any] = {"frameon": False, "fontsize": "small", "handletextpad": 0.3}
    axes[2].legend(handles=_handles(_ORIGINS), loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, **style)
    for ax in axes:
        ax.set(xticks=[], yticks=[], xlabel="UMAP1", ylabel="UMAP2", box_aspect=1)
    if types:
        figure.legend(handles=_handles(colours), loc="outside right center", ncols=columns, **style)
    return figure
