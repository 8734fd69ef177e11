"""The 700 cells of 68K PBMC that scanpy ships, as counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy import sparse

# scanpy keeps three decimals of each logarithm, so a count of 260 comes back to within 0.13 of a whole number.
_MAX_DEVIATION = 0.25

_SOURCE = (
    "Zheng et al. (2017), Massively parallel digital transcriptional profiling of single cells, "
    "Nature Communications 8:14049, doi:10.1038/ncomms14049; 68K PBMC, donor A. 700 cells and 765 genes as shipped "
    "with scanpy (scanpy.datasets.pbmc68k_reduced), counts recovered from its log-normalized values."
)


def pbmc68k_reduced() -> AnnData:
    r"""700 labeled peripheral blood cells with whole counts, without a download.

    scanpy's copy (:func:`scanpy.datasets.pbmc68k_reduced`) holds :math:`\log(1 + 10^4 c_{ng} / l_n)` for the count
    :math:`c_{ng}` of gene :math:`g` in cell :math:`n` and the cell's total :math:`l_n` over all genes. The smallest
    non-zero value of a cell is a count of 1; exponentiated values divided by it are the counts, up to rounding.

    Returns
    -------
    700 cells x 765 genes. ``X`` holds whole counts (CSR, float32), ``obs["cell_type"]`` the 10 cell types (categorical; 8
    to 240 cells per type), ``uns["source"]`` where the data come from.

    Raises
    ------
    RuntimeError
        If whole counts cannot be recovered, because scanpy's values have changed.

    Examples
    --------
    >>> activa.datasets.pbmc68k_reduced().shape
    (700, 765)
    """
    bundled = sc.datasets.pbmc68k_reduced()
    log_normalized = sparse.csr_matrix(bundled.raw.X)
    log_normalized.sort_indices()
    types = {"cell_type": pd.Categorical(bundled.obs["bulk_labels"])}
    return AnnData(
        X=_whole_counts(log_normalized),
        obs=pd.DataFrame(types, index=bundled.obs_names.rename(None)),
        var=pd.DataFrame(index=bundled.raw.var_names.rename(None)),
        uns={"source": _SOURCE},
    )


def _whole_counts(log_normalized: sparse.csr_matrix) -> sparse.csr_matrix:
    """Undo log1p and the division by the library size; each cell must hold a gene with a count of 1."""
    scaled = np.expm1(log_normalized.data.astype(np.float64))
    of_one_count = np.minimum.reduceat(scaled, log_normalized.indptr[:-1])
    counts = scaled / np.repeat(of_one_count, np.diff(log_normalized.indptr))
    whole = np.rint(counts)
    deviation = np.abs(counts - whole).max()
    if deviation > _MAX_DEVIATION:
        raise RuntimeError(
            f"Whole counts cannot be recovered from scanpy's pbmc68k_reduced: a value is {deviation:.2f} away from a whole "
            f"number, expected at most {_MAX_DEVIATION}. Please report it."
        )
    return sparse.csr_matrix(
        (whole.astype(np.float32), log_normalized.indices, log_normalized.indptr), shape=log_normalized.shape
    )
