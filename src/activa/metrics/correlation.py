"""Marker genes of the types, and how genes correlate with each other."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix

from activa.arguments import check_choices
from activa.metrics.arrays import as_labels, as_pair

Norm = Literal["frobenius", "one"]


def top_markers(log_expression: np.ndarray | csr_matrix, labels: ArrayLike, *, n_markers: int = 5) -> np.ndarray:
    """Marker genes: those with the largest t statistic of each type against all other cells.

    Parameters
    ----------
    log_expression
        Cells x genes, log-normalized.
    labels
        Types, one per cell. A type with a single cell has no markers.
    n_markers
        Number of markers per type.

    Returns
    -------
    Sorted indices of the genes, without repetition.

    Raises
    ------
    ValueError
        If there is not one label per cell, or if there are fewer than two types.

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
    """The markers of :func:`top_markers`, best first, for each type with at least two cells."""
    labels = as_labels("labels", labels, log_expression.shape[0]).astype(str)
    types, n_cells = np.unique(labels, return_counts=True)
    if len(types) < 2:
        raise ValueError(f"labels name {len(types)} type(s); give at least two, which markers can tell apart.")
    return rank_genes(log_expression, labels, types[n_cells >= 2].tolist(), "t-test", n_markers)


def rank_genes(
    log_expression: np.ndarray | csr_matrix,
    labels: np.ndarray,
    types: Sequence[str],
    method: Literal["t-test", "wilcoxon"],
    n_genes: int,
) -> dict[str, list[int]]:
    """Indices of the genes with the highest score of each type against all other cells, best first."""
    if not types:
        return {}
    obs = pd.DataFrame({"type": pd.Categorical(labels)}, index=np.arange(len(labels)).astype(str))
    adata = AnnData(log_expression, obs=obs)
    with warnings.catch_warnings():
        # Genes without variance divide by zero in the t statistic; scanpy gives them the score 0.
        warnings.simplefilter("ignore", RuntimeWarning)
        # scanpy's table of results is fragmented with more than about 25 types.
        warnings.simplefilter("ignore", pd.errors.PerformanceWarning)
        sc.tl.rank_genes_groups(adata, "type", groups=types, method=method, n_genes=n_genes, use_raw=False)
    names = adata.uns["rank_genes_groups"]["names"]
    return {label: [int(gene) for gene in names[label]] for label in types}


def pearson(x: np.ndarray) -> np.ndarray:
    """Pearson matrix of the columns; a constant column has correlation 0 with all others."""
    centered = x - x.mean(axis=0)
    norm = np.sqrt((centered**2).sum(axis=0))
    constant = np.ptp(x, axis=0) == 0
    scaled = np.divide(centered, norm, out=np.zeros_like(centered), where=~constant)
    return scaled.T @ scaled


def correlation_discrepancy(real: ArrayLike, synthetic: ArrayLike, *, norm: Norm = "frobenius") -> float:
    """How far the gene-gene correlations of synthetic cells are from those of real cells.

    A norm of the difference of the two Pearson matrices. Two finite sets of real cells differ too: compare with the
    floor.

    Parameters
    ----------
    real, synthetic
        Cells x genes, log-normalized; :func:`~activa.metrics.evaluate` gives the :func:`top_markers`. A gene that is
        constant in a set has correlation 0 with all others there.
    norm
        ``"frobenius"`` is taken over the upper triangle, so that each pair counts once. ``"one"`` is the 1-norm of the
        ACTIVA preprint, read as the induced norm (the largest column sum of absolute values of the whole matrix): its
        figures, 1.6 to 4.7, are too small for a sum over a thousand pairs of genes.

    Returns
    -------
    The norm; 0 for equal correlations, NaN with fewer than two genes.

    Raises
    ------
    ValueError
        If the sets differ in genes, hold non-finite values or have fewer than two cells; or if ``norm`` is unknown.

    References
    ----------
    Marouf et al. 2020, doi:10.1038/s41467-019-14018-z; Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> real = np.array([[0, 0], [1, 1], [2, 2]])
    >>> round(correlation_discrepancy(real, real * [1, -1]), 6)  # a correlation of 1 became -1
    2.0
    """
    check_choices(norm=(norm, Norm))
    real, synthetic = as_pair(real, synthetic)
    if real.shape[1] < 2:
        return float("nan")
    difference = pearson(real) - pearson(synthetic)
    # A gene that is constant in only one set has a diagonal of 0 there, which is not a difference.
    np.fill_diagonal(difference, 0)
    if norm == "one":
        return float(np.abs(difference).sum(axis=0).max())
    return float(np.linalg.norm(difference[np.triu_indices_from(difference, k=1)]))
