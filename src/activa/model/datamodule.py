"""Training from a data module, which reads cells from disk in minibatches, so that they are never all in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import LightningDataModule
from scipy.sparse import csr_matrix, vstack
from scvi import REGISTRY_KEYS
from torch import Tensor

from activa.checks import check_values
from activa.design import BATCH, LABEL, design_table
from activa.model.registry import registered_names, state_of
from activa.model.start import StartCells, start_from_cells

_MAX_CELLS, _MIN_PER_TYPE = 20_000, 30
_MAX_NEW = 10_000  # cells read before the sample is reduced
_TOTAL, _ORDER = "_activa_total", "_activa_order"
_KEPT = ("X_KEY", "BATCH_KEY", "LABELS_KEY", "SIZE_FACTOR_KEY", "CAT_COVS_KEY", "CONT_COVS_KEY")


def as_setup_anndata(registry: dict[str, Any], model_name: str) -> dict[str, Any]:
    """The registry that ``setup_anndata`` would have written for a data module's cells; other registries unchanged."""
    if not isinstance(registry, dict):
        raise TypeError(f"registry must be that of a data module or a model, got {registry!r}.")
    if missing := {"setup_args", "field_registries"} - set(registry):
        raise ValueError(f"registry must be that of a data module or a model, got one without {sorted(missing)}.")
    if registry.get("setup_method_name") != "setup_datamodule":
        return registry
    given, fields = registry["setup_args"], registry["field_registries"]
    labels, batches = (
        dict(fields[key]["state_registry"]) for key in (REGISTRY_KEYS.LABELS_KEY, REGISTRY_KEYS.BATCH_KEY)
    )
    unlabeled, mapping = labels["unlabeled_category"], np.asarray(labels["categorical_mapping"], dtype=object)
    # without a column, what setup_anndata registers
    if given["batch_key"] is None:
        batches = {"categorical_mapping": np.array([0]), "original_key": "_scvi_batch"}
    if given["labels_key"] is None:
        unlabeled, labels = None, {"categorical_mapping": np.array([0]), "original_key": "_scvi_labels"}
    else:
        types = mapping[mapping != unlabeled]
        if not len(types):
            raise KeyError(f"The data module found no column {given['labels_key']!r} of labels, its label_key, in obs.")
        labels["categorical_mapping"] = np.array([*types, unlabeled], dtype=object)
    covariates = dict(fields[REGISTRY_KEYS.CAT_COVS_KEY]["state_registry"])
    if covariates:
        covariates["mappings"] = {name: np.asarray(values) for name, values in covariates.pop("mapping").items()}
    states = {
        REGISTRY_KEYS.LABELS_KEY: labels,
        REGISTRY_KEYS.BATCH_KEY: batches,
        REGISTRY_KEYS.CAT_COVS_KEY: covariates,
    }
    kept = [getattr(REGISTRY_KEYS, name) for name in _KEPT]
    if given.get("sample_key") is not None:
        kept.append("sample")  # read by differential_abundance
    names = ("layer", "labels_key", "batch_key", "categorical_covariate_keys", "continuous_covariate_keys")
    return {
        "scvi_version": registry["scvi_version"],
        "model_name": model_name,
        "setup_method_name": "setup_anndata",
        "setup_args": {name: given.get(name) for name in names}
        | {"size_factor_key": None, "unlabeled_category": unlabeled},
        "field_registries": {
            key: {**fields[key], "state_registry": states.get(key, fields[key]["state_registry"])} for key in kept
        },
    }


class MatchedDataModule(LightningDataModule):
    """The user's data module with the codes of the model, shuffled by a seed: annbatch has a generator of its own."""

    def __init__(self, datamodule: Any, registry: dict[str, Any], seed: int):
        super().__init__()
        self.datamodule, self.seed = datamodule, seed
        # scvi-tools' DataSplitter has none: its cells are those of the model's registry
        raw = getattr(datamodule, "registry", registry)
        theirs = as_setup_anndata(raw, "")
        n_theirs, n_ours = (len(registered_names(one)) for one in (theirs, registry))
        if n_theirs != n_ours:
            raise ValueError(f"datamodule has {n_theirs} genes, and the model {n_ours}: give cells with its genes.")
        self.codes = {}
        for key, column in ((REGISTRY_KEYS.LABELS_KEY, "labels_key"), (REGISTRY_KEYS.BATCH_KEY, "batch_key")):
            found, known = state_of(raw, key), state_of(registry, key)
            columns = {one["setup_args"][column] for one in (theirs, registry)}
            none = torch.zeros(len(found["categorical_mapping"]), dtype=torch.long)
            self.codes[key] = none if columns == {None} else _codes(key, found, known)

    def __getattr__(self, name: str) -> Any:
        # scvi-tools asks for sizes, indices and set_split
        if name == "datamodule":
            raise AttributeError(name)
        return getattr(self.datamodule, name)

    def train_dataloader(self) -> Any:
        """The user's loader, shuffled by the seed."""
        loader = self.datamodule.train_dataloader()
        sampler: Any = getattr(loader, "batch_sampler", None)
        if hasattr(sampler, "rng"):
            sampler.rng = np.random.default_rng(self.seed)
        return loader

    def setup(self, stage: str) -> None:
        """Set up the user's data module."""
        self.datamodule.setup(stage)

    def val_dataloader(self) -> Any:
        """The user's loader."""
        return self.datamodule.val_dataloader()

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Tensor]:
        """Tensors with the codes of the model."""
        return self._matched(self.datamodule.on_before_batch_transfer(batch, dataloader_idx))

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Minibatches with all cells, each once."""
        self.datamodule.setup("fit")
        if hasattr(self.datamodule, "inference_dataloader"):
            return map(self._matched, self.datamodule.inference_dataloader())
        loaders = (self.datamodule.train_dataloader(), self.datamodule.val_dataloader())
        return map(self._matched, chain.from_iterable(loader for loader in loaders if loader is not None))

    def _matched(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        for key, codes in self.codes.items():
            tensors[key] = codes[tensors[key].long()]
        return tensors


def _codes(key: str, theirs: dict[str, Any], ours: dict[str, Any]) -> Tensor:
    """The code in the model of each code of a data module."""
    found, known = (pd.Index(state["categorical_mapping"]).astype(str) for state in (theirs, ours))
    codes = known.get_indexer(found)
    # every data module claims to have an unlabeled category
    unknown = found[(codes < 0) & (found != str(theirs.get("unlabeled_category")))]
    if len(unknown):
        raise KeyError(f"datamodule: {list(unknown)} of {key} not seen in training, which had {list(known)}.")
    return torch.as_tensor(np.maximum(codes, 0))


@dataclass
class CellSample:
    """What one reading of a data module's cells finds."""

    x: csr_matrix  # about 20,000 of the cells: the same share of each type, but at least 30 cells or all
    table: pd.DataFrame  # codes of type and batch, and covariates, of these cells
    columns: dict[str, list[str]]  # registry key -> columns of the table
    n_cells: int  # number of all cells

    @property
    def y(self) -> np.ndarray:
        """Label codes of the sampled cells."""
        return self.table[LABEL].to_numpy()

    @property
    def batch(self) -> np.ndarray:
        """Batch codes of the sampled cells."""
        return self.table[BATCH].to_numpy()

    def minibatches(self, size: int = 1024) -> Iterator[dict[str, Tensor]]:
        """The sampled cells as input of the module."""
        for start in range(0, self.x.shape[0], size):
            rows = slice(start, start + size)
            table = self.table.iloc[rows]
            tensors = {key: torch.tensor(table[names].to_numpy()) for key, names in self.columns.items() if names}
            yield {REGISTRY_KEYS.X_KEY: torch.as_tensor(self.x[rows].toarray()), **tensors}


