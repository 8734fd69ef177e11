"""What cells are asked for: types, batches, covariates and library sizes of a call of ``generate``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from activa.arguments import check_integers

# The plan of so many takes some tens of GB: more are no slip of the pen, but several calls
MAX_CELLS = 10**9

# columns of the design table beside the covariates: names that no user's column has
LABEL, BATCH, N_CELLS = "_activa_label", "_activa_batch", "_activa_n"


@dataclass
class CellPlan:
    """One row a cell to generate, with codes instead of categories."""

    label: np.ndarray
    """Type codes, ``(n,)``."""
    design: np.ndarray
    """Batch code and covariates, ``(n, 1 + n_covariates)``, as the columns of the design table after the type's."""
    library_size: np.ndarray | None
    """Library sizes, ``(n,)``, where they are given."""
    z: np.ndarray | None
    """Latents, ``(n, n_latent)``, where they are given."""

    def __len__(self) -> int:
        return len(self.label)

    def block(self, number: int, size: int) -> np.ndarray:
        """Indices of the cells of one block of that size; the last one is smaller."""
        return np.arange(number * size, min((number + 1) * size, len(self)))


def plan_labels(
    n: int | None,
    labels: Mapping[Any, int] | pd.Series | Sequence[Any] | str | None,
    types: np.ndarray,
    type_sizes: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Type codes of the cells that are asked for, ``(n,)``.

    Parameters
    ----------
    n
        How many cells.
    labels
        Type -> count (a mapping, or what ``value_counts()`` gives), one type, a sequence of length ``n``, or None for types in training proportions (as near as
        whole numbers come, in random order).
    types
        The types that can be generated.
    type_sizes
        How many cells of each were trained on.
    rng
        Shuffles.

    Raises
    ------
    TypeError, ValueError, KeyError
        For a count that is not a positive whole number, arguments that do not fit together, or an unknown type.
    """
    if n is not None:
        check_integers(n=n, most=MAX_CELLS)
    if labels is None:
        if n is None:
            raise ValueError(
                "n must say how many cells to generate, or labels how many of each type, got None for both."
            )
        counts = _proportional(n, type_sizes)
        return rng.permutation(np.repeat(np.arange(len(types)), counts))
    if isinstance(labels, pd.Series) and labels.name == "count":  # what value_counts() gives
        labels = labels.to_dict()
    if isinstance(labels, Mapping):
        if n is not None:
            raise ValueError(f"n={n} and a mapping for labels say how many cells twice: leave n out.")
        for name, count in labels.items():
            check_integers(least=0, most=None, optional=False, **{f"labels[{name!r}]": count})
        if sum(map(int, labels.values())) > MAX_CELLS:
            raise ValueError(f"labels must ask for {MAX_CELLS} cells at most, got {dict(labels)}.")
        if not any(labels.values()):
            raise ValueError(f"labels={dict(labels)} asks for no cell: give at least one type a count above 0.")
        return np.repeat(_codes(list(labels), types), list(labels.values()))
    if isinstance(labels, str) or np.isscalar(labels):
        if n is None:
            raise ValueError(f"n must say how many cells of type {labels!r} to generate.")
        return np.repeat(_codes([labels], types), n)
    if isinstance(labels, pd.DataFrame) or not isinstance(labels, Iterable):
        raise TypeError(f"labels must map types to counts, or be types, got {labels!r}.")
    labels = list(labels)
    if not labels:
        raise ValueError("labels must name at least one cell, got [].")
    if n is not None and n != len(labels):
        raise ValueError(f"n={n}, but labels has {len(labels)} entries: leave n out, or make them agree.")
    return _codes(labels, types)


def fill_up(n: int | None, labels: Mapping[Any, int], types: np.ndarray, type_sizes: np.ndarray) -> dict[Any, int]:
    """Types -> counts: those given, and what is missing to ``n`` shared by the other types in training proportions.

    Raises
    ------
    ValueError, KeyError
        If more than ``n`` are given, no other type is there to share, or a type is unknown.
    """
    given = sum(labels.values())
    if n is None or n == given:
        return dict(labels)
    sizes = type_sizes.copy()
    sizes[_codes(list(labels), types)] = 0
    if given > n or not sizes.sum():
        raise ValueError(f"n={n} cells in all, and labels ask for {given}: leave n out, or make them fit.")
    others = _proportional(n - given, sizes)
    return dict(labels) | {name: int(count) for name, count in zip(types, others, strict=True) if count}


def plan_design(
    label: np.ndarray,
    table: pd.DataFrame,
    given: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """Batch and covariates of each cell: those that are given, and the rest as they occur together in the type.

    Parameters
    ----------
    label
        Type codes, ``(n,)``.
    table
        Columns ``LABEL``, ``BATCH``, covariates, ``N_CELLS``: the combinations that occur, and in how many cells.
    given
        Column of the table -> codes or values, ``(n,)``.
    rng
        Draws.
    """
    columns = [c for c in table.columns if c not in (LABEL, N_CELLS)]
    design = np.empty((len(label), len(columns)))
    for code in np.unique(label):
        cells = np.flatnonzero(label == code)
        rows = table[table[LABEL] == code]
        weights = rows[N_CELLS].to_numpy(dtype=float)
        design[cells] = rows[columns].to_numpy()[rng.choice(len(rows), size=len(cells), p=weights / weights.sum())]
        if BATCH in given:
            # covariates are drawn within the batch asked for, where the type occurs in it
            batch = given[BATCH][cells]
            for b in np.unique(batch):
                within = rows[rows[BATCH] == b]
                if len(within):
                    weights = within[N_CELLS].to_numpy(dtype=float)
                    chosen = cells[batch == b]
                    drawn = rng.choice(len(within), size=len(chosen), p=weights / weights.sum())
                    design[chosen] = within[columns].to_numpy()[drawn]
    for name, values in given.items():
        design[:, columns.index(name)] = values
    return design


def design_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Every combination of type, batch and covariates (codes and values) that cells have, and its number of cells."""
    return cells.groupby(list(cells.columns), as_index=False, sort=True).size().rename(columns={"size": N_CELLS})


def per_cell(name: str, values: Any, n: int) -> np.ndarray:
    """One value for all cells, or one a cell, as an array of shape ``(n,)``."""
    array = np.asarray(values)
    if array.ndim == 0:
        return np.repeat(array, n)
    if array.shape != (n,):
        raise ValueError(f"{name} must be one value or {n}, one a cell, got shape {array.shape}.")
    return array


def numbers(name: str, values: Any, n: int) -> np.ndarray:
    """One finite number for all cells, or one a cell, ``(n,)``."""
    array = per_cell(name, values, n)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers, got {values!r}.")
    return array.astype(float)


def categories_to_codes(name: str, values: np.ndarray, categories: np.ndarray) -> np.ndarray:
    """Codes of categories, ``(n,)``; a KeyError names those that are not known."""
    try:
        codes = pd.Index(categories).get_indexer(pd.Index(values))
    except (TypeError, ValueError):  # lists and the like, which are no category
        codes = np.full(len(values), -1)
    if (codes < 0).any():
        unknown = sorted({str(v) for v in np.asarray(values)[codes < 0]})
        raise KeyError(
            f"{name}: {unknown} not seen in training, which had {[str(c) for c in categories]}: name one of these."
        )
    return codes


def _codes(labels: list, types: np.ndarray) -> np.ndarray:
    return categories_to_codes("labels", np.asarray(labels, dtype=object), types)


def _proportional(n: int, sizes: np.ndarray) -> np.ndarray:
    """Counts that sum to n, as near to the sizes' proportions as whole numbers come (largest remainder)."""
    exact = n * sizes / sizes.sum()
    counts = np.floor(exact).astype(int)
    short = n - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return counts
