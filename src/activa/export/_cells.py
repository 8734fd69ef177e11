"""What a model knows of the cells it was trained on, without the cells: names, categories, and how they occur together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
from scvi import REGISTRY_KEYS

from activa.export._fields import Fields, Scalar, refused
from activa.export._files import Tensors
from activa.model._plan_cells import BATCH, LABEL, N_CELLS

_DESIGN = "design"
_LISTS = ("categorical_covariate_keys", "continuous_covariate_keys")
_COLUMNS = ("labels_key", "batch_key", "size_factor_key")
_LAYERS = {"setup_anndata": ("layer",), "setup_mudata": ("rna_layer", "protein_layer")}


def cells_to_json(registry: Mapping[str, Any], design: pd.DataFrame) -> tuple[dict[str, Any], Tensors]:
    """The registry, but for names of genes and proteins, for JSON, and the design table for tensors.

    Raises
    ------
    TypeError
        If a category is neither a string nor a number.
    """
    arguments, method = registry["setup_args"], registry["setup_method_name"]
    states = {key: field.get("state_registry") or {} for key, field in registry["field_registries"].items()}
    categorical = states.get(REGISTRY_KEYS.CAT_COVS_KEY, {}).get("mappings", {})
    continuous = [str(name) for name in states.get(REGISTRY_KEYS.CONT_COVS_KEY, {}).get("columns", [])]
    content = {
        "setup_method": method,
        "setup_arguments": {
            name: arguments[name] for name in (*_LAYERS[method], *_COLUMNS)
        } | {
            name: None if arguments[name] is None else list(arguments[name]) for name in _LISTS
        } | {"modalities": dict(arguments["modalities"]) if "modalities" in arguments else None},
        "unlabeled_category": _scalars([arguments["unlabeled_category"]])[0],
        "labels": _scalars(states[REGISTRY_KEYS.LABELS_KEY]["categorical_mapping"]),
        "batches": _scalars(states[REGISTRY_KEYS.BATCH_KEY]["categorical_mapping"]),
        "categorical_covariates": {name: _scalars(values) for name, values in categorical.items()},
        "continuous_covariates": continuous,
    }  # fmt: skip
    table = design[[LABEL, BATCH, *categorical, *continuous, N_CELLS]]
    return content, {_DESIGN: np.ascontiguousarray(table.to_numpy(dtype=np.float64))}


def cells_from_json(
    fields: Fields, tensors: Tensors, *, genes: pd.Index, proteins: pd.Index | None, model_name: str, scvi_version: str
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The registry and the design table; their tensors are taken out of ``tensors``.

    Raises
    ------
    ValueError
        If a value is of another type, or one does not fit the other.
    """
    fields.only((
        "setup_method", "setup_arguments", "unlabeled_category", "labels", "batches", "categorical_covariates",
        "continuous_covariates",
    ))  # fmt: skip
    method = fields.text("setup_method")
    if method not in _LAYERS or (method == "setup_mudata") != (proteins is not None):
        raise refused(
            fields.where, f"'setup_method' is {method!r}, {'with' if proteins is not None else 'without'} proteins"
        )
    arguments = _arguments(fields.fields("setup_arguments"), method)
    labels, batches = fields.scalars("labels"), fields.scalars("batches")
    unlabeled = cast(Scalar | None, fields.any("unlabeled_category"))
    if unlabeled is not None and (arguments["labels_key"] is None or labels[-1] != unlabeled or len(labels) < 2):
        raise refused(fields.where, "'unlabeled_category' must be the last of at least two 'labels'")
    arguments["unlabeled_category"] = unlabeled
    mappings = fields.fields("categorical_covariates")
    categorical = {name: mappings.scalars(name) for name in mappings.values}
    continuous = fields.texts("continuous_covariates")
    for name, found in {_LISTS[0]: list(categorical), _LISTS[1]: continuous}.items():
        if (arguments[name] or []) != found:
            raise refused(fields.where, f"{name!r} are {arguments[name]}, and described are {found}")
    for name, categories in {"labels_key": labels, "batch_key": batches}.items():
        if arguments[name] is None and len(categories) > 1:
            raise refused(fields.where, f"there is no {name!r}, and {len(categories)} categories")
    codes = {LABEL: labels, BATCH: batches, **categorical}
    design = _design(fields, tensors.pop(_DESIGN, None), codes, continuous, len(labels) - (unlabeled is not None))
    registry = _registry(
        arguments, method, model_name, scvi_version, codes, categorical, continuous, genes, proteins,
        n_cells=int(design[N_CELLS].sum()),
    )  # fmt: skip
    return registry, design


