"""Generation: labeled synthetic cells as AnnData."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix, hstack, vstack
from scvi import REGISTRY_KEYS
from tqdm.auto import tqdm

from activa.arguments import check_booleans, check_integers, check_numbers
from activa.metrics.privacy import TooClose
from activa.model._cells import as_mudata, stack
from activa.model._drawing import BLOCK, DrawingMixin
from activa.model.setup_checks import LAYERS
from activa.seeds import check_seed


class GenerationMixin(DrawingMixin):
    """The ``generate``, ``generate_batches`` and ``augment`` methods."""

    def generate(
        self,
        n: int | None = None,
        *,
        labels: Mapping[str, int] | pd.Series | Sequence[str] | str | None = None,
        labels_key: str | None = None,
        batch: Any = None,
        library_size: float | Sequence[float] | None = None,
        covariates: Mapping[str, Any] | None = None,
        z: np.ndarray | None = None,
        expected: bool = False,
        min_confidence: float | None = None,
        refuse: TooClose | None = None,
        batch_size: int = 4096,
        seed: int | None = None,
    ) -> AnnData:
        """Generate labeled synthetic cells: y -> p(z | y) -> p(l | z, y, b) -> generator -> counts.

        Parameters
        ----------
        n
            How many cells.
        labels
            Type -> how many of it (what ``value_counts()`` gives will do); or one type, of which ``n``; or a sequence of types, one a cell. None gives types in
            training proportions.
        labels_key
            Column of ``obs`` to write the types to; the registered one by default.
        batch
            Batch of all cells, or a sequence with one a cell; None draws batches as they occur in the type.
        library_size
            Total count (or size factor, where that was registered) that a cell's expected counts sum to: one for all,
            or one a cell, 1e8 at most. None draws it.
        covariates
            Registered covariate -> one value for all cells, or one a cell. Others are drawn as they occur in the type.
        z
            Latents to decode, ``(n, n_latent)``, instead of draws from the prior.
        expected
            Whether to give rates (expected counts, dense float32) instead of sampled counts.
        min_confidence
            Keep only cells that the classifier assigns to the type asked for with at least this probability, and draw
            others in place of the rest. 0 is the paper's filter (the most probable type is the one asked for). None is no
            filter where the prior or the generator is given the type; where neither is, as in the paper's model, it is
            0, but for ``expected`` or given latents.
        refuse
            Which cells are closer to a training cell than real held-out cells are
            (:class:`activa.metrics.privacy.TooClose`, made of those): others are drawn in their place, of the types asked
            for. The cells that are kept are those that the seed gives without it. Of counts of genes only; proteins are not
            compared. No promise of privacy: that class says what it does.
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
        global random state are left as they were. A model of MuData gives MuData, its modalities named as those
        registered: the proteins of the same cells beside them (dense float32; whole counts under ``"nb"``), ``obs`` at the
        top and in both.

        Raises
        ------
        TypeError, ValueError, KeyError
            For arguments that do not fit, among them a type never seen in training (KeyError).
        RuntimeError
            If the model has not been trained, or ``min_confidence`` or ``refuse`` is met too rarely; the message tells how
            often.

        Examples
        --------
        >>> model.generate(labels={"CD34+": 500}, seed=0)
        """
        batches = self.generate_batches(
            n, labels=labels, labels_key=labels_key, batch=batch, library_size=library_size, covariates=covariates, z=z,
            expected=expected, min_confidence=min_confidence, refuse=refuse, batch_size=batch_size, seed=seed,
        )  # fmt: skip
        chunks = list(batches)
        if len(chunks) == 1:
            return chunks[0]
        first, values = chunks[0], [self._values(c) for c in chunks]
        x = np.concatenate(values) if expected else vstack(values, format="csr")
        tables: list[Any] = [c.obs for c in chunks]
        obs: Any = pd.concat(tables)
        return self._as_cells(x, obs.astype(dict(first.obs.dtypes)), first.uns["activa"])

    def generate_batches(
        self,
        n: int | None = None,
        *,
        labels: Mapping[str, int] | pd.Series | Sequence[str] | str | None = None,
        labels_key: str | None = None,
        batch: Any = None,
        library_size: float | Sequence[float] | None = None,
        covariates: Mapping[str, Any] | None = None,
        z: np.ndarray | None = None,
        expected: bool = False,
        min_confidence: float | None = None,
        refuse: TooClose | None = None,
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
        check_booleans(expected=expected)
        check_numbers(min_confidence=min_confidence, least=0, below=1, optional=True)
        check_integers(batch_size=batch_size)
        if min_confidence is None and not (self.module.knows_types or expected or z is not None):
            min_confidence = 0.0
        filters = self._filters(min_confidence, refuse, expected)
        if labels_key is not None and not isinstance(labels_key, str):
            raise TypeError(f"labels_key must be a column name, got {labels_key!r}.")
        if labels_key == "":
            raise ValueError("labels_key must be a column name, got ''.")
        if labels_key is not None and labels_key in self._design_columns():
            raise ValueError(f"labels_key={labels_key!r} is where the batch or a covariate is written: choose another.")
        plan = self._plan_cells(n, labels, batch, library_size, covariates, z, np.random.default_rng([seed, BLOCK]))
        obs = self._obs(plan, labels_key)
        uns = self._origin(seed)
        size = -(-batch_size // BLOCK) * BLOCK

        def chunks() -> Iterator[AnnData]:
            with tqdm(total=len(plan), unit="cell", desc="Generating", delay=5, leave=False) as progress:
                for start in range(0, len(plan), size):
                    blocks = []
                    numbers = range(start // BLOCK, -(-min(start + size, len(plan)) // BLOCK))
                    for block in self._blocks(plan, numbers, seed, expected, filters):
                        blocks.append(block)
                        progress.update(block.shape[0])
                    x = np.concatenate(blocks) if expected else vstack(blocks, format="csr")
                    yield self._as_cells(x, obs.iloc[start : start + size], uns)

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
        cells have are missing for synthetic ones. ``uns["activa"]`` is as in :meth:`generate`. Of MuData, MuData of the
        registered modalities, ``obs["origin"]`` at the top and in both.

        Raises
        ------
        ValueError
            If the model was loaded without data, or they are minified, if the cells have a column ``origin``, or as
            :meth:`generate` does.

        Examples
        --------
        >>> more = model.augment(labels={"CD34+": 500})
        >>> more.obs["origin"].value_counts()
        """
        if self.adata is None:
            raise ValueError(
                "augment needs the real cells, and the model was loaded without data: load what save() wrote with adata=. "
                "(An export holds no cells.)"
            )
        self._check_counts("augment")
        tables = self._obs_tables()
        if any("origin" in obs for obs in tables.values()):
            raise ValueError("augment writes obs['origin'], and the cells have such a column: rename it.")
        synthetic: Any = self.generate(n, **generate_kwargs)
        # backed data come into memory here
        real = csr_matrix(self.adata_manager.get_from_registry(REGISTRY_KEYS.X_KEY)[:], dtype=np.float32)
        if self._modalities is None:
            return stack(self._as_anndata(real, tables[None], self.var_, self._layer, {}), synthetic)
        cells = self._as_cells(hstack([real, csr_matrix(self._registered_proteins())], format="csr"), tables[None], {})
        modalities = {}
        for name, modality in cells.mod.items():
            modality.obs = tables[name]
            modalities[name] = stack(modality, synthetic[name])
        obs: Any = stack(AnnData(obs=tables[None]), AnnData(obs=synthetic.obs.copy())).obs
        return as_mudata(modalities, obs, dict(synthetic.uns))

    def _obs_tables(self) -> dict[str | None, pd.DataFrame]:
        """``obs`` of the real cells (None) and of their modalities, each with what was registered from another."""
        tables: dict[str | None, Any] = {None: self.adata.obs}
        registered: dict[str, Any] = {}
        if self._modalities is not None:
            tables |= {self._modalities[key]: self.adata[self._modalities[key]].obs for key in LAYERS}
            for argument in ("labels_key", "batch_key", "categorical_covariate_keys", "continuous_covariate_keys"):
                keys = self._setup_arg(argument) or []
                source = self._modalities.get(argument)
                for key in [keys] if isinstance(keys, str) else keys:
                    registered[key] = (self.adata if source is None else self.adata[source]).obs[key]
        own = {name: obs[[c for c in obs if not c.startswith("_scvi")]] for name, obs in tables.items()}
        return {
            name: obs.assign(**{key: column for key, column in registered.items() if key not in obs})
            for name, obs in own.items()
        }
