"""Half violins: real cells on one side, synthetic ones on the other."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from scipy.stats import gaussian_kde

from activa.pl._colors import ORIGINS

_SIDES = {"real": -1, "synthetic": 1}


def half_violin(
    ax: Axes,
    at: float,
    values: np.ndarray,
    origin: str,
    *,
    log: bool = False,
    horizontal: bool = False,
) -> None:
    """The density of values to the side of the origin, real or synthetic, of a place, with a line at their median.

    Half as wide as the space between places at its widest. Without spread, or for one cell, there is the line alone.
    """
    if not len(values):
        return
    color, side = ORIGINS[origin], 0.45 * _SIDES[origin]
    if np.ptp(values) > 0:
        scaled = np.log10(values) if log else values.astype(float)
        grid = np.linspace(scaled.min(), scaled.max(), 100)
        density = gaussian_kde(scaled)(grid)
        fill = ax.fill_between if horizontal else ax.fill_betweenx
        fill(10**grid if log else grid, at, at + side * density / density.max(), color=color, alpha=0.8, linewidth=0)
    median = np.median(values)
    across = [at, at + side]
    ax.plot(*(([median] * 2, across) if horizontal else (across, [median] * 2)), color="#000000", lw=1.2)