def read_datamodule(model: Any, datamodule: Any, seed: int) -> tuple[MatchedDataModule, CellSample]:
    """Read all cells of a data module once, check their values, keep a sample, and start a model without cells from it.

    Memory holds type, batch and covariates of every cell, and counts of at most 30,000 cells plus those of rare types.
    """
    registry, rng = model.registry_, np.random.default_rng(seed)
    matched = MatchedDataModule(datamodule, registry, seed)
    columns = {
        REGISTRY_KEYS.LABELS_KEY: [LABEL],
        REGISTRY_KEYS.BATCH_KEY: [BATCH],
        REGISTRY_KEYS.CAT_COVS_KEY: list(state_of(registry, REGISTRY_KEYS.CAT_COVS_KEY).get("mappings", [])),
        REGISTRY_KEYS.CONT_COVS_KEY: list(state_of(registry, REGISTRY_KEYS.CONT_COVS_KEY).get("columns", [])),
    }
    kept: list[tuple[csr_matrix, pd.DataFrame]] = []
    designs: list[pd.DataFrame] = []
    n_new = 0
    for tensors in matched:
        x = csr_matrix(tensors[REGISTRY_KEYS.X_KEY].numpy())
        codes = {name: tensors[key][:, i].numpy() for key, names in columns.items() for i, name in enumerate(names)}
        designs.append(pd.DataFrame(codes))
        layer, likelihood = registry["setup_args"]["layer"], model.module.gene_likelihood
        total = check_values(x, layer=layer, gene_likelihood=likelihood)
        kept.append((x, designs[-1].assign(**{_TOTAL: total, _ORDER: rng.random(len(total))})))
        n_new += len(total)
        if n_new >= _MAX_NEW:
            kept, n_new = [_reduce(kept)], 0
    x, table = _reduce(kept)
    totals, design = table[_TOTAL].to_numpy(), design_table(pd.concat(designs))
    sample = CellSample(x, table, columns, sum(map(len, designs)))
    if not hasattr(model, "design_"):
        covariates = sample.table[columns[REGISTRY_KEYS.CONT_COVS_KEY]].to_numpy()
        cells = StartCells(x, sample.y, totals, sample.batch, covariates=covariates, n_cells=sample.n_cells)
        start_from_cells(model.module, cells, seed=seed)
        model.design_, model.var_ = design, _gene_table(datamodule, registered_names(registry))
        state_of(registry, REGISTRY_KEYS.X_KEY)["column_names"] = model.var_.index.to_numpy()
    return matched, sample


def _reduce(pieces: list[tuple[csr_matrix, pd.DataFrame]]) -> tuple[csr_matrix, pd.DataFrame]:
    """The cells that are first in a random order, overall or within their type."""
    table = pd.concat([table for _, table in pieces], ignore_index=True)
    order = table[_ORDER]
    chosen = (order.rank() <= _MAX_CELLS) | (order.groupby(table[LABEL]).rank() <= _MIN_PER_TYPE)
    x = vstack([x for x, _ in pieces], format="csr")
    return x[chosen.to_numpy()], table[chosen]


def _gene_table(datamodule: Any, names: np.ndarray) -> pd.DataFrame:
    """annbatch's table of the genes, unless the data module was given other names."""
    var = getattr(getattr(datamodule, "dataset", None), "var", None)
    defaults = [f"gene_{i}" for i in range(len(names))]  # the names of a data module that was given none
    found = [] if var is None else list(var.index.astype(str))
    # numbers are no names: scvi-tools' setup_annbatch gives its loader no table
    if var is not None and found != list(map(str, range(len(names)))) and list(names) in (defaults, found):
        return var.copy()
    return pd.DataFrame(index=names)
