"""Rare types: are they generated, and recognized by a classifier that knows real cells only?"""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd

TRAINING_CELLS = 30  # a type with fewer is rare
DRAWS = 10  # generated cells for each held-out one, so that a type weighs as much among either


def rare_types(train_labels: pd.Series) -> list[str]:
    """The types with few training cells."""
    cells = train_labels.value_counts()
    return sorted(cells.index[(cells > 0) & (cells < TRAINING_CELLS)])


def rare_labels(parts: dict[str, ad.AnnData], labels_key: str) -> np.ndarray:
    """The rare types to generate, one a cell, in the proportions of the held-out cells; empty where none is rare."""
    held_out = np.concatenate([parts[name].obs[labels_key].to_numpy(dtype=str) for name in ("test", "floor")])
    return np.repeat(np.sort(held_out[np.isin(held_out, rare_types(parts["train"].obs[labels_key]))]), DRAWS)
