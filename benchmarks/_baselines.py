"""Two generators that bound the others: one with no structure but the types, one with no cell that is new."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from _task import Run, Task
from scipy.sparse import csr_matrix, vstack


def _by_type(task: Task, name: str, draw: Callable[[csr_matrix, int], csr_matrix]) -> Run:
    """A run of a generator that draws each type's cells from its training cells alone."""
    train_labels = task.train.obs[task.labels_key].to_numpy(dtype=str)

    def cells(labels: np.ndarray):
        types, n_cells = np.unique(labels, return_counts=True)
        counts = vstack([draw(task.train.X[train_labels == label], n) for label, n in zip(types, n_cells, strict=True)])
        # they come sorted by type
        return task.labeled(counts.tocsr()[np.argsort(np.argsort(labels, kind="stable"))], labels)

    start = time.perf_counter()
    made = cells(task.labels)
    seconds = {"train": 0.0, "generate": time.perf_counter() - start}
    return Run({name: made}, seconds)


def independent(task: Task) -> Run:
    """Negative binomial counts of each gene by itself: the naive baseline.

    Per type: a gene's share p of all counts, and its dispersion phi by moments, Var = pl + phi (pl)^2 in cells of library
    size l. Library sizes are those of training cells of the type.
    """
    rng = np.random.default_rng(task.seed)

    def draw(counts: csr_matrix, n: int) -> csr_matrix:
        counts = counts.astype(np.float64)
        total, library = (np.asarray(counts.sum(axis=axis)).ravel() for axis in (0, 1))
        p = total / library.sum()
        squares = np.asarray(counts.multiply(counts).sum(axis=0)).ravel()
        expected_squares = p**2 * (library**2).sum()
        deviation = squares - 2 * p * (counts.T @ library) + expected_squares
        phi = np.divide(deviation - total, expected_squares, out=np.zeros_like(p), where=total > 0)
        mean = p * rng.choice(library, size=n)[:, None]
        # no gene is less variable than a Poisson; a shape as large as this is one
        shape = 1 / np.maximum(phi, 1e-6)
        return csr_matrix(rng.poisson(mean * rng.gamma(shape, 1 / shape, size=mean.shape)))

    return _by_type(task, "NB per type, independent genes", draw)


def bootstrap(task: Task) -> Run:
    """Training cells of the type, drawn with replacement: the most realistic there is, and nothing new."""
    rng = np.random.default_rng(task.seed)
    return _by_type(task, "training cells", lambda counts, n: counts[rng.integers(counts.shape[0], size=n)])
