"""The classifier's predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.sparse import issparse

from activa.arguments import check_booleans, check_integers
from activa.checks import check_genes, check_values, check_values_of, genes_of, positions
from activa.model._registered import RegisteredMixin
from activa.model.registration import modalities_of


class ClassificationMixin(RegisteredMixin):
    """The ``predict`` method."""

    @torch.inference_mode()
    def predict(
        self,
        adata: AnnData | None = None,
        *,
        soft: bool = False,
        indices: Sequence[int] | None = None,
        batch_size: int = 1024,
    ) -> np.ndarray | pd.DataFrame:
        """Predict the types of cells by the ACTINN classifier.

        Parameters
        ----------
        adata
            Cells with the model's genes, and counts where they were at registration (``X`` or the layer). They need no
            labels, nor proteins, and are left as they are. None for the cells that the model was made with.
        soft
            Whether to give the probability of every type.
        indices
            Positions of the cells to predict; all by default.
        batch_size
            Cells read at a time.

        Returns
        -------
        The types, an array of shape ``(n_cells,)``; with ``soft``, a DataFrame of probabilities ``(n_cells, n_types)``
        with cell names and types, rows that sum to one.

        Raises
        ------
        TypeError
            If ``adata`` is no AnnData, its values no numbers, or another argument of another type than it says.
        KeyError
            If the cells have not got the layer that was registered.
        ValueError
            If the cells have other genes or values that are not counts, or there are none; or for indices that there are
            not.
        RuntimeError
            If the model has not been trained.

        Examples
        --------
        >>> model.predict(held_out, soft=True).max(axis=1)
        """
        self._check_if_trained(warn=False)
        check_booleans(soft=soft)
        check_integers(batch_size=batch_size)
        if adata is None and self.adata is None:
            raise ValueError("The model was loaded without data: give adata=, cells with the genes it was trained on.")
        if adata is None:
            self._check_counts("predict without adata=")
            adata = self.adata
        adata = genes_of(adata, modalities_of(self.registry_))
        layer = self._layer
        check_values_of(adata, layer=layer)
        check_genes(adata, self.trained_genes)
        x: Any = adata.X if layer is None else adata.layers[layer]
        if indices is not None:
            cells = positions(indices, adata.n_obs)
            found, order = np.unique(cells, return_inverse=True)  # backed cells are read in their order
            x = x[found][order]
        check_values(x, layer=layer, gene_likelihood=self.module.gene_likelihood)
        probabilities = np.concatenate(
            [self._type_probabilities(x[i : i + batch_size]) for i in range(0, x.shape[0], batch_size)]
        )
        if soft:
            names = adata.obs_names if indices is None else adata.obs_names[cells]
            return pd.DataFrame(probabilities, index=names, columns=self.types)
        return self.types[probabilities.argmax(-1)]

    def _type_probabilities(self, x: Any) -> np.ndarray:
        dense = np.asarray(x.toarray() if issparse(x) else x, dtype=np.float32)
        # a copy: the array may be read-only
        return self.module.classify(torch.tensor(dense).to(self.device)).softmax(-1).cpu().numpy()
