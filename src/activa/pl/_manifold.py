"""Embeddings with marginal histograms, by a gene or with one type marked."""

from __future__ import annotations

from os import PathLike
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from pandas.api.types import is_numeric_dtype

from activa.pl._colors import BACKGROUND
from activa.pl._finish import Output
from activa.pl._tables import check_table, set_colors


def manifold(
    table: pd.DataFrame,
    *,
    basis: Literal["UMAP", "tSNE"] = "UMAP",
    color: str | None = None,
    highlight: str | None = None,
    point_size: float | None = None,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | list[Axes] | None:
    """Real and generated cells of one embedding.

    Without ``color`` and ``highlight`` there is one panel for each set beside real cells, with histograms of both along its
    sides.

    Parameters
    ----------
    table
        What :func:`activa.experiments.manifold` gave.
    basis
        Which embedding.
    color
        Column with numbers, such as a gene's expression: a panel a set is then drawn in its colors, all on one scale.
    highlight
        Type to mark: a panel a set is then drawn, with the other types in gray.
    point_size
        Area of a point in points^2; by default the smaller the more cells there are.
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
        If it is no such table, ``basis`` is unknown, ``color`` is no column of numbers, ``highlight`` is no type, or both
        are given.

    References
    ----------
    Figures S12 to S14 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> manifold(table, basis="tSNE", highlight="Megakaryocyte")
    """
    output = Output(show, save, return_fig)
    if basis not in ("UMAP", "tSNE"):
        raise ValueError(f"basis must be 'UMAP' or 'tSNE', got {basis!r}.")
    check_table(table, "manifold", ("set", f"{basis}1", f"{basis}2"))
    if color is not None and highlight is not None:
        raise ValueError("Give color or highlight, not both.")
    if color is not None and (color not in table or not is_numeric_dtype(table[color])):
        raise ValueError(f"color={color!r} is no column of numbers of the table, which has {list(table.columns)}.")
    if highlight is not None and ("type" not in table or not (table["type"] == highlight).any()):
        raise ValueError(f"highlight={highlight!r} is not a type of the table (made with labels_key=).")
    size = float(np.clip(12_000 / len(table), 1, 12)) if point_size is None else point_size
    if color is None and highlight is None:
        return _beside_real(table, basis, size, output)

    colors = set_colors(table)
    # square panels: room for their titles and labels, and for a color bar
    with output.figure(3.6 * len(colors) + 0.8 * (color is not None), 4.2) as figure:
        axes = figure.subplots(1, len(colors), squeeze=False, sharex=True, sharey=True)[0]
        for ax, (name, color) in zip(axes, colors.items(), strict=True):
            cells = table[table["set"] == name]
            if color is not None:
                # cells with most of it in front
                cells = cells.sort_values(color)
                top = table[color].max()
                points = _scatter(ax, cells, basis, size, c=cells[color], cmap="viridis", vmin=0, vmax=top)
                ax.set_title(name, fontsize="medium")
            else:
                marked = cells["type"] == highlight
                _scatter(ax, cells[~marked], basis, size, c=BACKGROUND)
                _scatter(ax, cells[marked], basis, 3 * size, c=color)
                ax.set_title(f"{name}: {highlight} ({marked.sum():,} of {len(cells):,})", fontsize="medium")
        if color is not None:
            figure.colorbar(points, ax=axes, shrink=0.7, label=color)
        return output.finish(list(axes))


def _scatter(ax: Axes, cells: pd.DataFrame, basis: str, size: float, **colors: Any) -> PathCollection:
    ax.set(xticks=[], yticks=[], xlabel=f"{basis}1", ylabel=f"{basis}2", box_aspect=1)
    return ax.scatter(cells[f"{basis}1"], cells[f"{basis}2"], s=size, linewidths=0, rasterized=True, **colors)


def _beside_real(table: pd.DataFrame, basis: str, size: float, output: Output) -> Figure | list[Axes] | None:
    """A panel for each other set, over the real cells, with marginal histograms."""
    colors = set_colors(table)
    others = [name for name in colors if name != "real"]
    panels = []
    with output.figure(4.6 * len(others), 4.8) as figure:
        for part, name in zip(figure.subfigures(1, len(others), squeeze=False)[0], others, strict=True):
            axes = part.subplots(2, 2, width_ratios=(4, 1), height_ratios=(1, 4), sharex="col", sharey="row")
            axes[0, 1].set_axis_off()
            both = {key: table[table["set"] == key] for key in ("real", name) if key in colors}
            shown = pd.concat(both.values()).sample(frac=1, random_state=0)  # neither covers the other
            _scatter(axes[1, 0], shown, basis, size, c=shown["set"].map(colors))
            for key, cells in both.items():
                style: dict[str, Any] = {"color": colors[key], "histtype": "stepfilled", "alpha": 0.5, "density": True}
                for ax, axis, lie in ((axes[0, 0], 1, "vertical"), (axes[1, 1], 2, "horizontal")):
                    edges = np.histogram_bin_edges(table[f"{basis}{axis}"], 50)
                    ax.hist(
                        cells[f"{basis}{axis}"], edges, orientation=lie, label=f"{key} ({len(cells):,} cells)", **style
                    )
            panels.append(axes[1, 0])
            for ax in (axes[0, 0], axes[1, 1]):
                ax.set_axis_off()
            part.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
        return output.finish(panels)
