import warnings

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix

from ._checks import as_labels


def _top(
    log_expression: np.ndarray | csr_matrix, labels: np.ndarray, types: list[str], n_markers: int
) -> dict[str, set[str]]:
    """The genes that each type expresses most above all other cells of the set, by the rank-sum test."""
    obs = pd.DataFrame({"type": pd.Categorical(labels)}, index=np.arange(len(labels)).astype(str))
    adata = AnnData(log_expression, obs=obs)
    with warnings.catch_warnings():
        # scanpy's table of results, from about 25 types on
        warnings.simplefilter("ignore", pd.errors.PerformanceWarning)
        sc.tl.rank_genes_groups(adata, "type", groups=types, method="wilcoxon", n_genes=n_markers, use_raw=False)
    names = adata.uns["rank_genes_groups"]["names"]
    return {label: set(names[label]) for label in types}


def marker_overlap(
    real: np.ndarray | csr_matrix,
    real_labels: ArrayLike,
    synthetic: np.ndarray | csr_matrix,
    synthetic_labels: ArrayLike,
    *,
    n_markers: int = 20,
    min_cells: int = 10,
) -> float:
    """Whether differential expression finds the same marker genes in synthetic cells as in real ones.

    Each set's markers of a type are the genes of highest score in a Wilcoxon rank-sum test of the type against all
    other cells of the set (``scanpy.tl.rank_genes_groups``). The figure is the share of them that both sets have, mean
    over types. Two sets of real cells do not agree on all: a perfect generator stands at the floor.

    Parameters
    ----------
    real, synthetic
        Cells x genes, log-normalized, dense or CSR; :func:`~activa.metrics.evaluate` gives all genes.
    real_labels, synthetic_labels
        Types, one a cell.
    n_markers
        Markers of each type.
    min_cells
        Smallest number of cells that a type needs in each set; other types are left out of the mean.

    Returns
    -------
    The mean share, between 0 and 1; NaN where no type has enough cells, or a set is of one type.

    Raises
    ------
    ValueError
        If the sets differ in genes, or the labels are not one a cell.

    Examples
    --------
    >>> expression = np.random.default_rng(0).random((40, 6))
    >>> expression[:20, 2] += 3
    >>> expression[20:, 4] += 3
    >>> types = np.repeat(["B", "T"], 20)
    >>> marker_overlap(expression, types, expression[::-1], types, n_markers=1)  # the types change places
    0.0
    """
    if real.shape[1] != synthetic.shape[1]:
        msg = f"real has {real.shape[1]} genes and synthetic {synthetic.shape[1]}; give the same ones, in one order."
        raise ValueError(msg)
    real_labels = as_labels("real_labels", real_labels, real.shape[0]).astype(str)
    synthetic_labels = as_labels("synthetic_labels", synthetic_labels, synthetic.shape[0]).astype(str)
    cells = pd.DataFrame({"real": pd.Series(real_labels).value_counts()})
    cells["synthetic"] = pd.Series(synthetic_labels).value_counts()
    types = sorted(cells.index[(cells >= max(min_cells, 2)).all(axis=1)])
    if not types or len(np.unique(real_labels)) < 2 or len(np.unique(synthetic_labels)) < 2:
        return float("nan")
    expected = _top(real, real_labels, types, n_markers)
    found = _top(synthetic, synthetic_labels, types, n_markers)
    return float(np.mean([len(expected[label] & found[label]) / len(expected[label]) for label in types]))
