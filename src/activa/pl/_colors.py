"""Colors of origins and of types, the same in every plot."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd
import scanpy as sc
from anndata import AnnData
from matplotlib.colors import is_color_like, to_hex, to_rgb
from matplotlib.lines import Line2D

BACKGROUND = "#dddddd"
# Okabe and Ito 2008, which the color-blind tell apart, without the yellow, which is too pale for lines.
REAL = "#0072b2"
OTHERS = ["#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#000000"]
ORIGINS = {"real": REAL, "synthetic": OTHERS[0]}
MARKERS = {"real": "o", "synthetic": "^"}


def _own_colors(adata: AnnData, labels_key: str) -> dict[str, str]:
    """The colors that scanpy has kept with these types, none if they do not fit."""
    labels, colors = adata.obs[labels_key], adata.uns.get(f"{labels_key}_colors")
    if not isinstance(labels.dtype, pd.CategoricalDtype) or colors is None or isinstance(colors, str):
        return {}
    categories = labels.cat.categories.astype(str)
    if len(colors) < len(categories) or not all(is_color_like(color) for color in colors):
        return {}
    return {label: to_hex(color) for label, color in zip(categories, colors, strict=False)}


def type_colors(types: Iterable[str], labels_key: str, real: AnnData, synthetic: AnnData) -> dict[str, str]:
    """A color for each type: the AnnData's own, those of ``real`` first, or scanpy's palettes'."""
    own = _own_colors(real, labels_key) or _own_colors(synthetic, labels_key)
    types = sorted(types)
    fresh = [label for label in types if label not in own]
    palettes = (sc.pl.palettes.vega_20_scanpy, sc.pl.palettes.zeileis_28, sc.pl.palettes.godsnot_102)
    # Pale colors would be taken for the background.
    distinct = [
        [c for c in palette if math.dist(to_rgb(c), to_rgb(BACKGROUND)) > 0.3 and to_hex(c) not in own.values()]
        for palette in palettes
    ]
    colors = next((colors for colors in distinct if len(colors) >= len(fresh)), distinct[-1])
    chosen = own | {label: colors[i % len(colors)] for i, label in enumerate(fresh)}
    return {label: chosen[label] for label in types}


def dots(colors: dict[str, str]) -> list[Line2D]:
    """A legend's handles: a dot for each name."""
    return [
        Line2D([], [], marker=MARKERS.get(label, "o"), linestyle="", color=c, label=label)
        for label, c in colors.items()
    ]
