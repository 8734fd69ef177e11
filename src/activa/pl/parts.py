"""Parts of which plots are made: the cells and tables they read, colors, legends, rows, violins and points."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection
from matplotlib.colors import is_color_like, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator
from scipy.sparse import csr_matrix
from scipy.stats import gaussian_kde

from activa.data import Cells, check_sets, read_cells
from activa.metrics.evaluation import as_generators

BACKGROUND = "#dddddd"
MAX_GENERATORS = 6
# Okabe and Ito 2008, safe for the color-blind, without the yellow, which is too pale for lines
REAL = "#0072b2"
OTHERS = ["#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#000000"]
ORIGINS = {"real": REAL, "synthetic": OTHERS[0]}
MARKERS = {"real": "o", "synthetic": "^"}
_KEPT_FREE = {BACKGROUND: 0.3, REAL: 0.2, OTHERS[0]: 0.2}
_SIDES = {"real": -1, "synthetic": 1}
_N_TURNS = 20
_N_DENSITY = 10  # values from which on a density is drawn


def read_pair(
    real: AnnData, synthetic: AnnData, labels_key: str | None, layer: str | None, *, normalized: bool = False
) -> dict[str, Cells]:
    """Both sets, checked, with the genes in the order of ``real``."""
    sets = {"real": real, "synthetic": synthetic}
    check_sets(sets, labels_key, layer)
    return read_cells(sets, labels_key=labels_key, layer=layer, normalized=normalized)


def read_sets(
    real: AnnData,
    synthetic: AnnData | Mapping[str, AnnData],
    labels_key: str | None,
    layer: str | None,
    *,
    normalized: bool = False,
) -> dict[str, Cells]:
    """The real cells and those of one or several generators, checked, with the genes in the order of ``real``."""
    generators = as_generators(synthetic)
    if len(generators) > MAX_GENERATORS:
        raise ValueError(f"synthetic must name at most {MAX_GENERATORS} generators, got {len(generators)}.")
    sets = {"real": real} | generators
    check_sets(sets, labels_key, layer)
    return read_cells(sets, labels_key=labels_key, layer=layer, normalized=normalized)


def origin_styles(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Color and marker of the real cells and of each generator."""
    others = iter(zip(OTHERS, "^sDvPX", strict=True))
    return {name: (REAL, "o") if name == "real" else next(others) for name in names}


def count_matrices(
    real: AnnData, synthetic: AnnData | Mapping[str, AnnData], layer: str | None
) -> dict[str, csr_matrix]:
    """Counts of all sets, checked, with the genes in the order of ``real``."""
    matrices = {name: csr_matrix(cells.counts) for name, cells in read_sets(real, synthetic, None, layer).items()}
    for name, counts in matrices.items():
        check_any(name, counts.data)
    return matrices


def check_any(name: str, numbers: np.ndarray) -> None:
    """Raise a ValueError if all numbers of a set are zero."""
    if not numbers.any():
        raise ValueError(f"{name} has no counts, got zeros only: give cells with counts.")


def all_types(cells: Mapping[str, Cells]) -> list[str]:
    """The types of all sets, sorted."""
    return sorted({label for of in cells.values() for label in of.types})


