"""Effects of types and batches on log expression, fitted together, from which the generator's offsets start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from activa.checks import row_slices

# Pseudo-count that shrinks the offset of a type or batch towards the gene's share of all counts
_SHRINKAGE = 3.0
# Types and batches are fitted in turns; one round suffices if every type has the same proportions in all batches
_MAX_ROUNDS, _TOLERANCE = 50, 1e-3


def count_offsets(
    x: Any, y: np.ndarray, batch: np.ndarray, n_labels: int, n_batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Main effects of a log-linear model of counts, by iterative proportional fitting (Deming and Stephan 1940).

    The expected counts of a gene in cells of type t and batch b are N_tb p exp(a_t + b_b), with the total count N_tb of
    these cells and the gene's share p of all counts. The fit matches the counts in each type and in each batch.

    ``x`` is cells x genes, sparse, dense or backed. Returns offsets of the labels ``(n_labels, n_genes)`` and of the
    batches ``(n_batch, n_genes)``; those without cells get zeros.
    """
    type_counts, batch_counts = np.zeros((n_labels, x.shape[1])), np.zeros((n_batch, x.shape[1]))
    totals = np.zeros((n_labels, n_batch))
    for part in row_slices(x.shape[0]):
        rows = csr_matrix(x[part], dtype=np.float64)
        type_counts += (_indicator(y[part], n_labels) @ rows).toarray()
        if n_batch > 1:
            batch_counts += (_indicator(batch[part], n_batch) @ rows).toarray()
        np.add.at(totals, (y[part], batch[part]), np.asarray(rows.sum(axis=1)).ravel())
    counts = type_counts.sum(axis=0)

    def offsets(observed: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.log((observed + _SHRINKAGE) / (weights * counts / counts.sum() + _SHRINKAGE))

    return _in_turns(
        lambda batch_offsets: offsets(type_counts, totals @ np.exp(batch_offsets)),
        lambda label_offsets: offsets(batch_counts, totals.T @ np.exp(label_offsets)),
        np.zeros_like(batch_counts),
    )


def mean_offsets(
    a: csr_matrix, y: np.ndarray, batch: np.ndarray, n_labels: int, n_batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Main effects of types and batches on the mean of real values, by least squares, as :func:`count_offsets`."""
    mean = np.asarray(a.mean(axis=0)).ravel()
    types, batches = _indicator(y, n_labels), _indicator(batch, n_batch)
    type_sums, batch_sums, n_cells = (
        (rows @ columns).toarray() for rows, columns in ((types, a), (batches, a), (types, batches.T))
    )

    def offsets(observed: np.ndarray, n: np.ndarray, others: np.ndarray) -> np.ndarray:
        size = n.sum(axis=1, keepdims=True)
        return np.where(size > 0, (observed - n @ others) / np.maximum(size, 1) - mean, 0.0)

    return _in_turns(
        lambda batch_offsets: offsets(type_sums, n_cells, batch_offsets),
        lambda label_offsets: offsets(batch_sums, n_cells.T, label_offsets),
        np.zeros_like(batch_sums),
    )


def _in_turns(
    fit_labels: Callable[[np.ndarray], np.ndarray],
    fit_batches: Callable[[np.ndarray], np.ndarray],
    batch_offsets: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit types and batches to each other until they converge, the types last."""
    label_offsets = fit_labels(batch_offsets)
    for _ in range(_MAX_ROUNDS if len(batch_offsets) > 1 else 0):
        before, batch_offsets = batch_offsets, fit_batches(label_offsets)
        label_offsets = fit_labels(batch_offsets)
        if np.abs(batch_offsets - before).max() < _TOLERANCE:
            break
    return label_offsets, batch_offsets


def _indicator(codes: np.ndarray, n: int) -> csr_matrix:
    """Indicator of the cells with each code, ``(n, n_cells)``."""
    return csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(n, len(codes)))
