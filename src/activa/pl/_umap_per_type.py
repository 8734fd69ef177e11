"""A UMAP's panel for each type."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activa.pl._colors import BACKGROUND, ORIGINS, dots
from activa.pl._finish import Output
from activa.pl._grid import grid, panel_title
from activa.pl._pair import all_types, choose_types, embed, read_pair, scatter, size_of
from activa.pl._turns import points_in_turns


def umap_per_type(
    real: AnnData,
    synthetic: AnnData,
    *,
    labels_key: str,
    types: Sequence[str] | None = None,
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
    """Real and synthetic cells of each type in one UMAP, a panel a type.

    All cells of both sets are gray; those of the type have the colors of their origin. The embedding is that of
    :func:`umap`.

    Parameters
    ----------
    real, synthetic, layer, normalized, n_neighbors, min_dist, seed
        As for :func:`umap`.
    labels_key
        Column of ``obs`` with the types, in both.
    types
        Types to show, in this order; by default all.
    point_size
        Area of a point of the type in points^2; by default the smaller the more cells there are.
    show, save, return_fig
        As for :func:`umap`.

    Returns
    -------
    The panels' Axes, one a type; the figure with ``return_fig``; nothing if it is shown.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`umap`; and if ``types`` names none or one that neither set has.

    Examples
    --------
    >>> umap_per_type(held_out, synthetic, labels_key="cell_type", types=["CD34+", "CD56+ NK"])  # doctest: +SKIP
    """
    output = Output(show, save, return_fig)
    cells = read_pair(real, synthetic, labels_key, layer, normalized=normalized)
    types = choose_types(types, all_types(cells))
    of = embed(cells, n_neighbors, min_dist, seed)
    everyone = np.vstack(list(of.values()))
    size = size_of(len(everyone), point_size)
    n_rows, n_columns = grid(len(types))
    with output.figure(2.1 * n_columns + 0.2, 2.3 * n_rows + 0.4) as figure:
        axes = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
        for ax in axes[len(types) :]:
            ax.remove()
        for ax, label in zip(axes, types, strict=False):
            scatter(ax, everyone, BACKGROUND, size / 2)
            own = {name: of[name][cells[name].types == label] for name in ORIGINS}
            points_in_turns(ax, {name: (x[:, 0], x[:, 1]) for name, x in own.items()}, size=size)
            panel_title(ax, label, 26)
            ax.set_xlabel(", ".join(f"{len(x):,} {name}" for name, x in own.items()), fontsize="x-small")
        handles = dots(ORIGINS | {"other types of both": BACKGROUND})
        figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize="small")
        return output.finish(axes[: len(types)])
