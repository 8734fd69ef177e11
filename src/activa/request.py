"""A request for cells, and the plan it becomes: the type, batch, covariates and library size of each cell."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from activa.arguments import check_booleans, check_integers, check_numbers
from activa.design import BATCH, LABEL, N_CELLS, Design
from activa.memory import check_memory
from activa.module import MAX_RATE, CellModel
from activa.seeds import check_seed, tag_of

# A plan of this many cells takes about 100 GB: larger requests are to be split into several calls
MAX_CELLS, _PLAN_BYTES = 10**9, 100
_MAX_LATENT = 1e6  # of larger ones the rates overflow; those of cells are below 100
_MAX_NAMED = 10  # combinations in a warning
_PLAN_STREAM = 256  # distinguishes the plan's random numbers from those of the blocks of cells


@runtime_checkable
class CellFilter(Protocol):
    """What ``refuse`` of :meth:`~activa.Sampler.generate` takes, as :class:`activa.metrics.privacy.TooClose` is."""

    genes: pd.Index

    def refuses_counts(self, counts: csr_matrix, labels: np.ndarray) -> np.ndarray:
        """Whether each cell is refused, boolean, ``(n_cells,)``."""


@dataclass(frozen=True, eq=False)
class CellPlan:
    """One row per cell to generate, with codes instead of categories."""

    label: np.ndarray  # type codes, (n,)
    design: np.ndarray  # batch code and covariates, (n, 1 + n_covariates), in the order of Design.columns
    library_size: np.ndarray | None  # library sizes, (n,), where they are given
    z: np.ndarray | None  # latents, (n, n_latent), where they are given
    seen: np.ndarray | None = None  # whether a training cell had the type and batch, (n,), where batches are given
    tag: str = ""  # tells the cells of different requests, or of different models, apart

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, eq=False)
class Request:
    """The arguments of :meth:`activa.Sampler.generate` that decide which cells are generated, checked for any model."""

    n: int | None = None
    labels: Mapping[Any, int] | pd.Series | pd.DataFrame | Sequence[Any] | str | None = None
    labels_key: str | None = None
    batch: Any = None
    library_size: float | Sequence[float] | None = None
    covariates: Mapping[str, Any] | None = None
    z: Any = None
    expected: bool = False
    min_confidence: float | None = None
    refuse: CellFilter | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", check_seed(self.seed))
        check_booleans(expected=self.expected)
        check_numbers(min_confidence=self.min_confidence, least=0, below=1, optional=True)
        check_integers(n=self.n, most=MAX_CELLS, optional=True)
        if self.labels_key is not None and not isinstance(self.labels_key, str):
            raise TypeError(f"labels_key must be a column name, got {self.labels_key!r}.")
        if self.labels_key == "":
            raise ValueError("labels_key must be a column name, got ''.")
        if self.covariates is not None and not isinstance(self.covariates, Mapping):
            raise TypeError(f"covariates must map covariates to values, got {self.covariates!r}.")
        if self.refuse is not None and not isinstance(self.refuse, CellFilter):
            raise TypeError(f"refuse must be an activa.metrics.privacy.TooClose, got {type(self.refuse).__name__}.")

    def plan(self, design: Design, module: CellModel) -> CellPlan:
        """The cells to generate; a KeyError or ValueError says what the model does not have or cannot use."""
        if self.labels_key is not None and self.labels_key in design.obs_columns:
            raise ValueError(f"labels_key={self.labels_key!r} is a column of batch or covariates: choose another.")
        what = f"the types and batches of {self.n_cells} cells"
        check_memory(
            _PLAN_BYTES * self.n_cells, what=what, instead="generate them in several calls, each with its seed"
        )
        if isinstance(self.labels, pd.DataFrame):
            return self._cell_by_cell(self.labels, design).plan(design, module)
        rng = np.random.default_rng([check_seed(self.seed), _PLAN_STREAM])
        sizes = design.type_sizes
        label = _plan_labels(self.n, self.labels, design.types, sizes, rng)
        if (without := np.unique(label[sizes[label] == 0])).size:
            raise KeyError(f"labels: no training cell was of the types {list(design.types[without])}.")
        given = self._given_columns(design, len(label))
        library_size = self._given_library_size(module, len(label))
        z = self._given_latents(module, len(label))
        seen = None if BATCH not in given else _seen(label, given[BATCH], design)
        planned = _plan_design(label, design, given, rng)
        model = module.generator.mean.bias.detach().cpu().numpy()
        values = [part for part in (model, label, planned, library_size, z) if part is not None]
        tag = tag_of(f"{self.seed} {self.min_confidence} {self.refuse is not None}".encode(), *values)
        return CellPlan(label, planned, library_size, z, seen, tag)

    @property
    def n_cells(self) -> int:
        """How many cells are asked for, where that is told by a number."""
        labels: Any = self.labels
        is_counts = isinstance(labels, pd.DataFrame) or (isinstance(labels, pd.Series) and labels.name == "count")
        counts = labels.to_numpy() if is_counts else list(labels.values()) if isinstance(labels, Mapping) else ()
        told = [
            int(count) for count in np.ravel(counts) if isinstance(count, int | np.integer) and 0 < count < MAX_CELLS
        ]
        return sum(told) if self.n is None else int(self.n)

    def _cell_by_cell(self, table: pd.DataFrame, design: Design) -> Request:
        """The same request with the type and batch of each cell instead of a table of types and batches."""
        if design.batch_key is None:
            raise ValueError("labels is a table of types and batches, but no batch_key was registered at setup.")
        if self.batch is not None:
            raise ValueError(f"labels is a table of types and batches: leave batch out, got {self.batch!r}.")
        if not all(pd.api.types.is_integer_dtype(dtype) for dtype in table.dtypes) or table.isna().any(axis=None):
            raise TypeError(
                f"labels must hold whole numbers of cells, got columns of {sorted(set(map(str, table.dtypes)))}."
            )
        counts = table.to_numpy(dtype=np.int64).ravel()
        total = counts.sum(dtype=float)  # which cannot overflow
        if (counts < 0).any() or not 0 < total <= MAX_CELLS:
            found = f"{total:.0f} in all, {counts.min(initial=0)} at least"
            raise ValueError(f"labels must request 1 to {MAX_CELLS} cells, and no negative number, got {found}.")
        types, batches = (np.asarray(axis, dtype=object) for axis in table.axes)
        labels = np.repeat(np.repeat(types, len(batches)), counts)
        return replace(self, labels=labels.tolist(), batch=np.repeat(np.tile(batches, len(types)), counts))

    def _given_columns(self, design: Design, n: int) -> dict[str, np.ndarray]:
        """Column of the design table -> codes or values, for the batch and covariates that are given."""
        given = {}
        if self.batch is not None:
            if design.batch_key is None:
                raise ValueError(f"batch={self.batch!r} was given, but no batch_key was registered at setup.")
            given[BATCH] = categories_to_codes("batch", _per_cell("batch", self.batch, n), design.batches)
        for name, values in (self.covariates or {}).items():
            argument = f"covariates[{name!r}]"
            if name in design.categorical:
                given[name] = categories_to_codes(argument, _per_cell(argument, values, n), design.categorical[name])
            elif name in design.continuous:
                given[name] = _numbers(argument, values, n)
            else:
                known = [*design.categorical, *design.continuous]
                raise KeyError(f"covariates: {name!r} was not registered; the registered covariates are {known}.")
        return given

    def _given_library_size(self, module: CellModel, n: int) -> np.ndarray | None:
        if self.library_size is None:
            return None
        if not module.is_count:
            raise ValueError(
                f"library_size needs counts, got gene_likelihood={module.gene_likelihood!r}: leave it out."
            )
        library_size = _numbers("library_size", self.library_size, n)
        if (library_size <= 0).any():
            raise ValueError(f"library_size must be positive, got {library_size.min()}.")
        if (library_size > MAX_RATE).any():
            raise ValueError(f"library_size must be at most {MAX_RATE:g}, got {library_size.max()}.")
        return library_size

    def _given_latents(self, module: CellModel, n: int) -> np.ndarray | None:
        if self.z is None:
            return None
        try:
            z = np.asarray(self.z).astype(np.float32, casting="same_kind")
        except (TypeError, ValueError) as error:
            raise TypeError(f"z must be a matrix of numbers, got {self.z!r}.") from error
        if z.shape != (n, module.n_latent) or not np.isfinite(z).all():
            raise ValueError(f"z must be finite and of shape {(n, module.n_latent)}, got shape {z.shape}.")
        if np.abs(z).max() > _MAX_LATENT:
            raise ValueError(
                f"z must be latents, between -{_MAX_LATENT:g} and {_MAX_LATENT:g}, got {np.abs(z).max():g}."
            )
        return z


def _plan_labels(
    n: int | None, labels: Any, types: np.ndarray, type_sizes: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Type codes of the requested cells, ``(n,)``."""
    if labels is None:
        if n is None:
            raise ValueError("n must be the number of cells, or labels the number of each type; got None for both.")
        return rng.permutation(np.repeat(np.arange(len(types)), proportional(n, type_sizes)))
    if isinstance(labels, pd.Series) and labels.name == "count":  # what value_counts() gives
        labels = labels.to_dict()
    if isinstance(labels, Mapping):
        counts = _fill_up(n, labels, types, type_sizes)
        return np.repeat(_codes(list(counts), types), list(counts.values()))
    if isinstance(labels, str) or np.isscalar(labels):
        if n is None:
            raise ValueError(f"n must be the number of cells of type {labels!r}, got None.")
        return np.repeat(_codes([labels], types), n)
    if not isinstance(labels, Iterable):
        raise TypeError(f"labels must map types to counts, or be types, got {labels!r}.")
    labels = list(labels)
    if not labels:
        raise ValueError("labels must name at least one cell, got [].")
    if n is not None and n != len(labels):
        raise ValueError(f"n={n}, but labels has {len(labels)} entries: leave n out, or make them agree.")
    return _codes(labels, types)


