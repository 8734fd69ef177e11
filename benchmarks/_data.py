"""One split for every method: train, test and floor cells, by type."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

FRACTIONS = {"train": 0.6, "test": 0.2, "floor": 0.2}


def split(path: Path, labels_key: str, seed: int) -> dict[str, ad.AnnData]:
    """Read cells and split them 60/20/20 within each type (a string); genes that no training cell has are dropped."""
    adata = ad.read_h5ad(path)
    adata.obs[labels_key] = adata.obs[labels_key].astype("category").cat.rename_categories(str)
    part = assign_parts(adata.obs[labels_key], seed)
    parts = {name: adata[part == name] for name in FRACTIONS}
    genes = np.asarray((parts["train"].X > 0).sum(axis=0)).ravel() > 0
    return {name: cells[:, genes].copy() for name, cells in parts.items()}


def assign_parts(labels: pd.Series, seed: int, fractions: dict[str, float] = FRACTIONS) -> np.ndarray:
    """Which part each cell belongs to."""
    rng = np.random.default_rng(seed)
    part = np.empty(len(labels), dtype=object)
    for label in labels.unique():
        cells = rng.permutation(np.flatnonzero(labels == label))
        cuts = np.round(np.cumsum(list(fractions.values()))[:-1] * len(cells)).astype(int)
        for name, chosen in zip(fractions, np.split(cells, cuts), strict=True):
            part[chosen] = name
    return part
