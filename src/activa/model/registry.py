"""What scvi-tools' registry says of the training cells: read into a design, and written to an export as plain values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scvi import REGISTRY_KEYS

from activa.assembly import plain
from activa.design import Design
from activa.io.sampler_files import as_categories


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


def design_of(registry: dict[str, Any], table: pd.DataFrame) -> Design:
    """The design of the registered cells."""
    arguments = registry["setup_args"]
    labels, unlabeled = label_names(registry), arguments.get("unlabeled_category")
    modalities = arguments.get("modalities")
    return Design(
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
        modalities=None if modalities is None else (modalities["rna_layer"], modalities["protein_layer"]),
    )


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
