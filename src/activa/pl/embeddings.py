"""Embeddings: one UMAP of both sets, its plots, and the tables of :func:`activa.experiments.manifold`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal, Unpack

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from pandas.api.types import is_numeric_dtype

from activa.data import Cells
from activa.metrics.space import Space
from activa.pl import parts
from activa.pl.output import Output, Panels, Where, documented

_MAX_LEGEND_ROWS = 18


def umap_coordinates(components: np.ndarray, n_neighbors: int, min_dist: float, seed: int) -> np.ndarray:
    """UMAP by scanpy of ``components``, ``(n_cells, n_components)``: ``(n_cells, 2)``."""
    adata = AnnData(components)
    with warnings.catch_warnings():
        # umap-learn on an optional package, on the seed that makes the plot repeatable, and on types that lie far apart
        warnings.filterwarnings("ignore", message="Tensorflow not installed", category=ImportWarning)
        warnings.filterwarnings("ignore", message="n_jobs value", category=UserWarning)
        warnings.filterwarnings("ignore", message="Graph is not fully connected", category=UserWarning)
        # scanpy 1.12 cannot read the neighbors of pynndescent 0.7, its default from 8,192 cells on
        neighbors = {"n_neighbors": min(n_neighbors, len(components) - 1), "transformer": "sklearn"}
        sc.pp.neighbors(adata, use_rep="X", random_state=seed, **neighbors)
        sc.tl.umap(adata, min_dist=min_dist, random_state=seed)
    return np.asarray(adata.obsm["X_umap"])


@documented
def joint_umap(
    real: AnnData,
    synthetic: AnnData,
    *,
    layer: str | None = None,
    normalized: bool = False,
    n_neighbors: int = 15,
    min_dist: float = 0.5,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the real and of the synthetic cells, ``(n_cells, 2)`` each, in one UMAP.

    The UMAP is that of :func:`umap` and :func:`umap_per_type`, for which it is computed once with this function.

    {parameters, sets, layer, normalized, neighbors, errors}

    Examples
    --------
    >>> coordinates = activa.pl.joint_umap(held_out, synthetic)
    >>> pl.umap(held_out, synthetic, coordinates=coordinates)  # doctest: +SKIP
    >>> pl.umap_per_type(held_out, synthetic, labels_key="cell_type", coordinates=coordinates)  # doctest: +SKIP
    """
    cells = parts.read_pair(real, synthetic, None, layer, normalized=normalized)
    return _embed(cells, n_neighbors, min_dist, seed)