def _fill_up(n: int | None, labels: Mapping[Any, int], types: np.ndarray, sizes: np.ndarray) -> dict[Any, int]:
    """Type -> count: the given counts, and what is missing to ``n`` shared by the other types in training proportions."""
    for name, count in labels.items():
        argument: dict[str, Any] = {f"labels[{name!r}]": count}
        check_integers(least=0, **argument)
    counts = {name: int(count) for name, count in labels.items()}
    total = sum(counts.values())
    if total > MAX_CELLS:
        raise ValueError(f"labels must request at most {MAX_CELLS} cells, got {counts}.")
    if n is None and not total:
        raise ValueError(f"labels={counts} requests no cell: give at least one type a count above 0.")
    if n is None or n == total:
        return counts
    others = sizes.copy()
    others[_codes(list(counts), types)] = 0
    if total > n or not others.sum():
        raise ValueError(f"n={n} cells in all, but labels requests {total}: leave n out, or make them agree.")
    filled = zip(types, proportional(n - total, others), strict=True)
    return counts | {name: int(count) for name, count in filled if count}


def _seen(label: np.ndarray, batch: np.ndarray, design: Design) -> np.ndarray:
    """Whether a training cell had each cell's type and batch, boolean, ``(n,)``; a UserWarning names what none had."""
    occurs = np.zeros((len(design.types) + 1, len(design.batches)), dtype=bool)
    occurs[design.table[LABEL], design.table[BATCH]] = True
    seen = occurs[label, batch]
    if not seen.all():
        pairs = np.unique(np.stack([label[~seen], batch[~seen]], axis=1), axis=0)
        named = [f"{design.types[type_]!s} in {design.batches[b]!s}" for type_, b in pairs[:_MAX_NAMED]]
        more = f" and {len(pairs) - _MAX_NAMED} more" if len(pairs) > _MAX_NAMED else ""
        warnings.warn(
            f"No training cell had these types in these batches: {', '.join(named)}{more}. Their {(~seen).sum()} cells "
            "(obs['seen'] is False) assume that a batch changes all types alike.",
            UserWarning,
            skip_file_prefixes=(str(Path(__file__).parent),),
        )
    return seen


