"""Checks of the arrays that the metrics compute on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def as_pair(
    first: ArrayLike, second: ArrayLike, min_cells: int = 2, names: tuple[str, str] = ("real", "synthetic")
) -> tuple[np.ndarray, np.ndarray]:
    """Both sets as finite float64 matrices with the same columns and enough cells, or a ValueError."""
    sets = [np.asarray(cells, dtype=np.float64) for cells in (first, second)]
    for name, cells in zip(names, sets, strict=True):
        if cells.ndim != 2:
            raise ValueError(f"{name} must be a matrix of cells x features, got {cells.ndim} dimension(s).")
        if len(cells) < min_cells:
            raise ValueError(f"{name} has {len(cells)} cell(s); give at least {min_cells}.")
        if not np.isfinite(cells).all():
            raise ValueError(f"{name} has values that are not finite; remove or replace them.")
    check_columns(*sets, names=names)
    return sets[0], sets[1]


def as_attacked(
    train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training, held-out and synthetic cells as finite float64 matrices with the same columns, or a ValueError."""
    train, held_out = as_pair(train, held_out, 1, ("train", "held_out"))
    return train, held_out, as_pair(train, synthetic, 1, ("train", "synthetic"))[1]


def check_columns(
    first: Any, second: Any, kind: str = "features", names: tuple[str, str] = ("real", "synthetic")
) -> None:
    """Raise a ValueError unless both matrices have the same number of columns."""
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"{names[0]} has {first.shape[1]} {kind} and {names[1]} {second.shape[1]}; give the same {kind} in one order."
        )


def as_labels(name: str, labels: ArrayLike, n_cells: int) -> np.ndarray:
    """The labels as an array with one label per cell, or a ValueError."""
    labels = np.asarray(labels)
    if labels.shape != (n_cells,):
        raise ValueError(f"{name} must hold one label per cell ({n_cells}), got shape {labels.shape}.")
    return labels
