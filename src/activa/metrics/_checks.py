import numpy as np
from numpy.typing import ArrayLike


def as_pair(real: ArrayLike, synthetic: ArrayLike, min_cells: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Both sets as finite float64 matrices with the same columns and enough cells, or a ValueError."""
    real, synthetic = np.asarray(real, dtype=np.float64), np.asarray(synthetic, dtype=np.float64)
    for name, cells in (("real", real), ("synthetic", synthetic)):
        if cells.ndim != 2:
            msg = f"{name} must be a matrix of cells x features, found {cells.ndim} dimension(s)."
            raise ValueError(msg)
        if len(cells) < min_cells:
            msg = f"{name} has {len(cells)} cell(s); at least {min_cells} are needed."
            raise ValueError(msg)
        if not np.isfinite(cells).all():
            msg = f"{name} has values that are not finite; remove or replace them."
            raise ValueError(msg)
    if real.shape[1] != synthetic.shape[1]:
        msg = f"real has {real.shape[1]} features and synthetic {synthetic.shape[1]}; give the same ones, in one order."
        raise ValueError(msg)
    return real, synthetic


def as_labels(name: str, labels: ArrayLike, n_cells: int) -> np.ndarray:
    """The labels as an array, one a cell, or a ValueError."""
    labels = np.asarray(labels)
    if labels.shape != (n_cells,):
        msg = f"{name} must hold one label a cell ({n_cells}), found shape {labels.shape}."
        raise ValueError(msg)
    return labels


def check_max_cells(max_cells: int, least: int = 2) -> None:
    """Raise a ValueError if the limit leaves fewer cells than the metric needs."""
    if max_cells < least:
        msg = f"max_cells must be at least {least}, found {max_cells}."
        raise ValueError(msg)
