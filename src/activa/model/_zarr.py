"""Generation into a zarr store, for more cells than memory holds."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import zarr
from anndata import AnnData
from anndata.io import sparse_dataset, write_elem

from activa.arguments import check_booleans
from activa.io.atomic import as_path, atomic_folder
from activa.metrics.privacy import TooClose
from activa.model._generation import GenerationMixin
from activa.model.registration import refuse_mudata

STORE_MARKS = ("zarr.json", ".zgroup")
"""Files that a zarr store has one of."""


class ZarrMixin(GenerationMixin):
    """The ``generate_zarr`` method."""

    def generate_zarr(
        self,
        path: str | os.PathLike[str],
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
        overwrite: bool = False,
    ) -> None:
        """Generate cells into an AnnData zarr store, a chunk in memory at a time.

        Parameters
        ----------
        path
            The store, a folder. It is written beside and moved here when it is whole, so that what is found here is never
            half of one; an interrupt or an error leaves nothing.
        n, labels, labels_key, batch, library_size, covariates, z, expected, min_confidence, refuse, batch_size, seed
            As in :meth:`generate`; ``batch_size`` is what is in memory at a time, and read in one piece later.
        overwrite
            Whether to replace a store that is at ``path``, which is kept until the new one is whole.

        Returns
        -------
        None. ``anndata.read_zarr(path)`` gives what :meth:`generate` gives for the seed, and
        ``anndata.experimental.read_lazy(path)`` the same without reading it.

        Raises
        ------
        FileExistsError
            If something is at ``path``, and ``overwrite`` is not set or it is no zarr store.
        FileNotFoundError, NotADirectoryError, PermissionError
            If the folder that the store is to be in is not there, or cannot be written in.
        TypeError, ValueError, KeyError, RuntimeError
            As :meth:`generate`.

        Examples
        --------
        >>> model.generate_zarr("synthetic.zarr", 1_000_000, labels_key="cell_type", seed=0)
        >>> lazy = anndata.experimental.read_lazy("synthetic.zarr")
        """
        refuse_mudata(self, "generate_zarr", "write the chunks that generate_batches gives")
        path = as_path(path)
        check_booleans(overwrite=overwrite)
        chunks = self.generate_batches(
            n, labels=labels, labels_key=labels_key, batch=batch, library_size=library_size, covariates=covariates, z=z,
            expected=expected, min_confidence=min_confidence, refuse=refuse, batch_size=batch_size, seed=seed,
        )  # fmt: skip
        columns = [labels_key or self._setup_arg("labels_key"), *self._design_columns()]
        if slashed := [column for column in columns if column is not None and "/" in column]:
            raise ValueError(
                f"obs columns {slashed} have a slash, which a zarr store cannot hold: give another labels_key, or register "
                "batch and covariates under other names."
            )
        with atomic_folder(path, overwrite=overwrite, what="zarr store", marks=STORE_MARKS) as part:
            _write_chunks(zarr.open_group(part, mode="w"), chunks, layer=self._layer)
            with warnings.catch_warnings():
                # anndata consolidates too, and wants it: read_lazy warns where it is not done
                warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
                zarr.consolidate_metadata(part)


def _write_chunks(store: zarr.Group, chunks: Iterator[AnnData], *, layer: str | None) -> None:
    """Write chunks of cells below each other."""
    tables: list[pd.DataFrame] = []
    for chunk in chunks:
        obs, var = chunk.obs, chunk.var
        assert isinstance(obs, pd.DataFrame) and isinstance(var, pd.DataFrame)  # no lazy tables, which AnnData can hold
        if not tables:
            write_elem(store, "/", AnnData(obs=obs, var=var, uns=chunk.uns))
        _append(store, "X", chunk.X, is_first=not tables)
        if layer is not None:
            _append(store.require_group("layers"), layer, chunk.X, is_first=not tables)
        tables.append(obs)
    # all chunks have the same categories, which concat keeps
    write_elem(store, "obs", pd.concat(tables))


def _append(store: zarr.Group, key: str, x: Any, *, is_first: bool) -> None:
    if is_first:
        # 32 bits, which are chosen for a small first chunk, count no more than 2 ** 31 values
        kwargs = {} if isinstance(x, np.ndarray) else {"indptr_dtype": np.int64}
        write_elem(store, key, x, dataset_kwargs=kwargs)
    elif isinstance(x, np.ndarray):
        array: Any = store[key]
        array.append(x, axis=0)
    else:
        group: Any = store[key]
        matrix: Any = sparse_dataset(group)
        matrix.append(x)
