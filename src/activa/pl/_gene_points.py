"""A point a gene, for real and for synthetic cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from activa.pl._colours import ORIGINS

_MARKERS = {"real": "o", "synthetic": "^"}
_N_LAYERS = 20


def gene_points(ax: Axes, of: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Points of both sets, given as x and y, drawn in turns so that neither set covers the other."""
    for layer in range(_N_LAYERS):
        for name, (x, y) in of.items():
            label = f"{name} ({len(x):,} genes)" if layer == 0 else None
            part = slice(layer, None, _N_LAYERS)
            style: dict[str, Any] = {"color": ORIGINS[name], "marker": _MARKERS[name], "label": label}
            ax.scatter(x[part], y[part], s=9, alpha=0.6, linewidths=0, rasterized=True, **style)