def check_table(table: pd.DataFrame, experiment: str, columns: Iterable[str]) -> None:
    """Raise a TypeError or ValueError unless this is a table of the experiment."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"table must be the DataFrame of activa.experiments.{experiment}, got {type(table).__name__}.")
    if absent := [column for column in columns if column not in table]:
        raise ValueError(f"table lacks {absent}: give the table of activa.experiments.{experiment}.")
    if table.empty:
        raise ValueError(f"table has no rows: give a full table of activa.experiments.{experiment}.")


def set_colors(table: pd.DataFrame) -> dict[str, str]:
    """A color for each set of a table, in its order; real cells have their own color."""
    names = [name for name in table["set"].unique() if name != "real"]
    colors = {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(names)}
    return ({"real": REAL} if (table["set"] == "real").any() else {}) | colors


def type_colors(types: Iterable[str], labels_key: str, real: AnnData, synthetic: AnnData) -> dict[str, str]:
    """A color for each type: from ``uns`` of ``real``, else from ``uns`` of ``synthetic``, else from scanpy's palettes."""
    own = _own_colors(real, labels_key) or _own_colors(synthetic, labels_key)
    types = sorted(types)
    fresh = [label for label in types if label not in own]
    for palette in (sc.pl.palettes.vega_20_scanpy, sc.pl.palettes.zeileis_28, sc.pl.palettes.godsnot_102):
        # pale colors would be taken for the background, others for an origin
        distinct = [c for c in palette if all(math.dist(to_rgb(c), to_rgb(far)) > at for far, at in _KEPT_FREE.items())]
        colors = [c for c in distinct if to_hex(c) not in own.values()]
        if len(colors) >= len(fresh):
            break
    chosen = own | {label: colors[i % len(colors)] for i, label in enumerate(fresh)}
    return {label: chosen[label] for label in types}


def _own_colors(adata: AnnData, labels_key: str) -> dict[str, str]:
    """Colors that scanpy keeps in ``uns`` for these types; empty if they do not fit."""
    labels, colors = adata.obs[labels_key], adata.uns.get(f"{labels_key}_colors")
    if not isinstance(labels.dtype, pd.CategoricalDtype) or colors is None or isinstance(colors, str):
        return {}
    categories = labels.cat.categories.astype(str)
    if len(colors) < len(categories) or not all(is_color_like(color) for color in colors):
        return {}
    return {label: to_hex(color) for label, color in zip(categories, colors, strict=False)}


def dots(colors: Mapping[str, str]) -> list[Line2D]:
    """Legend handles: a dot for each name."""
    style: Any = {"linestyle": ""}
    return [Line2D([], [], marker=MARKERS.get(k, "o"), color=color, label=k, **style) for k, color in colors.items()]


def legend_above(
    ax: Axes, n_columns: int = 2, *, handles: Sequence[Any] | None = None, title: str = "", pad: float = 0.5
) -> None:
    """A legend above the panel, ``pad`` letter heights away, where it covers nothing."""
    style: dict[str, Any] = {"frameon": False, "fontsize": "small", "title": title, "borderaxespad": pad}
    style |= {} if handles is None else {"handles": handles}
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=n_columns, **style)


def open_frame(ax: Axes, *more: str) -> None:
    """Hide the top and right spines, and more."""
    ax.spines[["top", "right", *more]].set_visible(False)


def grid(n_panels: int, max_columns: int = 8) -> tuple[int, int]:
    """Rows and columns of panels: one row for up to five, else at least as wide as high, with rows of like length."""
    n_columns = n_panels if n_panels <= 5 else min(math.ceil(math.sqrt(1.6 * n_panels)), max_columns)
    n_rows = math.ceil(n_panels / n_columns)
    return n_rows, math.ceil(n_panels / n_rows)


def panels(figure: Figure, n_panels: int, n_rows: int, n_columns: int) -> list[Axes]:
    """The first Axes of a grid; the others are removed."""
    axes = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    for ax in axes[n_panels:]:
        ax.remove()
    return axes[:n_panels]


def shorten(text: str, width: int) -> str:
    """The text, cut to ``width`` characters."""
    return text if len(text) <= width else f"{text[: width - 3]}..."


def panel_title(ax: Axes, title: str, width: int) -> None:
    """Title of a small panel, up to two lines of ``width`` characters."""
    lines = textwrap.wrap(title, width, max_lines=2, placeholder=" ...")
    ax.set_title("\n".join(lines), fontsize="small")


def name_rows(ax: Axes, names: Sequence[str], *, pad: float = 0.5, striped: bool = False) -> None:
    """Name the rows from the top; stripes help to follow a row from its name to its points."""
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", length=0)
    for row in range(0, len(names), 2) if striped else ():
        ax.axhspan(row - 0.5, row + 0.5, color="#f2f2f2", zorder=0, linewidth=0)
    ax.set_ylim(len(names) - 1 + pad, -pad)


