"""What the model's mixins share: the registry of the data, whether the data are there or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from scvi import REGISTRY_KEYS

from activa.module import ACTIVAModule


def trained_genes(registry: dict[str, Any], key: str = REGISTRY_KEYS.X_KEY) -> np.ndarray:
    """Names of the genes in a registry (or of what else the key stands for, the proteins), in its order."""
    return np.asarray(registry["field_registries"][key]["state_registry"]["column_names"]).astype(str)


class RegisteredMixin:
    """Types, genes and set-up arguments, read from the registry that is saved with the model."""

    # set by scvi-tools' base class and by the model
    adata: Any
    adata_manager: Any
    device: Any
    registry_: dict[str, Any]
    init_params_: dict[str, Any]
    module: ACTIVAModule
    design_: pd.DataFrame
    var_: pd.DataFrame
    protein_var_: pd.DataFrame
    _check_if_trained: Callable[..., None]
    _check_counts: Callable[[str], None]
    _make_data_loader: Callable[..., Any]
    _validate_anndata: Callable[..., Any]

    @property
    def types(self) -> np.ndarray:
        """The cell types, in the order of their codes; one, ``"all"``, without labels."""
        if self._setup_arg("labels_key") is None:
            return np.array(["all"], dtype=object)
        field = self._field(REGISTRY_KEYS.LABELS_KEY)
        mapping = np.asarray(field["categorical_mapping"])
        return mapping[mapping != field["unlabeled_category"]] if "unlabeled_category" in field else mapping

    @property
    def trained_genes(self) -> np.ndarray:
        """Names of the genes, in the model's order."""
        return trained_genes(self.registry_)

    @property
    def _modalities(self) -> dict[str, str] | None:
        """Set-up argument -> modality it is found in; None where an AnnData was registered."""
        return self.registry_["setup_args"].get("modalities")

    @property
    def _layer(self) -> str | None:
        """Layer of the genes' counts; None for ``X``."""
        return self._setup_arg("layer" if self._modalities is None else "rna_layer")

    def _registered_proteins(self) -> np.ndarray | None:
        """The registered proteins, dense float32, ``(n_cells, n_proteins)``; None without."""
        if self._modalities is None:
            return None
        values = self.adata_manager.get_from_registry(REGISTRY_KEYS.PROTEIN_EXP_KEY)
        return np.asarray(values.toarray() if issparse(values) else values, dtype=np.float32)

    def _field(self, key: str) -> dict[str, Any]:
        """State registry of a field; empty where nothing is registered."""
        return self.registry_["field_registries"].get(key, {}).get("state_registry") or {}

    def _setup_arg(self, name: str) -> Any:
        return self.registry_["setup_args"][name]
