"""Counts in 10x's formats."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique
from scipy import sparse
from scipy.io import mmread


def read_mtx(matrix: Path | IO[bytes], genes: Path | IO[bytes], cells: Path | IO[bytes]) -> AnnData:
    """Counts that are kept as a genes x cells Matrix Market file and two lists.

    Parameters
    ----------
    matrix, genes, cells
        Paths (gzipped or not) or open files: the counts; identifiers and symbols of the genes; barcodes of the cells.

    Returns
    -------
    See :func:`to_adata`.

    Raises
    ------
    ValueError
        If the lists are not as long as the matrix has rows and columns, or see :func:`to_adata`.
    """
    features = _read_list(genes)
    barcodes = _read_list(cells)
    counts = mmread(matrix, spmatrix=True)
    if counts.shape != (len(features), len(barcodes)):
        raise ValueError(f"a matrix of {counts.shape} does not fit {len(features)} genes x {len(barcodes)} cells")
    return to_adata(counts.T, cells=barcodes[0], symbols=features[1], gene_ids=features[0])


def to_adata(counts: Any, *, cells: pd.Series, symbols: pd.Series, gene_ids: pd.Series) -> AnnData:
    """Counts and names.

    Returns
    -------
    AnnData
        ``X`` CSR, float32; the genes' symbols, made unique by "-1" and so on, as names; ``var["gene_id"]``.

    Raises
    ------
    ValueError
        If a value is not a whole number of at least 0.
    """
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


def _read_list(file: Path | IO[bytes]) -> pd.DataFrame:
    return pd.read_csv(file, sep="\t", header=None, dtype=str, keep_default_na=False)
