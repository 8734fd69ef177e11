"""What a model is told of its cells before training: where to start, and how types, batches and covariates occur."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import LightningDataModule
from scvi import REGISTRY_KEYS

from activa.model._components import principal_components
from activa.model._datamodule import CellSample, MatchedDataModule, read_cells
from activa.model._moments import gene_moments
from activa.model._registered import RegisteredMixin


class StartMixin(RegisteredMixin):
    """Start from cells that are in memory, or from a sample of those that a data module reads."""

    def _start_from_cells(
        self,
        x: Any,
        y: np.ndarray,
        library: np.ndarray,
        *,
        seed: int,
        n_cells: int | None = None,
        proteins: np.ndarray | None = None,
        batch: np.ndarray | None = None,
    ) -> None:
        """Start the module from cells ``(n, n_genes)``, labels and library sizes ``(n,)``; a sample of ``n_cells``.

        ``proteins`` ``(n, n_proteins)`` and ``batch`` ``(n,)`` are of the same cells.
        """
        module = self.module
        module.initialize_from_moments(
            *gene_moments(x, library, module.gene_likelihood), torch.as_tensor(np.log(library)).float()
        )
        standardized = None if proteins is None else module.initialize_proteins(proteins)
        if not module.is_linear:
            return
        start = principal_components(
            x,
            y,
            n_latent=module.n_latent,
            n_labels=module.n_labels,
            n_components=module.n_prior_components,
            with_offsets=module.gate is not None,
            counts=module.is_count,
            seed=seed,
            n_cells=n_cells,
            proteins=standardized,
            batch=batch,
            n_batch=module.n_batch,
        )
        module.initialize_from_components(start)

    def _read_datamodule(self, datamodule: LightningDataModule, seed: int) -> tuple[MatchedDataModule, CellSample]:
        """Read a data module's cells once; an untrained model starts from them."""
        matched = MatchedDataModule(datamodule, self.registry_, seed)
        sample = read_cells(
            matched,
            covariates={
                REGISTRY_KEYS.CAT_COVS_KEY: list(self._field(REGISTRY_KEYS.CAT_COVS_KEY).get("mappings", {})),
                REGISTRY_KEYS.CONT_COVS_KEY: list(self._field(REGISTRY_KEYS.CONT_COVS_KEY).get("columns", [])),
            },
            layer=self._layer,
            gene_likelihood=self.module.gene_likelihood,
            rng=np.random.default_rng(seed),
        )
        if not hasattr(self, "design_"):
            self._start_from_cells(
                sample.x, sample.y, sample.totals, seed=seed, n_cells=sample.n_cells, batch=sample.batch
            )
            self.design_, self.var_ = sample.design, _genes(datamodule, self.trained_genes)
            self.registry_["field_registries"][REGISTRY_KEYS.X_KEY]["state_registry"]["column_names"] = (
                self.var_.index.to_numpy()
            )
        return matched, sample


def _genes(datamodule: Any, names: np.ndarray) -> pd.DataFrame:
    """The genes' table: annbatch's, unless the data module was given other names than it has."""
    var = getattr(getattr(datamodule, "dataset", None), "var", None)
    stand_ins = [f"gene_{i}" for i in range(len(names))]  # a data module's where it was given none
    if var is not None and list(names) in (stand_ins, list(var.index.astype(str))):
        return var.copy()
    return pd.DataFrame(index=names)
