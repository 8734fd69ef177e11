"""Training from a data module, which reads cells from disk in minibatches: they are never all in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import LightningDataModule
from scipy.sparse import csr_matrix, vstack
from scvi import REGISTRY_KEYS
from torch import Tensor

from activa.model._checks import ROWS, check_values
from activa.model._plan_cells import BATCH, LABEL, design_table
from activa.settings import GeneLikelihood

_MAX_CELLS, _MIN_PER_TYPE = 20_000, 30
_TOTAL, _ORDER = "_activa_total", "_activa_order"


def as_setup_anndata(registry: dict[str, Any], model_name: str) -> dict[str, Any]:
    """The registry that ``setup_anndata`` would have written for a data module's cells; any other as it is.

    So a model that was trained from a data module is saved, loaded and given AnnData like any other.

    Raises
    ------
    TypeError, ValueError
        If it is no registry.
    KeyError
        If the data module has not found its column of labels.
    """
    if not isinstance(registry, dict):
        raise TypeError(f"registry must be that of a data module or a model, got {registry!r}.")
    if missing := {"setup_args", "field_registries"} - set(registry):
        raise ValueError(
            f"registry must be that of a data module or a model, got {registry!r} without {sorted(missing)}."
        )
    if registry.get("setup_method_name") != "setup_datamodule":
        return registry
    given, fields = registry["setup_args"], registry["field_registries"]
    names = ("layer", "labels_key", "batch_key", "categorical_covariate_keys", "continuous_covariate_keys")
    labels = dict(fields[REGISTRY_KEYS.LABELS_KEY]["state_registry"])
    unlabeled, mapping = labels["unlabeled_category"], np.asarray(labels["categorical_mapping"], dtype=object)
    if given["labels_key"] is None:
        unlabeled = None
        del labels["unlabeled_category"]
    else:
        types = mapping[mapping != unlabeled]
        if not len(types):
            raise KeyError(f"The data module found no column {given['labels_key']!r} of labels, its label_key, in obs.")
        labels["categorical_mapping"] = np.array([*types, unlabeled], dtype=object)
    covariates = dict(fields[REGISTRY_KEYS.CAT_COVS_KEY]["state_registry"])
    if covariates:
        covariates["mappings"] = {name: np.asarray(values) for name, values in covariates.pop("mapping").items()}
    states = {REGISTRY_KEYS.LABELS_KEY: labels, REGISTRY_KEYS.CAT_COVS_KEY: covariates}
    kept = (
        REGISTRY_KEYS.X_KEY, REGISTRY_KEYS.BATCH_KEY, REGISTRY_KEYS.LABELS_KEY, REGISTRY_KEYS.SIZE_FACTOR_KEY,
        REGISTRY_KEYS.CAT_COVS_KEY, REGISTRY_KEYS.CONT_COVS_KEY,
    )  # fmt: skip
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
    """A data module whose codes are the model's and whose shuffling follows a seed.

    Parameters
    ----------
    datamodule
        The user's.
    registry
        The model's.
    seed
        Of the order of annbatch's cells, which has a generator of its own.

    Raises
    ------
    ValueError, KeyError
        If it has other genes than the model, or categories that the model does not know.
    """

    def __init__(self, datamodule: Any, registry: dict[str, Any], seed: int):
        super().__init__()
        self.datamodule, self.seed = datamodule, seed
        theirs = as_setup_anndata(datamodule.registry, "")["field_registries"]
        ours = registry["field_registries"]
        n_theirs, n_ours = (len(r[REGISTRY_KEYS.X_KEY]["state_registry"]["column_names"]) for r in (theirs, ours))
        if n_theirs != n_ours:
            raise ValueError(f"datamodule has {n_theirs} genes, and the model {n_ours}: give cells with its genes.")
        raw = datamodule.registry["field_registries"]
        self.codes = {
            key: _codes(key, raw[key]["state_registry"], ours[key]["state_registry"])
            for key in (REGISTRY_KEYS.LABELS_KEY, REGISTRY_KEYS.BATCH_KEY)
        }

    def __getattr__(self, name: str) -> Any:
        # sizes, indices and set_split, which scvi-tools looks for
        if name == "datamodule":
            raise AttributeError(name)
        return getattr(self.datamodule, name)

    def setup(self, stage: str) -> None:
        """As the user's."""
        self.datamodule.setup(stage)

    def train_dataloader(self) -> Any:
        """The user's, shuffled by the seed."""
        loader = self.datamodule.train_dataloader()
        sampler: Any = getattr(loader, "batch_sampler", None)
        if hasattr(sampler, "rng"):
            sampler.rng = np.random.default_rng(self.seed)
        return loader

    def val_dataloader(self) -> Any:
        """As the user's."""
        return self.datamodule.val_dataloader()

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Tensor]:
        """Tensors with the model's codes."""
        return self._matched(self.datamodule.on_before_batch_transfer(batch, dataloader_idx))

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """All cells, each once."""
        self.datamodule.setup("fit")
        return map(self._matched, self.datamodule.inference_dataloader())

    def _matched(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        for key, codes in self.codes.items():
            tensors[key] = codes[tensors[key].long()]
        return tensors


def _codes(key: str, theirs: dict[str, Any], ours: dict[str, Any]) -> Tensor:
    """The model's code of each of a data module's codes."""
    found, known = (pd.Index(state["categorical_mapping"]).astype(str) for state in (theirs, ours))
    codes = known.get_indexer(found)
    # every data module says that it has an unlabeled category
    unknown = found[(codes < 0) & (found != str(theirs.get("unlabeled_category")))]
    if len(unknown):
        raise KeyError(f"datamodule: {list(unknown)} of {key} not seen in training, which had {list(known)}.")
    return torch.as_tensor(np.maximum(codes, 0))


@dataclass
class CellSample:
    """What is found out about a data module's cells in reading them once."""

    x: csr_matrix
    """About 20,000 of the cells, each type's share of them, but 30 of a type where there are as many."""
    table: pd.DataFrame
    """Codes of type and batch, and covariates, of these cells."""
    totals: np.ndarray
    """Their total counts."""
    design: pd.DataFrame
    """The model's design table, of all cells."""
    covariates: dict[str, list[str]]
    """Names of the categorical and of the continuous covariates."""
    n_cells: int
    """All cells."""

    @property
    def y(self) -> np.ndarray:
        """Label codes of the sampled cells."""
        return self.table[LABEL].to_numpy()

    @property
    def batch(self) -> np.ndarray:
        """Batch codes of the sampled cells."""
        return self.table[BATCH].to_numpy()

    def minibatches(self, size: int = 1024) -> Iterator[dict[str, Tensor]]:
        """The sampled cells as the module takes them."""
        for start in range(0, self.x.shape[0], size):
            rows = slice(start, start + size)
            table = self.table.iloc[rows]
            tensors = {
                REGISTRY_KEYS.X_KEY: torch.as_tensor(self.x[rows].toarray()),
                REGISTRY_KEYS.LABELS_KEY: torch.tensor(table[[LABEL]].to_numpy()),
                REGISTRY_KEYS.BATCH_KEY: torch.tensor(table[[BATCH]].to_numpy()),
            }
            for key, columns in self.covariates.items():
                if columns:
                    tensors[key] = torch.tensor(table[columns].to_numpy())
            yield tensors


def read_cells(
    cells: MatchedDataModule,
    *,
    covariates: dict[str, list[str]],
    layer: str | None,
    gene_likelihood: GeneLikelihood,
    rng: np.random.Generator,
) -> CellSample:
    """Read all cells of a data module once, check them, and keep a sample.

    A few numbers a cell are kept (its type, batch and covariates); counts, of at most 30,000 cells at a time and those
    of rare types.

    Parameters
    ----------
    cells
        The data module.
    covariates
        Names of the categorical and of the continuous covariates, by their registry keys.
    layer, gene_likelihood
        Where the values are from, and which are looked for.
    rng
        Of the sample.

    Raises
    ------
    ValueError
        As :class:`~activa.ACTIVA`, of the values.
    """
    kept: list[tuple[csr_matrix, pd.DataFrame]] = []
    designs: list[pd.DataFrame] = []
    n_new = 0
    for tensors in cells:
        x = csr_matrix(tensors[REGISTRY_KEYS.X_KEY].numpy())
        columns = {
            LABEL: tensors[REGISTRY_KEYS.LABELS_KEY][:, 0].numpy(),
            BATCH: tensors[REGISTRY_KEYS.BATCH_KEY][:, 0].numpy(),
        }
        for key, names in covariates.items():
            columns |= {name: tensors[key][:, i].numpy() for i, name in enumerate(names)}
        designs.append(pd.DataFrame(columns))
        total = check_values(x, layer=layer, gene_likelihood=gene_likelihood)
        kept.append((x, designs[-1].assign(**{_TOTAL: total, _ORDER: rng.random(len(total))})))
        n_new += len(total)
        if n_new >= ROWS:
            kept, n_new = [_thin(kept)], 0
    x, table = _thin(kept)
    design = design_table(pd.concat(designs))
    return CellSample(x, table, table[_TOTAL].to_numpy(), design, covariates, sum(map(len, designs)))


def _thin(pieces: list[tuple[csr_matrix, pd.DataFrame]]) -> tuple[csr_matrix, pd.DataFrame]:
    """The cells that come first in a random order, overall or in their type."""
    table = pd.concat([table for _, table in pieces], ignore_index=True)
    order = table[_ORDER]
    chosen = (order.rank() <= _MAX_CELLS) | (order.groupby(table[LABEL]).rank() <= _MIN_PER_TYPE)
    x = vstack([x for x, _ in pieces], format="csr")
    return x[chosen.to_numpy()], table[chosen]
