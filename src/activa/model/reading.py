"""Reading of cells: whatever method reads them, they are checked as :meth:`~activa.ACTIVA.predict` checks them."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData
from scipy.sparse import issparse
from scvi import REGISTRY_KEYS
from scvi.data import AnnDataManager

from activa.arguments import check_integers
from activa.checks import check_proteins, check_values, positions
from activa.model.registration import Registration, check_same
from activa.model.registry import modalities_of
from activa.scvi_private import ADATA_MINIFY_TYPE, minify_type


class Reading(Registration):
    """The two methods by which all of scvi-tools' methods read cells: which AnnData, and which of its cells."""

    module: Any

    def _validate_anndata(self, adata: AnnData | None = None, copy_if_view: bool = True) -> AnnData:
        """The given cells, or the model's own, once they are registered and have its genes."""
        if adata is None and self.adata is None:
            raise ValueError("The model was loaded without data: give adata=, cells with the genes it was trained on.")
        if adata is not None:
            check_same(adata, self.registry_, modalities_of(self.registry_))
            if self.minified_data_type is not None and self._LATENT_QZM_KEY not in adata.obsm:
                raise ValueError("The model's data are minified, and adata has counts: load the model with adata=.")
        return super()._validate_anndata(adata, copy_if_view)

    def _make_data_loader(
        self, adata: Any, indices: Any = None, batch_size: int | None = None, shuffle: bool = False, **kwargs: Any
    ) -> Any:
        """What every method reads cells with, once the model is trained and exactly these cells were checked."""
        self._check_if_trained(warn=False)
        check_integers(batch_size=batch_size, optional=True)
        cells = None if indices is None else positions(indices, adata.n_obs)
        self._check_values(self.get_anndata_manager(adata, required=True), cells)
        return super()._make_data_loader(adata, cells, batch_size, shuffle, **kwargs)

    def _check_values(self, manager: AnnDataManager, cells: np.ndarray | None = None) -> None:
        """Check the values of registered cells, or of those at positions, against the likelihoods.

        Cells may have been changed since they were registered, and those given later never were checked.
        """
        arguments, modalities, keys = self.registry_["setup_args"], modalities_of(self.registry_), REGISTRY_KEYS
        settings, part = self.module.settings, ... if cells is None else np.unique(cells)
        for key in (keys.SIZE_FACTOR_KEY, keys.CONT_COVS_KEY):
            if key in manager.data_registry and not np.isfinite(np.asarray(manager.get_from_registry(key))[part]).all():
                raise ValueError(f"adata has values of {key} that are not finite: leave these cells out.")
        if minify_type(manager.adata) == ADATA_MINIFY_TYPE.LATENT_POSTERIOR:
            return
        rna, protein = (None, None) if modalities is None else modalities
        x = manager.get_from_registry(keys.X_KEY)
        check_values(
            x if cells is None else x[part],
            layer=arguments["layer" if rna is None else "rna_layer"],
            gene_likelihood=settings.gene_likelihood,
            modality=rna,
        )
        if protein is not None:
            values = manager.get_from_registry(keys.PROTEIN_EXP_KEY)
            values = values if cells is None else values[part]
            values = np.asarray(values.toarray() if issparse(values) else values, dtype=np.float32)
            # a few values of any sign may all be whole
            likelihood = settings.protein_likelihood
            check_proteins(
                values,
                None if likelihood == "normal" else likelihood,
                layer=arguments["protein_layer"],
                modality=protein,
            )
