"""The sampler: draws labeled synthetic cells, and travels as files that hold no cells and no code."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import torch
from scipy.sparse import issparse, vstack

from activa.arguments import check_booleans, check_integers
from activa.assembly import as_cells, obs_of
from activa.checks import check_genes, check_values, check_values_of, genes_of, positions
from activa.design import Design
from activa.drawing import check_fits, draw_chunks, filters_of, latents_of
from activa.io import sampler_files, zarr_store
from activa.module import CellModel
from activa.request import CellFilter, CellPlan, Request
from activa.settings import Settings

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws labeled synthetic cells: y -> p(z | y, b) -> p(l | z, y, b) -> p(x | z, l, y, b) -> counts.

    ``model.sampler`` is that of a trained :class:`~activa.ACTIVA`, and :meth:`load` reads a saved one. It needs neither the
    training cells nor scvi-tools' registry. Drawing reads and changes no global state: several threads can share a sampler.

    Parameters
    ----------
    module, settings, design
        The networks, in evaluation mode; their settings; and types, batches and covariates of the training cells.
    var, protein_var
        Tables of the genes and of the proteins (None without).

    Examples
    --------
    >>> sampler = model.sampler
    >>> sampler.generate(5, seed=0).shape
    (5, 765)
    """

    module: CellModel
    design: Design
    settings: Settings
    var: pd.DataFrame
    protein_var: pd.DataFrame | None = None

    @property
    def types(self) -> np.ndarray:
        """The cell types, in the order of their codes; ``["all"]`` without labels."""
        return self.design.types

    @property
    def batches(self) -> np.ndarray:
        """The batches, in the order of their codes."""
        return self.design.batches

    @property
    def genes(self) -> np.ndarray:
        """Names of the genes, in the model's order."""
        return self.var.index.astype(str).to_numpy()

    def generate(
        self,
        n: int | None = None,
        *,
        labels: Mapping[str, int] | pd.Series | pd.DataFrame | Sequence[str] | str | None = None,
        labels_key: str | None = None,
        batch: Any = None,
        library_size: float | Sequence[float] | None = None,
        covariates: Mapping[str, Any] | None = None,
        expected: bool = False,
        min_confidence: float | None = None,
        refuse: CellFilter | None = None,
        z: np.ndarray | None = None,
        latents: bool = False,
        batch_size: int = 4096,
        seed: int | None = None,
    ) -> AnnData:
        """Generate labeled synthetic cells.

        Parameters
        ----------
        n
            Number of cells.
        labels
            Type -> number of cells (also what ``value_counts()`` gives); with ``n``, the other types share the rest in
            training proportions. Or one type for ``n`` cells, or a sequence with one type per cell; or a table of types x
            batches with numbers of cells, as ``pd.crosstab`` gives. None draws types in training proportions.
        labels_key
            Column of ``obs`` for the types; the registered one by default.
        batch
            Batch of all cells, or one per cell. None draws batches as they occur in the type. Where no training cell of a
            type was in its batch, a warning says so, and the batch is assumed to change all types alike.
        library_size
            Total (or size factor, where that was registered) that the expected counts of a cell sum to, one for all cells
            or one per cell, at most 1e8. None draws it.
        covariates
            Registered covariate -> one value for all cells, or one per cell. Others are drawn as they occur in the type.
        expected
            Whether to return rates (expected counts, dense float32) instead of sampled counts.
        min_confidence
            Keep cells that the classifier assigns to the requested type with at least this probability, and draw others in
            place of the rest. 0 is the paper's filter. None is no filter if the prior knows the types; for the deep
            architecture it is 0, unless ``expected`` or ``z`` is given.
        refuse
            Refuses cells that are closer to a training cell than real held-out cells are
            (:class:`activa.metrics.privacy.TooClose`); others are drawn in their place. No promise of privacy.
        z
            Latents to decode, ``(n, n_latent)``, instead of draws from the prior.
        latents
            Whether to tell the latents and library size of each cell, which as ``z`` and ``library_size``, with the same
            types, batches and covariates, give its rates again. Not with ``min_confidence`` or ``refuse``.
        batch_size
            Cells drawn before they are handed on, rounded up to whole blocks of 256. The cells do not depend on it.
        seed
            The same seed gives the same cells, bit for bit, on one device, in any number of threads. None takes
            ``scvi.settings.seed``, or a fresh seed if that is not set; ``uns["activa"]["seed"]`` tells which.

        Returns
        -------
        AnnData of cells x genes: counts in ``X`` (CSR float32), and in the registered layer; types (categorical), batch and
        covariates in ``obs``; a copy of the registered ``var``; version, seed and settings in ``uns["activa"]``. Where
        batches were asked for, ``obs["seen"]`` tells whether a training cell had the type and batch. With ``latents``,
        ``obsm["latent"]`` (float32) and, for counts, ``obs["library_size"]``. A model of MuData gives MuData, with the
        proteins of the same cells (dense float32).

        Raises
        ------
        TypeError, ValueError, KeyError
            If an argument does not fit, such as a type that was not seen in training (KeyError).
        RuntimeError, MemoryError
            If too few cells pass ``min_confidence`` or ``refuse``; the message tells how many do. If the cells need more
            memory than there is.

        Examples
        --------
        >>> model.sampler.generate(labels={"CD34+": 3}, seed=0).obs["cell_type"].tolist()
        ['CD34+', 'CD34+', 'CD34+']
        """
        check_booleans(latents=latents)
        request = Request(
            n, labels, labels_key, batch, library_size, covariates, z, expected, min_confidence, refuse, seed
        )
        plan, chunks = self._planned(request, batch_size, latents)
        check_fits(self.module, plan, seed=request.seed, expected=expected)
        drawn, library_sizes = latents_of(self.module, plan, request.seed) if latents else (None, None)
        obs = obs_of(plan, self.design, labels_key, library_sizes)
        parts = list(chunks)
        x = np.concatenate(parts) if expected else vstack(parts, format="csr")
        del parts
        cells = self._as_cells(x, obs, request)
        if drawn is not None:
            cells.obsm["latent"] = drawn
        return cells

    def generate_batches(self, n: int | None = None, *, batch_size: int = 4096, **request: Any) -> Iterator[AnnData]:
        """Generate the cells of :meth:`generate` in chunks, for more of them than memory holds.

        Arguments are those of :meth:`generate`, and checked at once. Yields AnnData of ``batch_size`` cells, rounded up to
        a multiple of 256; the last one is smaller.

        Examples
        --------
        >>> [chunk.n_obs for chunk in model.sampler.generate_batches(600, batch_size=256, seed=0)]
        [256, 256, 88]
        """
        asked = Request(n, **request)
        plan, chunks = self._planned(asked, batch_size)
        obs = obs_of(plan, self.design, asked.labels_key)

        def cells() -> Iterator[AnnData]:
            start = 0
            for x in chunks:
                yield self._as_cells(x, obs.iloc[start : start + x.shape[0]], asked)
                start += x.shape[0]

        return cells()

    def generate_zarr(
        self,
        path: str | os.PathLike[str],
        n: int | None = None,
        *,
        batch_size: int = 4096,
        overwrite: bool = False,
        **request: Any,
    ) -> None:
        """Generate cells into an AnnData zarr store, one chunk in memory at a time.

        Parameters
        ----------
        path, overwrite
            The store, a folder that appears once it is complete, and whether to replace a store there.
        n, batch_size, **request
            As in :meth:`generate`; ``batch_size`` is also the size of the store's chunks.

        Raises
        ------
        OSError, NotImplementedError
            If ``path`` exists and is not to be replaced or is not a store, or its parent folder cannot be written to; if the
            model has proteins. Other errors are those of :meth:`generate`.

        Examples
        --------
        >>> model.sampler.generate_zarr("synthetic.zarr", 1_000_000, seed=0)  # doctest: +SKIP
        """
        if self.protein_var is not None:
            raise NotImplementedError("generate_zarr is not available for MuData: write what generate_batches yields.")
        check_booleans(overwrite=overwrite)
        chunks = self.generate_batches(n, batch_size=batch_size, **request)
        columns = [request.get("labels_key") or self.design.labels_key, *self.design.obs_columns]
        zarr_store.write(path, chunks, columns=columns, layer=self.design.layer, overwrite=overwrite)

    def predict(
        self, adata: AnnData, *, soft: bool = False, indices: Sequence[int] | None = None, batch_size: int = 1024
    ) -> np.ndarray | pd.DataFrame:
        """Predict the types of cells with the ACTINN classifier (Ma and Pellegrini 2020).

        Parameters
        ----------
        adata, soft
            Cells with the model's genes, and counts in ``X`` or the registered layer, but not necessarily labels; and whether
            to return the probability of every type.
        indices, batch_size
            Positions of the cells to predict (all by default), and cells read at a time.

        Returns
        -------
        The types, ``(n_cells,)``; with ``soft``, a DataFrame of probabilities ``(n_cells, n_types)`` whose rows sum to one.

        Raises
        ------
        TypeError, KeyError, ValueError
            If the cells have other genes, no such layer, or values that are not counts, or an index is out of range.

        Examples
        --------
        >>> model.sampler.predict(adata, soft=True).shape
        (700, 10)
        """
        check_booleans(soft=soft)
        check_integers(batch_size=batch_size)
        adata = genes_of(adata, self.design.modalities)
        layer = self.design.layer
        check_values_of(adata, layer=layer)
        check_genes(adata, self.genes)
        x: Any = adata.X if layer is None else adata.layers[layer]
        if indices is not None:
            cells = positions(indices, adata.n_obs)
            distinct, order = np.unique(cells, return_inverse=True)  # backed cells are read in their order
            x = x[distinct][order]
        check_values(x, layer=layer, gene_likelihood=self.settings.gene_likelihood)
        parts = (x[start : start + batch_size] for start in range(0, x.shape[0], batch_size))
        dense = (np.asarray(rows.toarray() if issparse(rows) else rows, dtype=np.float32) for rows in parts)
        # a copy: the array may be read-only
        found = self.classify(torch.tensor(rows) for rows in dense)
        names = adata.obs_names if indices is None else adata.obs_names[cells]
        return found.set_axis(names) if soft else self.types[found.to_numpy().argmax(-1)]

    @torch.inference_mode()
    def classify(self, minibatches: Iterable[torch.Tensor]) -> pd.DataFrame:
        """Probabilities of the types, ``(n_cells, n_types)``, of counts in minibatches ``(n, n_genes)``."""
        device = next(self.module.parameters()).device
        found = [self.module.classify(x.to(device)).softmax(-1).cpu().numpy() for x in minibatches]
        return pd.DataFrame(np.concatenate(found), columns=self.types)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the sampler as files that are data, not a program (:mod:`activa.io.sampler_files`).

        The folder holds weights, settings, tables of genes and proteins, and how many training cells had each combination of
        type, batch and covariates, with continuous ones as they were. Counts, cell names and losses are not written.

        Parameters
        ----------
        path, overwrite
            The folder, which appears once it is complete, and whether to replace a saved sampler there.

        Raises
        ------
        OSError, TypeError
            If ``path`` exists and is not to be replaced or is not a sampler, or its parent folder cannot be written to; if it
            is not a path, or a category is neither a string nor a number.

        Examples
        --------
        >>> model.sampler.save("blood/")  # doctest: +SKIP
        """
        sampler_files.save(path, self, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> Self:
        """Read a sampler that :meth:`save` or :meth:`activa.ACTIVA.export` wrote, and run nothing that is in the files.

        Sizes and values are checked before they are used. The checksums show that the files have not changed since they
        were written, not who wrote them.

        Parameters
        ----------
        path, device
            The folder, and where to put the networks.

        Raises
        ------
        FileNotFoundError, ValueError
            If the folder or a file does not exist; if a file is damaged, was changed, has a newer format, or does not fit.

        Examples
        --------
        >>> Sampler.load("blood/").generate(1000, seed=0)  # doctest: +SKIP
        """
        sampler = cls(**sampler_files.load(path)[0])
        sampler.module.to(device)
        return sampler

    def _planned(self, request: Request, batch_size: int, latents: bool = False) -> tuple[CellPlan, Iterator[Any]]:
        """The plan of a request, and its values in chunks of ``batch_size`` cells."""
        check_integers(batch_size=batch_size)
        if self.module.training:
            raise RuntimeError("The model is being trained: generate when training has ended.")
        confidence = request.min_confidence
        if confidence is None and not (self.module.knows_types or request.expected or request.z is not None):
            confidence = 0.0
        filters = filters_of(self.module, self.design, pd.Index(self.genes), confidence, request.refuse)
        if filters is not None and request.expected:
            raise ValueError(f"expected=True gives rates, which {filters} cannot filter: choose one of them.")
        if filters is not None and latents:
            raise ValueError(
                f"latents=True tells those of the first draw, of which {filters} refuses some: choose one."
            )
        plan = request.plan(self.design, self.module)
        chunks = draw_chunks(
            self.module, plan, batch_size, seed=request.seed, expected=request.expected, filters=filters
        )
        return plan, chunks

    def _as_cells(self, x: Any, obs: pd.DataFrame, request: Request) -> Any:
        """AnnData or MuData with ``uns["activa"]``, which says nothing that h5ad cannot hold."""
        origin = {"version": version("activa-sc"), "seed": request.seed, "settings": self.settings.to_uns()}
        uns = {"activa": origin} | self.design.colors_as_uns(request.labels_key)
        return as_cells(x, obs, self.var, self.protein_var, self.design, uns)
