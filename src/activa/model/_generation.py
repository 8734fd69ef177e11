"""Generation: labelled synthetic cells as AnnData."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import anndata
import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.sparse import csr_matrix, vstack
from scvi import REGISTRY_KEYS
from tqdm.auto import tqdm

from activa._random import check_seed, seeded
from activa.model._plan_cells import CellPlan, categories_to_codes, per_cell, plan_design, plan_labels
from activa.model._registered import RegisteredMixin
from activa.module import CellDesign

# Cells drawn from one random stream. Part of what a seed means: another number gives other cells.
_BLOCK = 256
_MAX_ATTEMPTS = 50


class GenerationMixin(RegisteredMixin):
    """The ``generate``, ``generate_batches`` and ``augment`` methods."""

    def generate(
        self,
        n: int | None = None,
        *,
        labels: Mapping[str, int] | Sequence[str] | str | None = None,
        labels_key: str | None = None,
        batch: Any = None,
        library_size: float | Sequence[float] | None = None,
        covariates: Mapping[str, Any] | None = None,
        z: np.ndarray | None = None,
        expected: bool = False,
        min_confidence: float | None = None,
        batch_size: int = 4096,
        seed: int | None = None,
    ) -> AnnData:
        """Generate labelled synthetic cells: y -> p(z | y) -> p(l | z, y, b) -> generator -> counts.

        Parameters
        ----------
        n
            How many cells.
        labels
            Type -> how many of it; or one type, of which ``n``; or a sequence of types, one a cell. None gives types in
            training proportions.
        labels_key
            Column of ``obs`` to write the types to; the registered one by default.
        batch
            Batch of all cells, or a sequence with one a cell; None draws batches as they occur in the type.
        library_size
            Total count (or size factor, where that was registered) that a cell's expected counts sum to: one for all,
            or one a cell. None draws it.
        covariates
            Registered covariate -> one value for all cells, or one a cell. Others are drawn as they occur in the type.
        z
            Latents to decode, ``(n, n_latent)``, instead of draws from the prior.
        expected
            Whether to give rates (expected counts, dense float32) instead of sampled counts.
        min_confidence
            Keep only cells that the classifier assigns to the type asked for with at least this probability, and draw
            others in place of the rest. 0 is the paper's filter (the most probable type is the one asked for), None no
            filter.
        batch_size
            Cells held dense at a time, rounded up to whole blocks of 256. The cells do not depend on it.
        seed
            Non-negative integer; the same seed gives the same cells, bit for bit, on one device. None takes a new one,
            which ``uns["activa"]["seed"]`` tells.

        Returns
        -------
        Cells x the registered genes: whole counts in ``X`` (CSR float32), and in the layer that was registered, if one
        was; types (categorical, with the training categories), batch and covariates in ``obs``; a copy of the
        registered ``var``; ``uns["activa"]`` with version, seed and model settings. The registered AnnData and the
        global random state are left as they were.

        Raises
        ------
        TypeError, ValueError, KeyError
            For arguments that do not fit, among them a type never seen in training (KeyError).
        RuntimeError
            If the model has not been trained, or ``min_confidence`` is met too rarely; the message tells how often.

        Examples
        --------
        >>> model.generate(labels={"CD34+": 500}, seed=0)
        """
        batches = self.generate_batches(
            n, labels=labels, labels_key=labels_key, batch=batch, library_size=library_size, covariates=covariates, z=z,
            expected=expected, min_confidence=min_confidence, batch_size=batch_size, seed=seed,
        )  # fmt: skip
        chunks = list(batches)
        if len(chunks) == 1:
            return chunks[0]
        layer, first = self._setup_arg("layer"), chunks[0]
        x = np.concatenate([c.X for c in chunks]) if expected else vstack([c.X for c in chunks], format="csr")
        tables: list[Any] = [c.obs for c in chunks]
        obs: Any = pd.concat(tables)
        return self._as_anndata(x, obs.astype(dict(first.obs.dtypes)), layer, first.uns["activa"])

    def generate_batches(
        self,
        n: int | None = None,
        *,
        labels: Mapping[str, int] | Sequence[str] | str | None = None,
        labels_key: str | None = None,
        batch: Any = None,
        library_size: float | Sequence[float] | None = None,
        covariates: Mapping[str, Any] | None = None,
        z: np.ndarray | None = None,
        expected: bool = False,
        min_confidence: float | None = None,
        batch_size: int = 4096,
        seed: int | None = None,
    ) -> Iterator[AnnData]:
        """Generate cells in chunks, for more of them than memory holds.

        Takes the arguments of :meth:`generate`, checks them at once, and yields AnnData of ``batch_size`` cells (rounded
        up to a multiple of 256, the last one smaller): the same cells that :meth:`generate` gives for the seed.

        Yields
        ------
        As :meth:`generate` returns.

        Examples
        --------
        >>> for i, chunk in enumerate(model.generate_batches(1_000_000, seed=0)):
        ...     chunk.write_h5ad(f"synthetic_{i}.h5ad")
        """
        self._check_if_trained(warn=False)
        seed = check_seed(seed)
        if min_confidence is not None and not 0 <= min_confidence < 1:
            raise ValueError(f"min_confidence must be at least 0 and below 1, got {min_confidence}.")
        if expected and min_confidence is not None:
            raise ValueError("expected=True gives rates, which min_confidence cannot filter: choose one of them.")
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ValueError(f"batch_size must be a positive whole number, got {batch_size!r}.")
        if labels_key is not None and not isinstance(labels_key, str):
            raise TypeError(f"labels_key must be a column name, got {labels_key!r}.")
        plan = self._plan_cells(n, labels, batch, library_size, covariates, z, np.random.default_rng([seed, _BLOCK]))
        obs = self._obs(plan, labels_key)
        uns = self._origin(seed)
        size = -(-batch_size // _BLOCK) * _BLOCK

        def chunks() -> Iterator[AnnData]:
            with tqdm(total=len(plan), unit="cell", desc="Generating", delay=5, leave=False) as progress:
                for start in range(0, len(plan), size):
                    blocks = []
                    for block in range(start // _BLOCK, -(-min(start + size, len(plan)) // _BLOCK)):
                        blocks.append(self._block(plan, block, seed, expected, min_confidence))
                        progress.update(blocks[-1].shape[0])
                    x = np.concatenate(blocks) if expected else vstack(blocks, format="csr")
                    yield self._as_anndata(x, obs.iloc[start : start + size], self._setup_arg("layer"), uns)

        return chunks()

    def augment(self, n: int | None = None, **generate_kwargs: Any) -> AnnData:
        """The registered cells and new ones in one AnnData.

        Parameters
        ----------
        n, **generate_kwargs
            As in :meth:`generate`.

        Returns
        -------
        The real cells (counts from the registered layer, where one was registered, in ``X`` and in that layer) above
        the synthetic ones; ``obs["origin"]`` tells ``"real"`` from ``"synthetic"``. Columns of ``obs`` that only real
        cells have are missing for synthetic ones. ``uns["activa"]`` is as in :meth:`generate`.

        Raises
        ------
        ValueError
            If the model was loaded without data, or as :meth:`generate` does.

        Examples
        --------
        >>> more = model.augment(labels={"CD34+": 500})
        >>> more.obs["origin"].value_counts()
        """
        if self.adata is None:
            raise ValueError(
                "augment needs the real cells, and the model was loaded without data: load it with adata=."
            )
        synthetic = self.generate(n, **generate_kwargs)
        layer = self._setup_arg("layer")
        real = self.adata_manager.get_from_registry(REGISTRY_KEYS.X_KEY)
        obs = self.adata.obs[[c for c in self.adata.obs if not c.startswith("_scvi")]]
        real = self._as_anndata(csr_matrix(real, dtype=np.float32), obs.copy(), layer, {})
        names = pd.Index([*real.obs_names, *synthetic.obs_names])
        if names.has_duplicates:
            synthetic.obs_names = [f"{name}-activa" for name in synthetic.obs_names]
        augmented = anndata.concat(
            {"real": real, "synthetic": synthetic}, label="origin", join="outer", merge="first", uns_merge="first"
        )
        for column in obs.select_dtypes("category"):
            # concat unites categories in order of appearance: the user's order is kept
            known = list(obs[column].cat.categories)
            new = [c for c in augmented.obs[column].dropna().unique() if c not in known]
            augmented.obs[column] = pd.Categorical(augmented.obs[column], categories=known + new)
        return augmented

    # steps

    def _plan_cells(
        self,
        n: int | None,
        labels: Mapping[str, int] | Sequence[str] | str | None,
        batch: Any,
        library_size: Any,
        covariates: Mapping[str, Any] | None,
        z: Any,
        rng: np.random.Generator,
    ) -> CellPlan:
        table = self.design_[self.design_["label"] < len(self.types)]
        sizes = table.groupby("label")["n"].sum().reindex(range(len(self.types)), fill_value=0).to_numpy()
        label = plan_labels(n, labels, self.types, sizes, rng)
        empty = np.unique(label[sizes[label] == 0])
        if empty.size:
            raise KeyError(f"labels: {list(self.types[empty])} have no cell in training.")
        given = {}
        if batch is not None:
            mapping = np.asarray(self._field(REGISTRY_KEYS.BATCH_KEY)["categorical_mapping"])
            given["batch"] = categories_to_codes("batch", per_cell("batch", batch, len(label)), mapping)
        categorical = self._field(REGISTRY_KEYS.CAT_COVS_KEY).get("mappings", {})
        continuous = list(self._field(REGISTRY_KEYS.CONT_COVS_KEY).get("columns", []))
        for name, values in (covariates or {}).items():
            values = per_cell(f"covariates[{name!r}]", values, len(label))
            if name in categorical:
                given[name] = categories_to_codes(f"covariates[{name!r}]", values, categorical[name])
            elif name in continuous:
                if not np.isfinite(values.astype(float)).all():
                    raise ValueError(f"covariates[{name!r}] must be finite numbers.")
                given[name] = values.astype(float)
            else:
                raise KeyError(
                    f"covariates: {name!r} was not registered; registered are {[*categorical, *continuous]}."
                )
        if library_size is not None:
            library_size = per_cell("library_size", library_size, len(label)).astype(float)
            if not (np.isfinite(library_size).all() and (library_size > 0).all()):
                raise ValueError("library_size must be positive and finite.")
        if z is not None:
            z = np.asarray(z, dtype=np.float32)
            if z.shape != (len(label), self.module.n_latent) or not np.isfinite(z).all():
                raise ValueError(
                    f"z must be finite, of shape {(len(label), self.module.n_latent)}, got shape {z.shape}."
                )
        return CellPlan(label, plan_design(label, table, given, rng), library_size, z)

    @torch.inference_mode()
    def _block(self, plan: CellPlan, block: int, seed: int, expected: bool, min_confidence: float | None) -> Any:
        """One block of cells: CSR counts, or dense rates."""
        cells = np.arange(block * _BLOCK, min((block + 1) * _BLOCK, len(plan)))
        if min_confidence is None:
            x = self._draw(plan, cells, expected, seed, block, 0)
            return x if expected else csr_matrix(x)
        kept: np.ndarray = np.empty((len(cells), self.module.n_input), dtype=np.float32)
        waiting, n_drawn = np.arange(len(cells)), 0
        for attempt in range(_MAX_ATTEMPTS):
            x = self._draw(plan, cells[waiting], False, seed, block, attempt)
            n_drawn += len(waiting)
            probabilities = self.module.classify(torch.from_numpy(x).to(self.device)).softmax(-1).cpu().numpy()
            asked = plan.label[cells[waiting]]
            sure = probabilities[np.arange(len(asked)), asked] >= min_confidence
            sure &= probabilities.argmax(-1) == asked
            kept[waiting[sure]] = x[sure]
            waiting = waiting[~sure]
            if not len(waiting):
                return csr_matrix(kept)
        types = sorted({str(t) for t in self.types[plan.label[cells[waiting]]]})
        raise RuntimeError(
            f"min_confidence={min_confidence} was met by {len(cells) - len(waiting)} of {n_drawn} cells drawn "
            f"({(len(cells) - len(waiting)) / n_drawn:.1%}); given up on {len(waiting)} cells of {types} after "
            f"{_MAX_ATTEMPTS} draws each. Lower min_confidence, or leave these types out."
        )

    def _draw(self, plan: CellPlan, cells: np.ndarray, expected: bool, *seed: int) -> np.ndarray:
        """Counts or rates of some of the planned cells, dense float32."""
        module, device = self.module, self.device
        n_categorical = len(module.n_cats_per_cov)
        values = torch.as_tensor(plan.design[cells], dtype=torch.float32, device=device)
        design = CellDesign(
            y=torch.as_tensor(plan.label[cells], device=device)[:, None],
            batch_index=values[:, :1].long(),
            cat_covs=values[:, 1 : 1 + n_categorical].long() if n_categorical else None,
            cont_covs=values[:, 1 + n_categorical :] if values.shape[1] > 1 + n_categorical else None,
        )
        module.eval()
        with seeded(*seed):
            z = module.sample_latent(design) if plan.z is None else torch.as_tensor(plan.z[cells], device=device)
            if plan.library_size is None:
                log_library = module.sample_log_library(z, design)
            else:
                log_library = torch.as_tensor(np.log(plan.library_size[cells]), dtype=torch.float32, device=device)[
                    :, None
                ]
            px = module.decode(z, log_library, design)
            x = px.mean if expected else module.draw(px)
        return x.cpu().numpy()

    def _obs(self, plan: CellPlan, labels_key: str | None) -> pd.DataFrame:
        obs = pd.DataFrame(index=pd.Index([f"synthetic_{i}" for i in range(len(plan))]))
        labels_key = labels_key or self._setup_arg("labels_key")
        types: Any = list(self.types)
        if labels_key is not None:
            obs[labels_key] = pd.Categorical.from_codes(plan.label, categories=types)
        columns = [c for c in self.design_.columns if c not in ("label", "n")]
        mappings: dict[str, Any] = dict(self._field(REGISTRY_KEYS.CAT_COVS_KEY).get("mappings", {}))
        if self._setup_arg("batch_key") is not None:
            mappings["batch"] = self._field(REGISTRY_KEYS.BATCH_KEY)["categorical_mapping"]
        for name, values in zip(columns, plan.design.T, strict=True):
            key = self._setup_arg("batch_key") if name == "batch" else name
            if name in mappings:
                categories: Any = list(mappings[name])
                obs[key] = pd.Categorical.from_codes(values.astype(int), categories=categories)
            elif name != "batch":
                obs[key] = values
        return obs

    def _origin(self, seed: int) -> dict[str, Any]:
        """What ``uns["activa"]`` says: nothing that h5ad cannot hold."""
        from activa import __version__

        settings = {k: v for k, v in self.init_params_["non_kwargs"].items() if v is not None}
        settings = {k: np.asarray(v) if isinstance(v, tuple) else v for k, v in settings.items()}
        return {"version": __version__, "seed": seed, "settings": settings}

    def _as_anndata(self, x: Any, obs: pd.DataFrame, layer: str | None, origin: dict[str, Any]) -> AnnData:
        uns = {"activa": {**origin, "settings": dict(origin["settings"])}} if origin else {}
        return AnnData(x, obs=obs.copy(), var=self.var_.copy(), layers={layer: x.copy()} if layer else None, uns=uns)
