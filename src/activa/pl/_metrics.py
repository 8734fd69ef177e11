"""The table of metrics, against the floor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from activa.metrics import METRICS, Metric
from activa.pl._colors import OTHERS, REAL
from activa.pl._finish import Output
from activa.pl._grid import shorten
from activa.pl._legends import legend_above

_STYLES = list(zip([REAL, *OTHERS], "osD^vPX", strict=True))
_COLUMN = 92
"""Points for a generator's numbers."""


def metrics(
    table: pd.DataFrame | Mapping[str, pd.DataFrame],
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | Axes | None:
    r"""Each metric of :func:`activa.metrics.evaluate` against its floor, a dot a generator.

    Metrics have units of their own, so a dot stands at the share of the way from the floor f, where real cells stand, to
    the worst value there can be: 0 is the floor, the vertical line; 100% is as bad as can be. Where the worst w is known,
    as 1 for an area under the curve, the value v stands at :math:`(v - f) / (w - f)`. A distance without an upper end
    stands at :math:`1 - f / v`, 50% for twice the floor, or at :math:`v / f - 1` below it. Squared discrepancies are
    brought to their roots first. Left of the line a generator does better than real cells, by chance or because its cells
    are copies; but a metric with a star is best at the floor, and either side of it is worse. A small line stands where
    the best value is, if that is not the floor. Values are printed, with their floors in brackets.

    Parameters
    ----------
    table
        What :func:`activa.metrics.evaluate` gave; or several of them by the generators' names, up to seven.
    ax, show, save, return_fig
        As for :func:`dropout`.

    Returns
    -------
    The Axes; the figure with ``return_fig``; nothing if it is shown.

    Raises
    ------
    TypeError, ValueError
        If it is no such table, has unknown metrics or none, or there are no or more than seven tables.

    Examples
    --------
    >>> table = activa.metrics.evaluate(held_out, synthetic, labels_key="cell_type")  # doctest: +SKIP
    >>> metrics(table)  # doctest: +SKIP
    >>> metrics({"ACTIVA": table, "scVI": other_table})  # doctest: +SKIP
    """
    output = Output(show, save, return_fig, ax)
    tables = _check(table)
    names = [name for name in METRICS if any(name in of.index for of in tables.values())]
    n_tables = len(tables)
    with output.panel(5.4 + n_tables * _COLUMN / 72, 1.5 + len(names) * (0.2 + 0.1 * n_tables)) as ax:
        for row in range(0, len(names), 2):
            ax.axhspan(row - 0.5, row + 0.5, color="#f2f2f2", zorder=0, linewidth=0)
        ax.axvline(0, color="#000000", lw=1.2, zorder=1)
        for i, (generator, of) in enumerate(tables.items()):
            of = of.loc[[name for name in names if name in of.index]]
            rows = np.array([names.index(name) for name in of.index])
            at = rows + 0.6 * ((i + 0.5) / n_tables - 0.5)
            color, marker = _STYLES[i]
            best = positions(of, "best")
            apart = np.abs(best) > 0
            ax.scatter(best[apart], at[apart], color="#666666", marker="|", s=50, zorder=2)
            ax.scatter(
                positions(of, "value"), at, color=color, marker=marker, s=34, zorder=3, label=shorten(generator, 30)
            )
            _print(ax, i, generator, rows, of)
        ax.set_yticks(range(len(names)), [name + " *" * METRICS[name].two_sided for name in names])
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_xlabel(
            "From the floor (0%) to the worst (100%)\n* best at the floor, worse on either side;  | best elsewhere"
        )
        ax.xaxis.set_major_formatter(PercentFormatter(1))
        ax.tick_params(axis="y", length=0)
        ax.spines[["top", "right", "left"]].set_visible(False)
        if n_tables > 1:
            legend_above(ax, pad=2)
        return output.finish(ax)


def _check(table: pd.DataFrame | Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables by name, or a TypeError or ValueError that says what is wrong with one."""
    tables = dict(table) if isinstance(table, Mapping) else {"value": table}
    if not 1 <= len(tables) <= len(_STYLES):
        raise ValueError(f"table must hold one to {len(_STYLES)} tables, found {len(tables)}.")
    for name, of in tables.items():
        told = f"table[{name!r}]" if isinstance(table, Mapping) else "table"
        if not isinstance(of, pd.DataFrame):
            raise TypeError(f"{told} must be the DataFrame of activa.metrics.evaluate, found {type(of).__name__}.")
        if absent := [column for column in ("value", "floor", "best") if column not in of]:
            raise ValueError(f"{told} lacks {absent}; give that of activa.metrics.evaluate.")
        if unknown := [metric for metric in of.index if metric not in METRICS]:
            raise ValueError(f"{told} has unknown metrics {unknown}; its index must be of {list(METRICS)}.")
        if of.empty or not of.index.is_unique:
            raise ValueError(f"{told} must have one row a metric, found {list(of.index)}.")
    return {str(name): of for name, of in tables.items()}


def positions(table: pd.DataFrame, column: str) -> np.ndarray:
    """Where values stand between the floor (0) and the worst (1); NaN where there is none."""
    rows = zip(table.index, table[column], table["floor"], strict=True)
    return np.array([_position(METRICS[str(name)], float(value), float(floor)) for name, value, floor in rows])


def _position(metric: Metric, value: float, floor: float) -> float:
    worst = metric.worst
    if math.isnan(value) or math.isnan(floor):
        return math.nan
    if metric.squared:
        value, floor, worst = (math.sqrt(max(x, 0)) for x in (value, floor, worst))
    if value == floor:
        return 0.0
    if math.isinf(worst):
        return 1 - floor / value if value > floor else value / floor - 1
    return (value - floor) / (worst - floor) if worst != floor else math.nan


def _print(ax: Axes, i: int, generator: str, rows: np.ndarray, table: pd.DataFrame) -> None:
    """The numbers of a generator, in a column to the right of the panel."""
    style: dict[str, Any] = {
        "textcoords": "offset points",
        "va": "center",
        "fontsize": "x-small",
        "annotation_clip": False,
    }
    left = 10 + i * _COLUMN
    header = shorten(generator, 18) + " (floor)"
    ax.annotate(header, (1, 1), (left, 6), xycoords="axes fraction", **style)
    for row, value, floor in zip(rows, table["value"], table["floor"], strict=True):
        told = "none" if np.isnan(value) else f"{value:.3g} ({floor:.3g})"
        ax.annotate(told, (1, row), (left, 0), xycoords=("axes fraction", "data"), **style)