def _embed(cells: dict[str, Cells], n_neighbors: int, min_dist: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of each set, ``(n_cells, 2)``, in one UMAP of components fitted on both."""
    n_real, n_synthetic = len(cells["real"]), len(cells["synthetic"])
    if n_real + n_synthetic < 5:
        raise ValueError(f"real and synthetic must have at least 5 cells for a UMAP, got {n_real + n_synthetic}.")
    components = Space(cells["real"], seed).project_together(cells["real"], cells["synthetic"])
    coordinates = umap_coordinates(np.vstack(components), n_neighbors, min_dist, seed)
    return coordinates[:n_real], coordinates[n_real:]


def _checked(coordinates: tuple[np.ndarray, np.ndarray], cells: dict[str, Cells]) -> dict[str, np.ndarray]:
    """Coordinates of each set as they were given, checked."""
    expected = [(len(of), 2) for of in cells.values()]
    given = [np.asarray(of, dtype=float) for of in coordinates]
    if (found := [of.shape for of in given]) != expected:
        raise ValueError(f"coordinates must be arrays of the shapes {expected}, real cells first, got {found}.")
    if not all(np.isfinite(of).all() for of in given):
        raise ValueError("coordinates must be finite, got NaN or infinite values.")
    return dict(zip(cells, given, strict=True))


@documented
def umap(
    real: AnnData,
    synthetic: AnnData,
    *,
    labels_key: str | None = None,
    layer: str | None = None,
    normalized: bool = False,
    n_neighbors: int = 15,
    min_dist: float = 0.5,
    seed: int = 0,
    point_size: float | None = None,
    coordinates: tuple[np.ndarray, np.ndarray] | None = None,
    **where: Unpack[Where],
) -> Panels:
    """Real and synthetic cells in one UMAP.

    The first panel shows both sets by origin; two more show one set each, colored by type (or origin, without
    ``labels_key``), over the other in gray. Colors of types are those of ``uns[f"{labels_key}_colors"]`` in ``real``, else in
    ``synthetic``, else of scanpy's palettes. The embedding is of 50 principal components of log1p of counts scaled to
    10,000, of the 2,000 genes of largest variance in ``real``, fitted on both sets together. Unlike in figure S13 of
    the paper, sets are not integrated, which would hide differences.

    {parameters, sets, labels_key, layer, normalized, embedding, output, errors, reference, example}
    """
    output = Output(**where)
    cells = parts.read_pair(real, synthetic, labels_key, layer, normalized=normalized)
    of = _checked(_embed(cells, n_neighbors, min_dist, seed) if coordinates is None else coordinates, cells)
    size = parts.point_area(sum(map(len, of.values())), point_size)
    colors = {} if labels_key is None else parts.type_colors(parts.all_types(cells), labels_key, real, synthetic)
    columns = -(-len(colors) // _MAX_LEGEND_ROWS)
    with output.figure(12.5 + 1.8 * columns, 4.4) as figure:
        axes = list(figure.subplots(1, 3))
        for ax, (name, other) in zip(axes[1:], (("real", "synthetic"), ("synthetic", "real")), strict=True):
            parts.scatter_cells(ax, of[other], parts.BACKGROUND, size)
            labels = cells[name].labels
            color = parts.ORIGINS[name] if labels is None else pd.Series(labels).map(colors).to_numpy()
            parts.scatter_cells(ax, of[name], color, size)
            ax.set_title(f"{name.capitalize()} ({len(of[name]):,} cells)")
        axes[0].set(xticks=[], yticks=[], box_aspect=1)
        parts.points_in_turns(axes[0], {name: (x[:, 0], x[:, 1]) for name, x in of.items()}, size=size)
        parts.legend_above(axes[0], handles=parts.dots(parts.ORIGINS))
        for ax in axes:
            ax.set(xlabel="UMAP1", ylabel="UMAP2")
        if colors:
            style: dict[str, Any] = {"frameon": False, "fontsize": "small", "handletextpad": 0.3}
            figure.legend(handles=parts.dots(colors), loc="outside right center", ncols=columns, **style)
        return output.finish(axes)


@documented
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
    seed: int = 0,
    point_size: float | None = None,
    coordinates: tuple[np.ndarray, np.ndarray] | None = None,
    **where: Unpack[Where],
) -> Panels:
    """Real and synthetic cells of each type in one UMAP, that of :func:`umap`, one panel per type.

    The cells of the type have the colors of their origin; all cells of both sets are gray.

    {parameters, sets, labels_key}
    types
        Types to show, in this order. None: all.
    {layer, normalized, embedding, output, errors, example}
    """
    output = Output(**where)
    cells = parts.read_pair(real, synthetic, labels_key, layer, normalized=normalized)
    known = parts.all_types(cells)
    types = known if types is None else [types] if isinstance(types, str) else [str(label) for label in types]
    if not types:
        raise ValueError("types must name at least one type, got none.")
    if unknown := [label for label in types if label not in known]:
        raise ValueError(f"types must be in real or synthetic, got {unknown}: choose from {known}.")
    of = _checked(_embed(cells, n_neighbors, min_dist, seed) if coordinates is None else coordinates, cells)
    everyone = np.vstack(list(of.values()))
    size = parts.point_area(len(everyone), point_size)
    n_rows, n_columns = parts.grid(len(types))
    with output.figure(2.1 * n_columns + 0.2, 2.55 * n_rows + 0.4) as figure:
        figure.set_layout_engine("constrained", h_pad=0.14)  # the counts below a panel are not those of the next row
        axes = parts.panels(figure, len(types), n_rows, n_columns)
        for ax, label in zip(axes, types, strict=True):
            parts.scatter_cells(ax, everyone, parts.BACKGROUND, size / 2)
            own = {name: of[name][cells[name].types == label] for name in parts.ORIGINS}
            parts.points_in_turns(ax, {name: (x[:, 0], x[:, 1]) for name, x in own.items()}, size=size)
            parts.panel_title(ax, label, 26)
            ax.set_xlabel(", ".join(f"{len(x):,} {name}" for name, x in own.items()), fontsize="x-small")
        handles = parts.dots(parts.ORIGINS | {"other types of both": parts.BACKGROUND})
        figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize="small")
        return output.finish(axes)


@documented
def manifold(
    table: pd.DataFrame,
    *,
    basis: Literal["UMAP", "tSNE"] = "UMAP",
    color: str | None = None,
    highlight: str | None = None,
    point_size: float | None = None,
    **where: Unpack[Where],
) -> Panels:
    """Real and generated cells of one embedding.

    Without ``color`` and ``highlight``, each set has a panel with the real cells, and histograms of both along its
    sides (figures S12 to S14 of the paper).

    Parameters
    ----------
    table, basis
        The table of :func:`activa.experiments.manifold`, and its embedding to show. A TypeError or ValueError if it is
        not such a table, or lacks what another argument names.
    color, highlight
        Column of numbers, such as the expression of a gene, to color one panel per set by, on one scale; or a type to
        mark in one panel per set, over the other types in gray.
    {point_size, output, reference, table_example}
    """
    output = Output(**where)
    if basis not in ("UMAP", "tSNE"):
        raise ValueError(f"basis must be 'UMAP' or 'tSNE', got {basis!r}.")
    axis_names = f"{basis}1", f"{basis}2"
    parts.check_table(table, "manifold", ("set", *axis_names))
    if color is not None and highlight is not None:
        raise ValueError(f"Give color or highlight, got both ({color!r} and {highlight!r}).")
    if color is not None and (color not in table or not is_numeric_dtype(table[color])):
        raise ValueError(f"color must be a column of numbers, got {color!r}; the table has {list(table.columns)}.")
    if highlight is not None and ("type" not in table or not (table["type"] == highlight).any()):
        raise ValueError(f"highlight must be a type of the table (made with labels_key), got {highlight!r}.")
    size = parts.point_area(len(table), point_size)
    if color is None and highlight is None:
        return _beside_real(table, axis_names, size, output)

    colors = parts.set_colors(table)
    # square parts.panels, with room for titles, labels and a color bar
    with output.figure(3.6 * len(colors) + 0.8 * (color is not None), 4.2) as figure:
        axes = list(figure.subplots(1, len(colors), squeeze=False, sharex=True, sharey=True)[0])
        for ax, (name, set_color) in zip(axes, colors.items(), strict=True):
            cells = table[table["set"] == name]
            ax.set(xlabel=axis_names[0], ylabel=axis_names[1])
            if color is not None:
                cells = cells.sort_values(color)  # the highest values in front
                scale: dict[str, Any] = {"cmap": "viridis", "vmin": 0, "vmax": table[color].max()}
                points = parts.scatter_cells(ax, cells[[*axis_names]].to_numpy(), cells[color], size, **scale)
                ax.set_title(name, fontsize="medium")
            else:
                marked = cells["type"] == highlight
                parts.scatter_cells(ax, cells.loc[~marked, [*axis_names]].to_numpy(), parts.BACKGROUND, size)
                parts.scatter_cells(ax, cells.loc[marked, [*axis_names]].to_numpy(), set_color, 3 * size)
                ax.set_title(f"{name}: {highlight} ({marked.sum():,} of {len(cells):,})", fontsize="medium")
        if color is not None:
            figure.colorbar(points, ax=axes, shrink=0.7, label=color)
        return output.finish(axes)


def _beside_real(table: pd.DataFrame, axis_names: tuple[str, str], size: float, output: Output) -> Panels:
    """One panel for each other set, with the real cells and marginal histograms."""
    colors = parts.set_colors(table)
    others = [name for name in colors if name != "real"]
    main = []
    with output.figure(4.6 * len(others), 4.8) as figure:
        for part, name in zip(figure.subfigures(1, len(others), squeeze=False)[0], others, strict=True):
            shape: dict[str, Any] = {"width_ratios": (4, 1), "height_ratios": (1, 4), "sharex": "col", "sharey": "row"}
            (above, corner), (ax, beside) = part.subplots(2, 2, **shape)
            both = {key: table[table["set"] == key] for key in ("real", name) if key in colors}
            shown = pd.concat(both.values()).sample(frac=1, random_state=0)  # neither covers the other
            ax.set(xlabel=axis_names[0], ylabel=axis_names[1])
            parts.scatter_cells(ax, shown[[*axis_names]].to_numpy(), shown["set"].map(colors), size)
            for key, cells in both.items():
                style: dict[str, Any] = {"color": colors[key], "histtype": "stepfilled", "alpha": 0.5, "density": True}
                style["label"] = f"{key} ({len(cells):,} cells)"
                for side, axis, lie in ((above, axis_names[0], "vertical"), (beside, axis_names[1], "horizontal")):
                    side.hist(cells[axis], np.histogram_bin_edges(table[axis], 50), orientation=lie, **style)
            main.append(ax)
            for side in (above, corner, beside):
                side.set_axis_off()
            part.legend(*above.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
        return output.finish(main)
