"""What every loader does with the counts that it has read: filter, label, split."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from activa.pp._library import filter_low
from activa.seeds import check_seed


def check_split(test_fraction: float, seed: int | None) -> int:
    """The seed of a split, or a fresh one for None.

    Raises
    ------
    TypeError, ValueError
        If the seed is not a non-negative integer, or the fraction is not in [0, 1).
    """
    if not 0 <= test_fraction < 1:
        raise ValueError(f"test_fraction must be at least 0 and below 1, got {test_fraction}.")
    return check_seed(seed)


def prepare(
    adata: AnnData, annotation: pd.DataFrame, *, filtered: bool, test_fraction: float, seed: int, source: str
) -> AnnData:
    """Keep the annotated cells, filter, and add the annotation and the split.

    Parameters
    ----------
    adata
        Cells x genes of counts; not to be used afterwards.
    annotation
        Columns for ``obs``, "cell_type" among them; a row for each cell, by its name. Rows without a type do not count.
    filtered
        Whether to filter by :func:`activa.pp.filter_low`.
    test_fraction, seed
        See :func:`split`.
    source
        Where the data come from, for ``uns``.

    Returns
    -------
    The annotated cells, with the columns of ``annotation`` and "split" in ``obs``, all categorical.

    Raises
    ------
    ValueError
        If no cell is annotated, or a cell is twice.
    """
    annotation = annotation.dropna(subset=["cell_type"])
    annotated = np.asarray(adata.obs_names.isin(annotation.index))
    if not annotated.any():
        raise ValueError("the annotation names no cell of the counts")
    if not annotated.all():
        adata = adata[annotated].copy()
    if filtered:
        filter_low(adata)
    for name, column in annotation.reindex(adata.obs_names).items():
        adata.obs[name] = pd.Categorical(column)
    adata.obs["split"] = split(np.asarray(adata.obs["cell_type"], dtype=str), test_fraction, seed)
    adata.uns["source"] = source
    return adata


def split(cell_types: np.ndarray, test_fraction: float, seed: int) -> pd.Categorical[str]:
    """Either "train" or "test" for each cell: of a type's n cells, the whole part of n x ``test_fraction`` are "test"."""
    rng = np.random.default_rng(seed)
    test = np.zeros(len(cell_types), dtype=bool)
    for cell_type in np.unique(cell_types):
        cells = np.flatnonzero(cell_types == cell_type)
        # 0.29 x 100 is 28.999999999999996
        test[rng.choice(cells, size=int(len(cells) * test_fraction + 1e-9), replace=False)] = True
    return pd.Categorical(np.where(test, "test", "train"), categories=["train", "test"])