def _arguments(given: Fields, method: str) -> dict[str, Any]:
    """Checked arguments of the set-up method."""
    given.only((*_LAYERS[method], *_COLUMNS, *_LISTS, "modalities"))
    arguments: dict[str, Any] = {name: given.text_or_none(name) for name in (*_LAYERS[method], *_COLUMNS)}
    for name in _LISTS:
        arguments[name] = None if given.any(name) is None else given.texts(name)
    if method == "setup_mudata":
        modalities = given.fields("modalities")
        modalities.only((*_LAYERS[method], *_COLUMNS, *_LISTS))
        arguments["modalities"] = {name: modalities.text(name) for name in (*_LAYERS[method], *modalities.values)}
    return arguments


def _design(
    fields: Fields, values: np.ndarray | None, codes: Mapping[str, list[Scalar]], continuous: list[str], n_types: int
) -> pd.DataFrame:
    """The checked design table."""
    columns = [*codes, *continuous, N_CELLS]
    if (
        values is None
        or values.dtype != np.float64
        or values.ndim != 2
        or values.shape[1] != len(columns)
        or len(set(columns)) < len(columns)
        or not np.isfinite(values).all()
    ):
        raise refused(fields.where, f"its tensor {_DESIGN!r} must be finite float64, one column for each of {columns}")
    table = pd.DataFrame(values.copy(), columns=columns)
    for name in (*codes, N_CELLS):
        column = values[:, columns.index(name)]
        least, most = (1, 2**53) if name == N_CELLS else (0, len(codes[name]) - 1)
        if (column != np.round(column)).any() or (column < least).any() or (column > most).any():
            raise refused(fields.where, f"{name!r} in its tensor {_DESIGN!r} must be whole, from {least} to {most}")
        table[name] = column.astype(np.int64)
    if not (table[LABEL] < n_types).any():
        raise refused(fields.where, f"its tensor {_DESIGN!r} has no cell of any type")
    return table


def _registry(
    arguments: dict[str, Any],
    method: str,
    model_name: str,
    scvi_version: str,
    codes: Mapping[str, list[Scalar]],
    categorical: dict[str, list[Scalar]],
    continuous: list[str],
    genes: pd.Index,
    proteins: pd.Index | None,
    *,
    n_cells: int,
) -> dict[str, Any]:
    """The registry that scvi-tools' set-up writes, as far as a model without its cells is asked for it."""

    def field(state: dict[str, Any], **summary: int) -> dict[str, Any]:
        return {"data_registry": {}, "state_registry": state, "summary_stats": summary}

    def names(index: pd.Index) -> dict[str, Any]:
        return {"n_obs": n_cells, "n_vars": len(index), "column_names": index.to_numpy(dtype=object)}

    labels = {"categorical_mapping": _array(codes[LABEL]), "original_key": arguments["labels_key"] or "_scvi_labels"}
    if arguments["unlabeled_category"] is not None:
        labels["unlabeled_category"] = arguments["unlabeled_category"]
    batches = {"categorical_mapping": _array(codes[BATCH]), "original_key": arguments["batch_key"] or "_scvi_batch"}
    covariates: dict[str, Any] = {}
    if categorical:
        covariates = {
            "mappings": {name: _array(values) for name, values in categorical.items()},
            "field_keys": list(categorical),
            "n_cats_per_key": [len(values) for values in categorical.values()],
        }
    values = {"columns": np.array(continuous, dtype=object)} if continuous else {}
    registries = {
        REGISTRY_KEYS.X_KEY: field(names(genes), n_vars=len(genes), n_cells=n_cells),
        REGISTRY_KEYS.BATCH_KEY: field(batches, n_batch=len(codes[BATCH])),
        REGISTRY_KEYS.LABELS_KEY: field(labels, n_labels=len(codes[LABEL])),
        REGISTRY_KEYS.SIZE_FACTOR_KEY: field({}),
        REGISTRY_KEYS.CAT_COVS_KEY: field(covariates, n_extra_categorical_covs=len(categorical)),
        REGISTRY_KEYS.CONT_COVS_KEY: field(values, n_extra_continuous_covs=len(continuous)),
    }
    if proteins is not None:
        registries[REGISTRY_KEYS.PROTEIN_EXP_KEY] = field(names(proteins), n_proteins=len(proteins))
    return {
        "scvi_version": scvi_version,
        "model_name": model_name,
        "setup_method_name": method,
        "setup_args": arguments,
        "field_registries": registries,
    }


def _scalars(values: Iterable[Any]) -> list[Any]:
    """Categories of Python's own types."""
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    if odd := [value for value in plain if not isinstance(value, str | int | float | None)]:
        raise TypeError(f"The export holds categories that are strings or numbers, and {odd[0]!r} is neither.")
    return [str(value) if isinstance(value, str) else value for value in plain]


def _array(values: list[Scalar]) -> np.ndarray:
    """Categories as scvi-tools has them: numbers in an array of numbers, all else as objects."""
    kinds = {type(value) for value in values}
    return np.array(values) if len(kinds) == 1 and str not in kinds else np.array(values, dtype=object)
