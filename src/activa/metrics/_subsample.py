import numpy as np


def _by_type(n_cells: int, labels: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Cells in random order, those of one type beside each other."""
    order = rng.permutation(n_cells)
    return order if labels is None else order[np.argsort(labels[order], kind="stable")]


def subsample(n_cells: int, size: int, rng: np.random.Generator, labels: np.ndarray | None = None) -> np.ndarray:
    """Sorted indices of ``size`` of ``n_cells`` cells, each type in proportion (to within one cell)."""
    if size >= n_cells:
        return np.arange(n_cells)
    # Evenly spaced picks from cells sorted by type keep the proportions; the offset gives small types their chance.
    picks = ((np.arange(size) + rng.random()) * n_cells / size).astype(int)
    return np.sort(_by_type(n_cells, labels, rng)[picks])


def folds(n_cells: int, n_folds: int, rng: np.random.Generator, labels: np.ndarray | None = None) -> list[np.ndarray]:
    """Sorted indices of so many parts of the cells, each type split evenly (to within one cell)."""
    order = _by_type(n_cells, labels, rng)
    return [np.sort(order[fold::n_folds]) for fold in range(n_folds)]


def halves(n_cells: int, rng: np.random.Generator, labels: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices of two halves of the cells, each type split evenly (to within one cell)."""
    first, second = folds(n_cells, 2, rng, labels)
    return first, second
