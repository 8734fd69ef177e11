"""Query cells of new batches for a trained model, by scArches."""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from scvi import REGISTRY_KEYS
from scvi.model.base import ArchesMixin

from activa.model._plan_cells import N_CELLS
from activa.model._start import StartMixin
from activa.model.training import Training
from activa.module._surgery import categories, extend


class SurgeryMixin(Training, StartMixin, ArchesMixin):
    """The ``prepare_query_anndata`` and ``load_query_data`` methods."""

    @staticmethod
    def prepare_query_anndata(
        adata: AnnData,
        reference_model: Any,
        return_reference_var_names: bool = False,
        inplace: bool = True,
    ) -> AnnData | pd.Index | None:
        """Bring query cells to the reference model's genes: in its order, those that are missing with zero counts.

        Parameters
        ----------
        adata
            Query cells.
        reference_model
            The trained model, or the folder that it is saved in.
        return_reference_var_names
            Whether to give only the names of the reference's genes.
        inplace
            Whether to change ``adata``; else it is left as it is.

        Returns
        -------
        The cells with the reference's genes, None with ``inplace``, or the names.

        Raises
        ------
        ValueError
            If no gene is the reference's.

        Examples
        --------
        >>> query = ACTIVA.prepare_query_anndata(other, model, inplace=False)
        """
        # scvi-tools reorders the genes of the object it is given, if none is missing
        adata = adata if inplace or return_reference_var_names else adata.copy()
        if not isinstance(reference_model, SurgeryMixin):
            reference_model = os.fspath(reference_model)
        return ArchesMixin.prepare_query_anndata(adata, reference_model, return_reference_var_names, inplace)

    @classmethod
    def load_query_data(
        cls,
        adata: AnnData,
        reference_model: Any,
        *,
        inplace_subset_query_vars: bool = False,
        accelerator: str = "auto",
        device: int | str = "auto",
        unfrozen: bool = False,
    ) -> Self:
        """A model of query cells beside those that a reference model was trained on (Lotfollahi et al. 2022).

        New batches, and new categories of covariates, get weights of their own, which start as the mean of the known
        ones; :meth:`train` then moves nothing else. Cells of the reference keep their latents, types, and what is
        generated for their batches, and :meth:`generate` knows the new batches too. Types and their prior stay the
        reference's; query cells may have only some of them. Where the reference was registered with an
        ``unlabeled_category``, they may be called that, or have no column of labels at all.

        Parameters
        ----------
        adata
            Query cells, with the reference's genes (see :meth:`prepare_query_anndata`) and columns of ``obs``. They are
            registered as the reference's cells were, by the columns that :meth:`setup_anndata` adds.
        reference_model
            The trained model, which is left as it is, or the folder that it is saved in.
        inplace_subset_query_vars
            Whether to bring ``adata`` itself to the reference's genes, where it has all of them.
        accelerator, device
            Where to put the model, as in :meth:`load`.
        unfrozen
            Whether :meth:`train` moves all weights, and fits the prior of the types that the query has.

        Returns
        -------
        A model of the query cells, to be trained; where they bring no new category, one that is already.

        Raises
        ------
        TypeError
            If ``adata`` is not an AnnData, or the reference is no model of this class.
        KeyError
            If a column of ``obs`` is missing.
        ValueError
            If the reference has not been trained, or the cells have other genes, or a type that it was not trained on.

        Examples
        --------
        >>> both = ACTIVA.load_query_data(query, model)
        >>> both.train()
        >>> both.generate(100, batch="new donor")
        """
        if not isinstance(adata, AnnData):
            raise TypeError(f"adata must be an AnnData, got {type(adata).__name__}.")
        if isinstance(reference_model, str | os.PathLike):
            reference_model = cls.load(os.fspath(reference_model), adata=False, accelerator=accelerator, device=device)
        if not isinstance(reference_model, cls):
            raise TypeError(
                f"reference_model must be an {cls.__name__} model or the folder of one, got {type(reference_model).__name__}."
            )
        if reference_model._modalities is not None:
            raise NotImplementedError("load_query_data is not available for MuData: train a model on all cells.")
        reference_model._check_if_trained(
            warn=False, message="reference_model has not been trained: call its train() before load_query_data."
        )
        reference_model._check_query_labels(adata)
        model = super().load_query_data(
            adata,
            reference_model,
            inplace_subset_query_vars=inplace_subset_query_vars,
            accelerator=accelerator,
            device=device,
            unfrozen=True,  # its rules are for other networks, and forgotten when a model is saved
        )
        extend(model.module, reference_model.module)
        known = categories(reference_model.module)
        model.reference_categories_ = None if unfrozen else tuple(known)
        model.is_trained_ = categories(model.module) == known
        # what the reference's training left tells nothing of these cells
        model.train_indices_ = model.validation_indices_ = model.test_indices_ = model.history_ = None
        both: pd.DataFrame = pd.concat([reference_model.design_, model._cell_design()])
        columns = [c for c in both.columns if c != N_CELLS]
        model.design_ = both.groupby(columns, as_index=False, sort=True)[N_CELLS].sum()
        return model

    def _check_query_labels(self, adata: AnnData) -> None:
        """Check that query cells have no type that this model was not trained on."""
        key, unlabeled = self._setup_arg("labels_key"), self._setup_arg("unlabeled_category")
        if key is None:
            return
        if key not in adata.obs:
            if unlabeled is None:
                raise KeyError(
                    f"labels_key={key!r} is not a column of adata.obs, and the reference was registered without an "
                    "unlabeled_category, which cells without labels could be called: add the column, or register the "
                    "reference with one."
                )
            return
        mapping = np.asarray(self._field(REGISTRY_KEYS.LABELS_KEY)["categorical_mapping"])
        found = pd.unique(adata.obs[key].dropna())
        unknown = sorted(str(t) for t in found if t not in set(mapping))
        if unknown:
            hint = "call these cells by one of them" if unlabeled is None else f"call these cells {unlabeled!r}"
            raise ValueError(
                f"labels_key={key!r}: the reference was not trained on the types {unknown}, only on "
                f"{[str(t) for t in self.types]}; {hint}, leave them out, or train a model on all cells."
            )
