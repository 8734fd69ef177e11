"""What the experiments are given: real cells, and one or several sets beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from anndata import AnnData

from activa.data import Cells, check_sets, read_cells, subsample

type Synthetic = AnnData | Mapping[str, AnnData]

REAL = "real"


def read(
    real: AnnData, synthetic: Synthetic, *, labels_key: str | None, layer: str | None, normalized: bool
) -> dict[str, Cells]:
    """Checked sets by name, the real cells first; errors as of :func:`activa.metrics.evaluate`."""
    others = {"synthetic": synthetic} if isinstance(synthetic, AnnData) else synthetic
    if not isinstance(others, Mapping):
        raise TypeError(f"synthetic must be an AnnData, or a mapping of names to them, found {type(others).__name__}.")
    if not others or REAL in others:
        raise ValueError(f"synthetic must name at least one set, and none {REAL!r}; found {list(others)}.")
    sets = {REAL: real} | {str(name): adata for name, adata in others.items()}
    check_sets(sets, labels_key, layer)
    for name, adata in sets.items():
        if not adata.n_obs:
            raise ValueError(f"{name} has no cells.")
    return read_cells(sets, labels_key=labels_key, layer=layer, normalized=normalized)


def same_size(first: Cells, second: Cells, seed: int) -> tuple[Cells, Cells]:
    """Both with as many cells as the smaller has, each type in proportion."""
    rng = np.random.default_rng(seed)
    size = min(len(first), len(second))
    first, second = (cells.take(subsample(len(cells), size, rng, cells.labels)) for cells in (first, second))
    return first, second
