import warnings
from typing import Literal

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix

from ._checks import as_labels, as_pair


def top_markers(log_expression: np.ndarray | csr_matrix, labels: ArrayLike, *, n_markers: int = 5) -> np.ndarray:
    """Genes that mark the types: those with the largest t statistic of each type against all other cells.

    Parameters
    ----------
    log_expression
        Cells x genes, log-normalized.
    labels
        Types, one a cell. A type with one cell has no markers.
    n_markers
        Markers of each type.

    Returns
    -------
    Sorted indices of the genes, each once.

    Raises
    ------
    ValueError
        If the labels are not one a cell, or name fewer than two types.

    Examples
    --------
    >>> expression = np.random.default_rng(0).random((40, 6))
    >>> expression[:20, 2] += 3
    >>> expression[20:, 4] += 3
    >>> top_markers(expression, np.repeat(["B", "T"], 20), n_markers=1).tolist()
    [2, 4]
    """
    markers = markers_of_types(log_expression, labels, n_markers)
    return np.unique([gene for genes in markers.values() for gene in genes]).astype(int)


def markers_of_types(
    log_expression: np.ndarray | csr_matrix, labels: ArrayLike, n_markers: int
) -> dict[str, list[int]]:
    """The markers that :func:`top_markers` gives, best first, of each type with two cells."""
    labels = as_labels("labels", labels, log_expression.shape[0])
    counts = pd.Series(labels.astype(str)).value_counts()
    if len(counts) < 2:
        msg = f"labels name {len(counts)} type(s); markers tell at least two types apart."
        raise ValueError(msg)
    groups = sorted(counts.index[counts >= 2])
    if not groups:
        return {}
    obs = pd.DataFrame({"type": pd.Categorical(labels.astype(str))}, index=np.arange(len(labels)).astype(str))
    adata = AnnData(log_expression, obs=obs)
    with warnings.catch_warnings():
        # Genes without variance divide by zero in the t statistic; scanpy gives them the score 0.
        warnings.simplefilter("ignore", RuntimeWarning)
        # scanpy's table of results, from about 25 types on
        warnings.simplefilter("ignore", pd.errors.PerformanceWarning)
        sc.tl.rank_genes_groups(adata, "type", groups=groups, method="t-test", n_genes=n_markers, use_raw=False)
    names = adata.uns["rank_genes_groups"]["names"]
    return {group: [int(gene) for gene in names[group]] for group in groups}


def pearson(x: np.ndarray) -> np.ndarray:
    """Pearson matrix of the columns; a constant column correlates with nothing (0)."""
    centered = x - x.mean(axis=0)
    norm = np.sqrt((centered**2).sum(axis=0))
    constant = np.ptp(x, axis=0) == 0
    scaled = np.divide(centered, norm, out=np.zeros_like(centered), where=~constant)
    return scaled.T @ scaled


def correlation_discrepancy(
    real: ArrayLike, synthetic: ArrayLike, *, norm: Literal["frobenius", "one"] = "frobenius"
) -> float:
    """How far the gene-gene correlations of synthetic cells are from those of real cells.

    A norm of the difference of the two Pearson matrices. Two finite sets of real cells differ too: a perfect
    generator stands at the floor.

    Parameters
    ----------
    real, synthetic
        Cells x genes, log-normalized; :func:`~activa.metrics.evaluate` gives the :func:`top_markers`. A gene that is
        constant in a set correlates with nothing there (0).
    norm
        ``"frobenius"`` is taken over the upper triangle, so that each pair counts once. ``"one"`` is the ACTIVA
        preprint's 1-norm, read as the induced one (the largest column sum of absolute values of the whole matrix):
        its figures, 1.6 to 4.7, are too small for a sum over a thousand pairs of genes.

    Returns
    -------
    The norm; 0 if the correlations are equal, NaN with fewer than two genes.

    Raises
    ------
    ValueError
        If the sets differ in genes, hold non-finite values, or have fewer than two cells; or ``norm`` is unknown.

    References
    ----------
    Marouf et al. 2020, doi:10.1038/s41467-019-14018-z; Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> real = np.array([[0, 0], [1, 1], [2, 2]])
    >>> round(correlation_discrepancy(real, real * [1, -1]), 6)  # a correlation of 1 became -1
    2.0
    """
    if norm not in ("frobenius", "one"):
        msg = f"norm must be 'frobenius' or 'one', found {norm!r}."
        raise ValueError(msg)
    real, synthetic = as_pair(real, synthetic)
    if real.shape[1] < 2:
        return float("nan")
    difference = pearson(real) - pearson(synthetic)
    # A gene that is constant in one set only is no difference of that gene's correlation with itself.
    np.fill_diagonal(difference, 0)
    if norm == "one":
        return float(np.abs(difference).sum(axis=0).max())
    return float(np.linalg.norm(difference[np.triu_indices_from(difference, k=1)]))
