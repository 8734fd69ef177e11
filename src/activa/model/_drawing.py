"""Drawing the cells that are asked for: plan, blocks with a random stream each, AnnData."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.sparse import csr_matrix, hstack, issparse, vstack
from scvi import REGISTRY_KEYS
from torch import Tensor

from activa.metrics.privacy import TooClose
from activa.model._cells import as_mudata
from activa.model._filters import Filters
from activa.model._plan_cells import (
    BATCH,
    LABEL,
    N_CELLS,
    CellPlan,
    categories_to_codes,
    numbers,
    per_cell,
    plan_design,
    plan_labels,
)
from activa.model._registered import RegisteredMixin
from activa.module import MAX_RATE, Condition, draw_counts, sample_cells
from activa.seeds import seeded
from activa.threads import threads_of_one

# Cells drawn from one random stream. Part of what a seed means: another number gives other cells.
BLOCK = 256
# Values decoded at a time: so many stay in a processor's cache. Part of what a seed means, too.
_VALUES = 2**20
_MAX_ATTEMPTS = 50


class Latents(NamedTuple):
    """What cells are decoded from."""

    z: Tensor
    log_library: Tensor
    condition: Condition
    p_proteins: Any
    """Distribution of the proteins, None without."""
    proteins: Tensor | None
    seed: int
    """Of the counts."""


def _as_csr(where: Tensor, counts: Tensor, n_cells: int, n_genes: int) -> csr_matrix:
    """CSR of counts at flat indices."""
    index, data = where.cpu().numpy(), counts.cpu().numpy()
    indptr = np.searchsorted(index, np.arange(n_cells + 1) * n_genes)
    return csr_matrix((data, (index % n_genes).astype(np.int32), indptr.astype(np.int32)), shape=(n_cells, n_genes))


class DrawingMixin(RegisteredMixin):
    """The steps of generation."""

    def _type_sizes(self) -> np.ndarray:
        """How many cells of each type were trained on, ``(n_types,)``."""
        sizes = self.design_.groupby(LABEL)[N_CELLS].sum()
        return sizes.reindex(range(len(self.types)), fill_value=0).to_numpy()

    def _plan_cells(
        self,
        n: int | None,
        labels: Mapping[str, int] | pd.Series | Sequence[str] | str | None,
        batch: Any,
        library_size: Any,
        covariates: Mapping[str, Any] | None,
        z: Any,
        rng: np.random.Generator,
    ) -> CellPlan:
        table = self.design_[self.design_[LABEL] < len(self.types)]
        sizes = self._type_sizes()
        label = plan_labels(n, labels, self.types, sizes, rng)
        empty = np.unique(label[sizes[label] == 0])
        if empty.size:
            raise KeyError(f"labels: {list(self.types[empty])} have no cell in training.")
        given = {}
        if batch is not None:
            if self._setup_arg("batch_key") is None:
                raise ValueError(f"batch={batch!r} was asked for, and no batch_key was registered by setup_anndata.")
            mapping = np.asarray(self._field(REGISTRY_KEYS.BATCH_KEY)["categorical_mapping"])
            given[BATCH] = categories_to_codes("batch", per_cell("batch", batch, len(label)), mapping)
        categorical = self._field(REGISTRY_KEYS.CAT_COVS_KEY).get("mappings", {})
        continuous = list(self._field(REGISTRY_KEYS.CONT_COVS_KEY).get("columns", []))
        if covariates is not None and not isinstance(covariates, Mapping):
            raise TypeError(f"covariates must map covariates to values, got {covariates!r}.")
        for name, values in (covariates or {}).items():
            argument = f"covariates[{name!r}]"
            if name in categorical:
                values = per_cell(argument, values, len(label))
                given[name] = categories_to_codes(argument, values, categorical[name])
            elif name in continuous:
                given[name] = numbers(argument, values, len(label))
            else:
                raise KeyError(
                    f"covariates: {name!r} was not registered; registered are {[*categorical, *continuous]}."
                )
        if library_size is not None:
            if not self.module.is_count:
                raise ValueError(
                    f"library_size has no part in gene_likelihood={self.module.gene_likelihood!r}: leave it out."
                )
            library_size = numbers("library_size", library_size, len(label))
            if (library_size <= 0).any():
                raise ValueError(f"library_size must be positive, got {library_size.min()}.")
            if (library_size > MAX_RATE).any():
                raise ValueError(
                    f"library_size must be at most {MAX_RATE:g}, above which counts are not drawn, got {library_size.max()}."
                )
        if z is not None:
            try:
                z = np.asarray(z).astype(np.float32, casting="same_kind")
            except (TypeError, ValueError) as error:
                raise TypeError(f"z must be a matrix of numbers, got {z!r}.") from error
            if z.shape != (len(label), self.module.n_latent) or not np.isfinite(z).all():
                raise ValueError(
                    f"z must be finite, of shape {(len(label), self.module.n_latent)}, got shape {z.shape}."
                )
        return CellPlan(label, plan_design(label, table, given, rng), library_size, z)

    def _latents(self, plan: CellPlan, cells: np.ndarray, *seed: int) -> Latents:
        """What some of the planned cells are decoded from, and a seed for their counts."""
        module, device = self.module, self.device
        n_categorical = len(module.n_cats_per_cov)
        values = torch.as_tensor(plan.design[cells], dtype=torch.float32, device=device)
        condition = Condition(
            y=torch.as_tensor(plan.label[cells], device=device)[:, None],
            batch_index=values[:, :1].long(),
            cat_covs=values[:, 1 : 1 + n_categorical].long() if n_categorical else None,
            cont_covs=values[:, 1 + n_categorical :] if values.shape[1] > 1 + n_categorical else None,
        )
        with torch.inference_mode(), seeded(*seed):
            z = module.sample_latent(condition) if plan.z is None else torch.as_tensor(plan.z[cells], device=device)
            if plan.library_size is None:
                log_library = module.sample_log_library(z, condition)
            else:
                log_library = torch.as_tensor(np.log(plan.library_size[cells]), dtype=torch.float32, device=device)[
                    :, None
                ]
            p_proteins = None if module.proteins is None else module.decode_proteins(z, log_library, condition)
            proteins = None if p_proteins is None else sample_cells(p_proteins)
            seed_of_counts = int(torch.randint(2**62, ()))
        return Latents(z, log_library, condition, p_proteins, proteins, seed_of_counts)

    @torch.inference_mode()
    def _decode(self, latents: Latents, expected: bool) -> Any:
        """Counts (CSR), or rates (dense), of cells, and their proteins beside them; float32.

        It draws from a generator of its own, so that several threads can be at it.
        """
        module = self.module
        generator = torch.Generator(self.device).manual_seed(latents.seed)
        n_rows = max(_VALUES // module.n_input, 1)
        parts = []
        for start in range(0, len(latents.z), n_rows):
            rows = slice(start, start + n_rows)
            px = module.decode(latents.z[rows], latents.log_library[rows], latents.condition.take(rows))
            if expected:
                parts.append(px.mean.cpu().numpy())
            elif module.is_count:
                parts.append(_as_csr(*draw_counts(px, generator), len(px.scale), module.n_input))
            else:
                parts.append(csr_matrix(module.draw(px, generator).cpu().numpy()))
        if expected:
            rates = [np.concatenate(parts)]
            if latents.p_proteins is not None:
                rates.append(latents.p_proteins.mean.cpu().numpy())
            return np.concatenate(rates, axis=-1)
        x = vstack(parts, format="csr")
        if latents.proteins is not None:
            x = hstack([x, csr_matrix(latents.proteins.cpu().numpy())], format="csr")
        return x

    def _filtered(self, plan: CellPlan, cells: np.ndarray, filters: Filters, *seed: int) -> csr_matrix:
        """Counts of planned cells that pass, each drawn until it does."""
        kept, order = [], []
        waiting, n_drawn = np.arange(len(cells)), 0
        for attempt in range(_MAX_ATTEMPTS):
            x = self._decode(self._latents(plan, cells[waiting], *seed, attempt), expected=False)
            n_drawn += len(waiting)
            passes = filters.passing(x[:, : self.module.n_input], plan.label[cells[waiting]])
            kept.append(x[passes])
            order.append(waiting[passes])
            waiting = waiting[~passes]
            if not len(waiting):
                return vstack(kept, format="csr")[np.argsort(np.concatenate(order))]
        types = sorted({str(t) for t in self.types[plan.label[cells[waiting]]]})
        raise RuntimeError(
            f"{filters} was met by {len(cells) - len(waiting)} of {n_drawn} cells drawn "
            f"({(len(cells) - len(waiting)) / n_drawn:.1%}); given up on {len(waiting)} cells of {types} after "
            f"{_MAX_ATTEMPTS} draws each. {filters.advice}, or leave these types out."
        )

    def _blocks(
        self, plan: CellPlan, blocks: range, seed: int, expected: bool, filters: Filters | None
    ) -> Iterator[Any]:
        """Blocks of cells, in order: CSR counts, or dense rates."""
        self.module.eval()
        with threads_of_one(self.device) as pool:
            if filters is None:
                # draws of latents are from the global generators, one block at a time
                latents = [self._latents(plan, plan.block(block, BLOCK), seed, block, 0) for block in blocks]
                yield from pool.map(self._decode, latents, [expected] * len(latents))
            else:
                for block in blocks:
                    yield self._filtered(plan, plan.block(block, BLOCK), filters, seed, block)

    def _filters(self, min_confidence: float | None, refuse: TooClose | None, expected: bool) -> Filters | None:
        """The checked filters; None where all cells are kept."""
        filters = Filters(self.module, self.types, self.trained_genes, min_confidence, refuse)
        if not filters.names:
            return None
        if expected:
            raise ValueError(f"expected=True gives rates, which {filters} cannot filter: choose one of them.")
        return filters

    def _obs(self, plan: CellPlan, labels_key: str | None) -> pd.DataFrame:
        obs = pd.DataFrame(index=pd.Index([f"synthetic_{i}" for i in range(len(plan))]))
        labels_key = labels_key or self._setup_arg("labels_key")
        types: Any = list(self.types)
        if labels_key is not None:
            obs[labels_key] = pd.Categorical.from_codes(plan.label, categories=types)
        mappings: dict[str, Any] = dict(self._field(REGISTRY_KEYS.CAT_COVS_KEY).get("mappings", {}))
        if self._setup_arg("batch_key") is not None:
            mappings[BATCH] = self._field(REGISTRY_KEYS.BATCH_KEY)["categorical_mapping"]
        names = [c for c in self.design_.columns if c not in (LABEL, N_CELLS)]
        for name, key, values in zip(names, self._design_columns(), plan.design.T, strict=True):
            if name in mappings:
                categories: Any = list(mappings[name])
                obs[key] = pd.Categorical.from_codes(values.astype(int), categories=categories)
            elif name != BATCH:
                obs[key] = values
        return obs

    def _design_columns(self) -> list[str | None]:
        """Columns of obs that batch (None where none was registered) and covariates are written to."""
        names = [c for c in self.design_.columns if c not in (LABEL, N_CELLS)]
        return [self._setup_arg("batch_key") if name == BATCH else name for name in names]

    def _origin(self, seed: int) -> dict[str, Any]:
        """What ``uns["activa"]`` says: nothing that h5ad cannot hold."""
        from activa import __version__

        settings = self.settings.to_uns()
        return {"version": __version__, "seed": seed, "settings": settings}

    def _as_cells(self, x: Any, obs: pd.DataFrame, origin: dict[str, Any]) -> Any:
        """AnnData of genes; where proteins are registered, their columns follow and it is MuData."""
        uns = {"activa": {**origin, "settings": dict(origin["settings"])}} if origin else {}
        if self._modalities is None:
            return self._as_anndata(x, obs, self.var_, self._layer, uns)
        n_genes = len(self.var_)
        proteins = x[:, n_genes:].toarray() if issparse(x) else x[:, n_genes:].copy()
        genes = self._as_anndata(x[:, :n_genes].copy(), obs, self.var_, self._layer, {})
        layer = self._setup_arg("protein_layer")
        return as_mudata(
            {
                self._modalities["rna_layer"]: genes,
                self._modalities["protein_layer"]: self._as_anndata(proteins, obs, self.protein_var_, layer, {}),
            },
            obs,
            uns,
        )

    def _values(self, cells: Any) -> Any:
        """What :meth:`_as_cells` made cells of."""
        if self._modalities is None:
            return cells.X
        genes, proteins = (cells[self._modalities[key]].X for key in ("rna_layer", "protein_layer"))
        return hstack([genes, csr_matrix(proteins)], format="csr") if issparse(genes) else np.hstack([genes, proteins])

    @staticmethod
    def _as_anndata(x: Any, obs: pd.DataFrame, var: pd.DataFrame, layer: str | None, uns: dict[str, Any]) -> AnnData:
        return AnnData(x, obs=obs.copy(), var=var.copy(), layers={layer: x.copy()} if layer else None, uns=uns)