def log_ticks(axis: Axis, shown: np.ndarray) -> None:
    """A logarithmic axis with a few plain numbers, even if it is short."""
    lowest, highest = shown.min(), shown.max()
    decades = 10.0 ** np.arange(np.floor(np.log10(lowest)), np.ceil(np.log10(highest)) + 1)
    for steps in ([1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7]):
        ticks = np.outer(decades, steps).ravel()
        ticks = ticks[(ticks >= lowest) & (ticks <= highest)]
        if len(ticks) >= 3:
            break
    else:
        ticks = np.asarray(MaxNLocator(3).tick_values(lowest, highest))
        ticks = ticks[ticks > 0]
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})  # type: ignore[attr-defined]
    axis.set_ticks(ticks, [f"{tick:,.10g}" for tick in ticks])
    axis.set_minor_locator(NullLocator())


def offset(i: int, n: int, width: float) -> float:
    """Where the ``i``-th of ``n`` marks beside each other stands from their middle."""
    return ((i + 0.5) / n - 0.5) * width


def write_shares(ax: Axes, shares: np.ndarray, style: str, *, least: float = 0.0, fontsize: str) -> None:
    """Write the finite shares from ``least`` on into the fields of a heat map (0 is dark, 1 is bright)."""
    for (row, column), share in np.ndenumerate(shares):
        if share >= least:
            color = "#000000" if share > 0.45 else "#ffffff"
            ax.text(column, row, f"{share:{style}}", ha="center", va="center", color=color, fontsize=fontsize)


def half_violin(
    ax: Axes, at: float, values: np.ndarray, origin: str, *, log: bool = False, horizontal: bool = False
) -> None:
    """Density (or, of fewer than ten values, points) on the origin's side of ``at``, and a line at the median."""
    if not len(values):
        return
    color, side = ORIGINS[origin], 0.45 * _SIDES[origin]
    if len(values) < _N_DENSITY:
        x, y = np.full(len(values), at + side / 2), values
        x, y = (y, x) if horizontal else (x, y)
        ax.scatter(x, y, s=9, color=color, marker=MARKERS[origin], linewidths=0)
    elif np.ptp(values) > 0:
        scaled = np.log10(values) if log else values.astype(float)
        grid = np.linspace(scaled.min(), scaled.max(), 100)
        density = gaussian_kde(scaled)(grid)
        fill = ax.fill_between if horizontal else ax.fill_betweenx
        fill(10**grid if log else grid, at, at + side * density / density.max(), color=color, alpha=0.8, linewidth=0)
    median, across = [np.median(values)] * 2, [at, at + side]
    ax.plot(*((median, across) if horizontal else (across, median)), color="#000000", lw=1.2)


def point_area(n_cells: int, point_size: float | None) -> float:
    """Area of a point in points^2: as given, or the smaller the more cells."""
    return float(np.clip(12_000 / n_cells, 1, 12)) if point_size is None else point_size


def scatter_cells(ax: Axes, coordinates: np.ndarray, color: Any, size: float, **style: Any) -> PathCollection:
    """Cells of an embedding, in a square without ticks."""
    ax.set(xticks=[], yticks=[], box_aspect=1)
    return ax.scatter(coordinates[:, 0], coordinates[:, 1], c=color, s=size, linewidths=0, rasterized=True, **style)


def points_in_turns(
    ax: Axes, of: Mapping[str, tuple[np.ndarray, np.ndarray]], *, size: float, alpha: float = 1.0, what: str = ""
) -> None:
    """Points (x, y) of all sets, some of each at a time, so that no set covers another."""
    styles = origin_styles(of)
    for turn in range(_N_TURNS):
        for name, (x, y) in of.items():
            label = f"{shorten(name, 30)} ({len(x):,} {what})" if what and turn == 0 else None
            style: dict[str, Any] = {"color": styles[name][0], "marker": styles[name][1], "linewidths": 0}
            part = slice(turn, None, _N_TURNS)
            ax.scatter(x[part], y[part], s=size, alpha=alpha, label=label, rasterized=True, **style)
