"""Points of real and of synthetic cells in one panel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from activa.pl._colors import MARKERS, ORIGINS

_N_TURNS = 20


def points_in_turns(
    ax: Axes, of: Mapping[str, tuple[np.ndarray, np.ndarray]], *, size: float, alpha: float = 1.0, what: str = ""
) -> None:
    """Points of both sets, given as x and y, some of each at a time, so that neither set covers the other."""
    for turn in range(_N_TURNS):
        for name, (x, y) in of.items():
            ax.scatter(
                x[turn::_N_TURNS],
                y[turn::_N_TURNS],
                s=size,
                color=ORIGINS[name],
                marker=MARKERS[name],
                alpha=alpha,
                linewidths=0,
                rasterized=True,
                label=f"{name} ({len(x):,} {what})" if what and turn == 0 else None,
            )