def _plan_design(
    label: np.ndarray, design: Design, given: Mapping[str, np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Batch and covariates of each cell: the given ones, and the rest as they co-occur within the type."""
    columns = design.columns
    planned = np.empty((len(label), len(columns)))

    def sample(rows: pd.DataFrame, n: int) -> np.ndarray:
        weights = rows[N_CELLS].to_numpy(dtype=float)
        return rows[columns].to_numpy()[rng.choice(len(rows), size=n, p=weights / weights.sum())]

    for code in np.unique(label):
        cells = np.flatnonzero(label == code)
        rows = design.table[design.table[LABEL] == code]
        planned[cells] = sample(rows, len(cells))
        if BATCH in given:
            # covariates are drawn within the requested batch, if the type occurs in it
            batch = given[BATCH][cells]
            for b in np.unique(batch):
                within = rows[rows[BATCH] == b]
                if len(within):
                    chosen = cells[batch == b]
                    planned[chosen] = sample(within, len(chosen))
    for name, values in given.items():
        planned[:, columns.index(name)] = values
    return planned


def _per_cell(name: str, values: Any, n: int) -> np.ndarray:
    """One value for all cells, or one per cell, as an array of shape ``(n,)``."""
    array = np.asarray(values)
    if array.ndim == 0:
        return np.repeat(array, n)
    if array.shape != (n,):
        raise ValueError(f"{name} must be one value, or {n} values (one per cell), got shape {array.shape}.")
    return array


def _numbers(name: str, values: Any, n: int) -> np.ndarray:
    """One finite number for all cells, or one per cell, ``(n,)``."""
    array = _per_cell(name, values, n)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers, got {values!r}.")
    return array.astype(float)


def categories_to_codes(name: str, values: np.ndarray, categories: np.ndarray) -> np.ndarray:
    """Codes of categories, ``(n,)``; a KeyError names those that are unknown."""
    try:
        codes = pd.Index(categories).get_indexer(pd.Index(values))
    except (TypeError, ValueError):  # lists and the like, which cannot be categories
        codes = np.full(len(values), -1)
    if (codes < 0).any():
        unknown = sorted({str(v) for v in np.asarray(values)[codes < 0]})
        known = [str(category) for category in categories]
        raise KeyError(f"{name}: {unknown} did not occur in training, which had {known}: name one of these.")
    return codes


def _codes(labels: list, types: np.ndarray) -> np.ndarray:
    return categories_to_codes("labels", np.asarray(labels, dtype=object), types)


def proportional(n: int, sizes: np.ndarray) -> np.ndarray:
    """Counts that sum to n, as close to the sizes' proportions as integers come (largest remainder)."""
    exact = n * sizes / sizes.sum()
    counts = np.floor(exact).astype(int)
    short = n - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return counts
