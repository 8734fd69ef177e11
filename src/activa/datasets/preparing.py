"""Counts in 10x's formats, and what each loader does with them: filter, label, split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique
from scipy import sparse
from scipy.io import mmread

from activa.pp import filter_low
from activa.seeds import check_seed


def check_split(test_fraction: float, seed: int | None) -> int:
    """Check the arguments of :func:`split`; return the seed, or a fresh one for None."""
    if not 0 <= test_fraction < 1:
        raise ValueError(f"test_fraction must be at least 0 and below 1, got {test_fraction}.")
    return check_seed(seed)


def read_mtx(matrix: Any, genes: Any, cells: Any) -> AnnData:
    """Counts of a genes x cells Matrix Market file, and lists of genes and cells (paths or open files)."""
    features, barcodes = [
        pd.read_csv(file, sep="\t", header=None, dtype=str, na_filter=False) for file in (genes, cells)
    ]
    counts = mmread(matrix, spmatrix=True)
    if counts.shape != (len(features), len(barcodes)):
        raise ValueError(f"a matrix of {counts.shape} does not fit {len(features)} genes x {len(barcodes)} cells")
    return to_adata(counts.T, cells=barcodes[0], symbols=features[1], gene_ids=features[0])


def to_adata(counts: Any, *, cells: pd.Series, symbols: pd.Series, gene_ids: pd.Series) -> AnnData:
    """Cells x genes, float32 CSR; the names are the symbols, made unique, and ``var["gene_id"]`` the identifiers."""
    counts = sparse.csr_matrix(counts, dtype=np.float32)
    counts.eliminate_zeros()
    counts.sort_indices()
    if (counts.data < 0).any() or (counts.data % 1 != 0).any():
        raise ValueError("the values are not whole counts")
    return AnnData(
        counts,
        obs=pd.DataFrame(index=pd.Index(cells, name=None)),
        var=pd.DataFrame({"gene_id": np.asarray(gene_ids)}, index=make_index_unique(pd.Index(symbols, name=None))),
    )


def prepare(
    adata: AnnData, annotation: pd.DataFrame, *, filtered: bool, test_fraction: float, seed: int, source: str
) -> AnnData:
    """Keep the cells with a type, filter, and add the annotation (one row per cell) and the split to ``obs``.

    ``adata`` may be changed. ``annotation`` has a column "cell_type"; all its columns become categories.
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
    """Either "train" or "test" per cell: of the n cells of a type, the integer part of n x ``test_fraction`` is "test"."""
    rng = np.random.default_rng(seed)
    test = np.zeros(len(cell_types), dtype=bool)
    for cell_type in np.unique(cell_types):
        cells = np.flatnonzero(cell_types == cell_type)
        # 0.29 x 100 is 28.999999999999996
        test[rng.choice(cells, size=int(len(cells) * test_fraction + 1e-9), replace=False)] = True
    return pd.Categorical(np.where(test, "test", "train"), categories=["train", "test"])
