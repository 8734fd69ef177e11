"""Columns of ``obs`` that are registered, and their checks before any work starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from activa.checks import check_values_of, modality_of

_RESERVED = ("_scvi_", "_activa_")  # what scvi-tools adds to obs, and columns of the design table
_UNWRITABLE = ("", "_index")  # with names that have a slash, what anndata does not write
# more types than half of the cells are no types, unless these few are an example
_MAX_TYPES_OF_FEW_CELLS = 20
_LAYERS = ("rna_layer", "protein_layer")
_ONE_COLUMN = ("labels_key", "batch_key", "size_factor_key")
_NUMBERS = ("size_factor_key", "continuous_covariate_keys")
_COLUMN_LISTS = ("categorical_covariate_keys", "continuous_covariate_keys")
_Find = Callable[[str], tuple[str, pd.DataFrame]]
"""Name of a set-up argument -> name and ``obs`` of the object that has its columns."""


@dataclass(frozen=True)
class Columns:
    """The columns of ``obs`` that are registered, as the arguments of ``setup_anndata`` name them."""

    labels_key: str | None = None
    batch_key: str | None = None
    size_factor_key: str | None = None
    categorical_covariate_keys: list[str] | None = None
    continuous_covariate_keys: list[str] | None = None
    unlabeled_category: str | None = None

    @classmethod
    def of(cls, setup_args: Mapping[str, Any]) -> Self:
        """The columns among all arguments of a set-up method."""
        return cls(**{field.name: setup_args[field.name] for field in fields(cls)})

    @property
    def keys(self) -> dict[str, list[str]]:
        """Argument -> columns it names; a TypeError names a list of columns that is not a list."""
        found = {name: [] if (key := getattr(self, name)) is None else [key] for name in _ONE_COLUMN}
        for name in _COLUMN_LISTS:
            keys = getattr(self, name)
            if keys is not None and not isinstance(keys, list):
                hint = f": write [{keys!r}]" if isinstance(keys, str) else ""
                raise TypeError(f"{name} must be a list of obs columns, got {keys!r}{hint}.")
            found[name] = list(keys or [])
        return found


def check_setup(
    adata: Any, columns: Columns, *, layer: str | None, is_new: bool, allow_missing_labels: bool = False
) -> None:
    """Check the arguments of ``setup_anndata``, for a new model (``is_new``) or a trained one."""
    check_values_of(adata, layer=layer)
    if adata.is_view:
        raise ValueError("adata is a view of another AnnData, which cannot be registered: give adata.copy().")
    if allow_missing_labels and columns.unlabeled_category is not None and columns.labels_key not in adata.obs:
        columns = replace(columns, labels_key=None, unlabeled_category=None)  # scvi-tools adds the column
    _check_columns(lambda _: ("adata", adata.obs), columns, is_new=is_new)
    _check_unique(adata, "adata")


def check_setup_mudata(
    mdata: Any, columns: Columns, *, layers: Mapping[str, str | None], modalities: Mapping[str, str], is_new: bool
) -> None:
    """Check the arguments of ``setup_mudata``; ``modalities`` maps arguments to modalities."""
    if not isinstance(mdata, MuData):
        raise TypeError(f"mdata must be a MuData, got {type(mdata).__name__}. For AnnData, use setup_anndata.")
    keys = columns.keys
    if unknown := set(modalities) - {*_LAYERS, *keys}:
        raise ValueError(f"modalities names {sorted(unknown)}, which are not among {[*_LAYERS, *keys]}.")
    found = {name: modality_of(mdata, key, f"modalities[{name!r}]") for name, key in modalities.items()}
    if modalities["rna_layer"] == modalities["protein_layer"]:
        raise ValueError(f"modalities: genes and proteins are both {modalities['rna_layer']!r}: name one for each.")
    for argument, layer in layers.items():
        _check_modality(mdata, found[argument], f"mdata[{modalities[argument]!r}]", argument, layer)

    def find(argument: str) -> tuple[str, Any]:
        return (f"mdata[{modalities[argument]!r}]", found[argument].obs) if argument in found else ("mdata", mdata.obs)

    elsewhere = {key: name for name, other in reversed(mdata.mod.items()) for key in other.obs}
    _check_columns(find, columns, is_new=is_new, elsewhere=elsewhere)


def _check_modality(mdata: MuData, cells: AnnData, where: str, argument: str, layer: str | None) -> None:
    if cells.n_obs == 0 or cells.n_vars == 0:
        raise ValueError(f"{where} must have cells and variables, got shape {cells.shape}.")
    if not cells.obs_names.equals(mdata.obs_names):
        raise ValueError(f"{where} must have the cells of mdata, in the order of its obs_names (mudata.intersect_obs).")
    if layer is not None and layer not in cells.layers:
        raise KeyError(f"{argument}={layer!r} is not in {where}.layers, which has {list(dict(cells.layers))}.")
    if (cells.X if layer is None else cells.layers[layer]) is None:
        raise ValueError(f"{where}.X is None: name the layer of the values as {argument}=.")
    _check_unique(cells, where)


def _check_unique(cells: AnnData, where: str) -> None:
    if not cells.var_names.is_unique:
        repeated = cells.var_names[cells.var_names.duplicated()].unique()
        raise ValueError(
            f"{where}.var_names must be unique, got {len(repeated)} that are repeated, such as {repeated[0]!r}: call "
            f"{where}.var_names_make_unique(), or keep one column of each gene."
        )


def _check_columns(find: _Find, columns: Columns, *, is_new: bool, elsewhere: Mapping[str, str] | None = None) -> None:
    labels_key, unlabeled = columns.labels_key, columns.unlabeled_category
    if unlabeled is not None and labels_key is None:
        raise ValueError(f"unlabeled_category={unlabeled!r} needs labels_key, the column that has it.")
    for name, keys in columns.keys.items():
        for key in keys:
            where, obs = find(name)
            if not isinstance(key, str):
                raise TypeError(f"{name} must be the name of a column of {where}.obs, got {key!r}.")
            if key not in obs:
                other = (elsewhere or {}).get(key)
                hint = f": give modalities={{{name!r}: {other!r}}}" if other else f", which has {list(obs.columns)}"
                raise KeyError(f"{name}={key!r} is not a column of {where}.obs{hint}.")
            if isinstance(obs[key], pd.DataFrame):
                raise ValueError(
                    f"{name}={key!r}: {where}.obs has {obs[key].shape[1]} columns of this name: rename them."
                )
            _check_column(where, obs[key], name, key, is_number=name in _NUMBERS)
        if repeated := [key for key in keys if keys.count(key) > 1]:
            raise ValueError(f"{name} must name each column once, got {repeated}.")
    if is_new:
        _check_roles(columns.keys)
    size_factor_key = columns.size_factor_key
    if size_factor_key is not None and (np.asarray(find("size_factor_key")[1][size_factor_key]) <= 0).any():
        raise ValueError(f"size_factor_key={size_factor_key!r}: size factors must be positive.")
    if unlabeled is not None and not np.isscalar(unlabeled):
        raise TypeError(f"unlabeled_category must be one value of labels_key, got {unlabeled!r}.")
    if not is_new or labels_key is None:
        return
    where, obs = find("labels_key")
    column = obs[labels_key]
    labels = set(column)
    if len(labels) > max(len(column) / 2, _MAX_TYPES_OF_FEW_CELLS):
        raise ValueError(
            f"labels_key={labels_key!r} has {len(labels)} types for {len(column)} cells (dtype {column.dtype}): name the "
            f"column of cell types among {list(obs.columns)}."
        )
    if any(isinstance(label, float | np.floating) and np.isinf(label) for label in labels):
        raise ValueError(f"labels_key={labels_key!r} has an infinite value: give types as strings.")
    like_labels = unlabeled == unlabeled and any(isinstance(unlabeled, type(label)) for label in labels)
    if unlabeled is not None and not like_labels:
        known = sorted(map(str, labels))
        raise ValueError(f"unlabeled_category={unlabeled!r} cannot be a value of labels_key={labels_key!r}: {known}.")
    if labels == {unlabeled}:
        raise ValueError(f"labels_key={labels_key!r}: every cell is {unlabeled!r}, the unlabeled_category: omit both.")


def _check_roles(keys: Mapping[str, list[str]]) -> None:
    roles: dict[str, list[str]] = {}
    for name, named in keys.items():
        for key in named:
            roles.setdefault(key, []).append(name)
    if twice := {key: names for key, names in roles.items() if len(names) > 1}:
        key, names = next(iter(twice.items()))
        raise ValueError(f"{' and '.join(names)} name the same column {key!r}: a column has one role, leave one out.")


def _check_column(where: str, column: pd.Series, name: str, key: str, *, is_number: bool) -> None:
    if key.startswith(_RESERVED):
        raise ValueError(f"{name}={key!r}: names that begin with {list(_RESERVED)} are reserved: rename the column.")
    if "/" in key or key in _UNWRITABLE:
        raise ValueError(f"{name}={key!r}: AnnData files have no column of this name: rename it.")
    if n_missing := int(column.isna().sum()):
        hint = " or name them by an unlabeled_category" if name == "labels_key" else ""
        raise ValueError(f"{name}={key!r} is missing for {n_missing} of {len(column)} cells: leave these out{hint}.")
    if not is_number and (kinds := _unsortable(column)):
        raise ValueError(f"{name}={key!r} has values of types {kinds}, which have no order: give strings only.")
    if is_number and not (pd.api.types.is_numeric_dtype(column) and np.isfinite(np.asarray(column, dtype=float)).all()):
        raise ValueError(f"{name}={key!r} must hold finite numbers, got dtype {column.dtype}.")


def _unsortable(column: pd.Series) -> list[str]:
    """Types of a column's values if these cannot be sorted together."""
    values: Any = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column.drop_duplicates()
    try:
        sorted(values)
    except TypeError:
        return sorted({type(value).__name__ for value in values})
    return []
