"""A number of each cell, as histograms or as violins by type."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullLocator

from activa.data import Cells
from activa.pl._colors import ORIGINS
from activa.pl._finish import Output
from activa.pl._legends import legend_above
from activa.pl._pair import all_types
from activa.pl._violin import half_violin


def distribution(
    cells: dict[str, Cells], numbers: dict[str, np.ndarray], what: str, output: Output
) -> Figure | Axes | None:
    """Draw the positive numbers of both sets on a logarithmic axis, by type where the cells have types."""
    for name, x in numbers.items():
        if not (x > 0).any():
            raise ValueError(f"{name} has no counts; there is nothing to plot.")
    types = [] if cells["real"].labels is None else all_types(cells)
    width = 4.4 + 0.08 * max(map(len, types)) if types else 5.6
    with output.panel(width, 0.32 * max(len(types), 3) + 1.2 if types else 3.8) as ax:
        if types:
            _violins(ax, cells, numbers, types)
        else:
            _histograms(ax, numbers)
        _log_ticks(ax, np.concatenate([x[x > 0] for x in numbers.values()]))
        ax.set_xlabel(what)
        ax.spines[["top", "right"]].set_visible(False)
        names = {"real": "real, above", "synthetic": "synthetic, below"}
        handles = [Patch(color=ORIGINS[name], label=_told(names[name], x)) for name, x in numbers.items()]
        legend_above(ax, 1, handles=handles if types else None)
        return output.finish(ax)


def _told(name: str, numbers: np.ndarray) -> str:
    """A legend's entry, which owns to the cells that a logarithmic axis has no place for."""
    n_empty = int((numbers == 0).sum())
    return f"{name} ({len(numbers):,} cells{f', {n_empty:,} empty ones not shown' if n_empty else ''})"


def _histograms(ax: Axes, numbers: dict[str, np.ndarray]) -> None:
    shown = np.concatenate([x[x > 0] for x in numbers.values()])
    # one bin where all cells are alike
    edges = list(np.geomspace(shown.min() * 0.999, shown.max() * 1.001, 41))
    for name, x in numbers.items():
        style: dict[str, Any] = (
            {"histtype": "stepfilled", "alpha": 0.5} if name == "real" else {"histtype": "step", "lw": 1.8}
        )
        weights = np.full((x > 0).sum(), 1 / len(x))
        ax.hist(x[x > 0], edges, weights=weights, color=ORIGINS[name], label=_told(name, x), **style)
    ax.set_ylabel("Share of cells")


def _violins(ax: Axes, cells: dict[str, Cells], numbers: dict[str, np.ndarray], types: list[str]) -> None:
    for row, label in enumerate(types):
        for name in ORIGINS:
            x = numbers[name][cells[name].types == label]
            half_violin(ax, row, x[x > 0], name, log=True, horizontal=True)
    ax.set_yticks(range(len(types)), types)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(types) - 0.4, -0.6)


def _log_ticks(ax: Axes, shown: np.ndarray) -> None:
    """A logarithmic axis with a few plain numbers, however short it is."""
    ax.set_xscale("log")
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
    ax.set_xticks(ticks, [f"{tick:,.10g}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
