"""What types and batches each add to log expression, fitted together: where a log-linear generator's offsets start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from activa.model._checks import ROWS

# Counts that a gene's share of all counts counts for beside its counts in a type or batch: what offsets are shrunk by
_SHRINKAGE = 3.0
# Types and batches take turns; where each type is spread over batches alike, once is enough
_MAX_ROUNDS, _TOLERANCE = 50, 1e-3


def count_offsets(
    x: Any, y: np.ndarray, batch: np.ndarray, n_labels: int, n_batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Main effects of a log-linear model of counts, by iterative proportional fitting (Deming and Stephan 1940).

    A gene's counts in the cells of type t and batch b are expected to be N_tb p exp(a_t + b_b): N_tb are all counts of these
    cells, p is the gene's share of all counts. The counts in each type, and those in each batch, are matched.

    Parameters
    ----------
    x
        Cells x genes, sparse, dense or backed.
    y, batch
        Label and batch codes, ``(n_cells,)``.
    n_labels, n_batch
        Labels and batches; those without a cell get zeros.

    Returns
    -------
    Offsets of the labels ``(n_labels, n_genes)`` and of the batches ``(n_batch, n_genes)``.
    """
    of_types, of_batches = np.zeros((n_labels, x.shape[1])), np.zeros((n_batch, x.shape[1]))
    totals = np.zeros((n_labels, n_batch))
    for start in range(0, x.shape[0], ROWS):
        rows = csr_matrix(x[start : start + ROWS], dtype=np.float64)
        types, batches = y[start : start + ROWS], batch[start : start + ROWS]
        of_types += (_indicator(types, n_labels) @ rows).toarray()
        if n_batch > 1:
            of_batches += (_indicator(batches, n_batch) @ rows).toarray()
        np.add.at(totals, (types, batches), np.asarray(rows.sum(axis=1)).ravel())
    counts = of_types.sum(axis=0)

    def offsets(found: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.log((found + _SHRINKAGE) / (weights * counts / counts.sum() + _SHRINKAGE))

    return _in_turns(
        lambda batch_offsets: offsets(of_types, totals @ np.exp(batch_offsets)),
        lambda label_offsets: offsets(of_batches, totals.T @ np.exp(label_offsets)),
        np.zeros_like(of_batches),
    )


def mean_offsets(
    a: csr_matrix, y: np.ndarray, batch: np.ndarray, n_labels: int, n_batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Main effects of types and batches on the mean of real values, by least squares, as :func:`count_offsets`."""
    mean = np.asarray(a.mean(axis=0)).ravel()
    types, batches = _indicator(y, n_labels), _indicator(batch, n_batch)
    of_types, of_batches, n_cells = (
        (part @ other).toarray() for part, other in ((types, a), (batches, a), (types, batches.T))
    )

    def offsets(found: np.ndarray, n: np.ndarray, others: np.ndarray) -> np.ndarray:
        size = n.sum(axis=1, keepdims=True)
        return np.where(size > 0, (found - n @ others) / np.maximum(size, 1) - mean, 0.0)

    return _in_turns(
        lambda batch_offsets: offsets(of_types, n_cells, batch_offsets),
        lambda label_offsets: offsets(of_batches, n_cells.T, label_offsets),
        np.zeros_like(of_batches),
    )


def _in_turns(
    fit_labels: Callable[[np.ndarray], np.ndarray],
    fit_batches: Callable[[np.ndarray], np.ndarray],
    batch_offsets: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit each to the other until they stay as they are; the types to the batches last."""
    label_offsets = fit_labels(batch_offsets)
    for _ in range(_MAX_ROUNDS if len(batch_offsets) > 1 else 0):
        before, batch_offsets = batch_offsets, fit_batches(label_offsets)
        label_offsets = fit_labels(batch_offsets)
        if np.abs(batch_offsets - before).max() < _TOLERANCE:
            break
    return label_offsets, batch_offsets


def _indicator(codes: np.ndarray, n: int) -> csr_matrix:
    """Which cells have each code, ``(n, n_cells)``."""
    return csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(n, len(codes)))
