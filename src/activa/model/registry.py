"""What scvi-tools' registry of a model says: modalities, genes, labels, and the design of the cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scvi import REGISTRY_KEYS

from activa.assembly import plain
from activa.design import Design
from activa.io.sampler_files import as_categories


def modalities_of(registry: Mapping[str, Any]) -> tuple[str, str] | None:
    """Names of the modalities of genes and proteins; None if AnnData was registered."""
    modalities = registry["setup_args"].get("modalities")
    return None if modalities is None else (modalities["rna_layer"], modalities["protein_layer"])


def state_of(registry: dict[str, Any], key: str) -> dict[str, Any]:
    """State of a registered field; empty where nothing was registered."""
    return registry["field_registries"].get(key, {}).get("state_registry") or {}


def registered_names(registry: dict[str, Any], key: str = REGISTRY_KEYS.X_KEY) -> np.ndarray:
    """Names of the registered genes, or of the proteins, in the model's order."""
    return np.asarray(state_of(registry, key)["column_names"]).astype(str)


def label_names(registry: dict[str, Any]) -> np.ndarray:
    """All labels in the order of their codes; the unlabeled category, if there is one, is the last."""
    if registry["setup_args"]["labels_key"] is None:
        return np.array(["all"], dtype=object)
    return np.asarray(state_of(registry, REGISTRY_KEYS.LABELS_KEY)["categorical_mapping"])


def appearance_of(cells: AnnData | MuData, design: Design) -> dict[str, Any]:
    """Columns of the design whose categories are ordered, and colors of the categories, as plain values."""
    ordered, colors = [], {}
    parts: list[Any] = [cells, *getattr(cells, "mod", {}).values()]
    for key, values in design.categories.items():
        part = next((part for part in parts if key in part.obs), None)
        if part is None or not isinstance(part.obs[key].dtype, pd.CategoricalDtype):
            continue
        known, given = part.obs[key].cat.categories, part.uns.get(f"{key}_colors", ())
        # scvi-tools puts another category in the place of the unlabeled one
        if part.obs[key].cat.ordered and list(known[known.isin(values)]) == list(values):
            ordered.append(key)
        if len(given) == len(known):
            color_of = dict(zip(known, map(str, given), strict=True))
            colors[key] = [color_of[value] for value in values]
    return {"ordered": ordered, "colors": colors}


def design_of(registry: dict[str, Any], table: pd.DataFrame, appearance: Mapping[str, Any] | None = None) -> Design:
    """The design of the registered cells; colors are left out where there are new categories."""
    arguments, look = registry["setup_args"], {"ordered": [], "colors": {}} | dict(appearance or {})
    labels, unlabeled = label_names(registry), arguments.get("unlabeled_category")
    modalities = modalities_of(registry)
    design = Design(
        types=labels if unlabeled is None else labels[labels != unlabeled],
        batches=np.asarray(state_of(registry, REGISTRY_KEYS.BATCH_KEY)["categorical_mapping"]),
        table=table,
        categorical={
            str(name): np.asarray(values)
            for name, values in state_of(registry, REGISTRY_KEYS.CAT_COVS_KEY).get("mappings", {}).items()
        },
        continuous=tuple(map(str, state_of(registry, REGISTRY_KEYS.CONT_COVS_KEY).get("columns", []))),
        labels_key=arguments["labels_key"],
        batch_key=arguments["batch_key"],
        layer=arguments["layer" if modalities is None else "rna_layer"],
        protein_layer=arguments.get("protein_layer"),
        modalities=modalities,
        ordered=tuple(look["ordered"]),
    )
    sizes = {key: len(values) for key, values in design.categories.items()}
    return replace(design, colors={key: of for key, of in look["colors"].items() if len(of) == sizes.get(key)})


def registry_to_json(value: Any) -> Any:
    """A registry as JSON holds it: arrays become ``{"array": [...]}``."""
    if isinstance(value, dict):
        return {str(name): registry_to_json(v) for name, v in value.items()}
    return {"array": plain(value)} if isinstance(value, np.ndarray) else plain(value)


def registry_from_json(value: Any) -> Any:
    """What :func:`registry_to_json` was given."""
    if not isinstance(value, dict):
        return value
    if set(value) == {"array"}:
        return as_categories(value["array"])
    return {name: registry_from_json(v) for name, v in value.items()}
