"""What a model knows of the cells it was trained on, without the cells: types, batches, covariates, and how they co-occur."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

# Columns of the design table beside the covariates: names that no column of a user has
LABEL, BATCH, N_CELLS = "_activa_label", "_activa_batch", "_activa_n"


@dataclass(frozen=True, eq=False)
class Design:
    """Types, batches and covariates of the training cells, and where generated cells are to have them.

    The table has one row per combination of type, batch and covariates that occurs: the codes ``LABEL`` and ``BATCH``, a
    column per covariate (codes or values), and ``N_CELLS``, the number of training cells. Unlabeled cells have the code
    ``n_types``.
    """

    types: np.ndarray  # cell types in the order of their codes, (n_types,); ["all"] without labels
    batches: np.ndarray  # batches in the order of their codes, (n_batch,)
    table: pd.DataFrame
    categorical: dict[str, np.ndarray] = field(
        default_factory=dict
    )  # covariate -> categories in the order of their codes
    continuous: tuple[str, ...] = ()  # continuous covariates
    labels_key: str | None = None  # column of obs for types; None if it was not registered
    batch_key: str | None = None  # column of obs for batches; None if it was not registered
    layer: str | None = None  # layer with the counts of genes; None for X
    protein_layer: str | None = None  # layer with the values of proteins; None for X
    modalities: tuple[str, str] | None = None  # of genes and proteins; None for AnnData
    ordered: tuple[str, ...] = ()  # columns of obs whose categories are ordered
    colors: dict[str, list[str]] = field(default_factory=dict)  # column of obs -> colors of its categories, as in uns

    @property
    def type_sizes(self) -> np.ndarray:
        """Number of training cells of each type, ``(n_types,)``."""
        return self._sizes(LABEL, len(self.types))

    @property
    def batch_sizes(self) -> np.ndarray:
        """Number of training cells of each batch, ``(n_batch,)``."""
        return self._sizes(BATCH, len(self.batches))

    def _sizes(self, column: str, n: int) -> np.ndarray:
        sizes = self.table.groupby(column)[N_CELLS].sum()
        return sizes.reindex(range(n), fill_value=0).to_numpy()

    @property
    def columns(self) -> list[str]:
        """Columns of the table for batch and covariates."""
        return [BATCH, *self.categorical, *self.continuous]

    @property
    def obs_columns(self) -> list[str]:
        """Columns of ``obs`` that batch (where registered) and covariates are written to."""
        batch = [] if self.batch_key is None else [self.batch_key]
        return [*batch, *self.categorical, *self.continuous]

    @property
    def categories(self) -> dict[str, np.ndarray]:
        """Column of ``obs`` -> its categories, of the types, batches and categorical covariates that were registered."""
        found: dict[Any, np.ndarray] = {
            self.labels_key: self.types,
            self.batch_key: self.batches,
            **self.categorical,
        }
        return {key: values for key, values in found.items() if key is not None}

    def colors_as_uns(self, labels_key: str | None = None) -> dict[str, np.ndarray]:
        """The colors of categories as scanpy's plots find them, those of the types by the name that ``labels_key`` gives."""
        names = {self.labels_key: labels_key or self.labels_key}
        return {f"{names.get(key, key)}_colors": np.asarray(colors) for key, colors in self.colors.items()}

    def obs_values(self, values: np.ndarray) -> dict[str, Any]:
        """Batch and covariates of cells as columns of ``obs``, from their codes and values ``(n_cells, n_columns)``."""
        categories = dict(self.categorical) | ({} if self.batch_key is None else {BATCH: self.batches})
        found: dict[str, Any] = {}
        for name, column in zip(self.columns, values.T, strict=True):
            key = self.batch_key if name == BATCH else name
            if name in categories:
                values_of: Any = list(categories[name])
                is_ordered = key in self.ordered
                found[str(key)] = pd.Categorical.from_codes(
                    column.astype(int), categories=values_of, ordered=is_ordered
                )
            elif name != BATCH:
                found[name] = column
        return found


def design_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Every combination of type, batch and covariates that occurs in the cells, and its number of cells."""
    return cells.groupby(list(cells.columns), as_index=False, sort=True).size().rename(columns={"size": N_CELLS})
