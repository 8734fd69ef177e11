"""Query cells of new batches for a trained model, by scArches."""

from __future__ import annotations

import os
from typing import Any, Self

import pandas as pd
from anndata import AnnData
from scvi.model.base import ArchesMixin
from torch.nn import Dropout

from activa.arguments import check_booleans
from activa.checks import check_genes, check_values_of
from activa.design import N_CELLS, Design
from activa.model.registration import refuse_mudata
from activa.model.registry import label_names, registered_names
from activa.model.start import library_bounds
from activa.module import categories, extend

# what scvi-tools' options freeze is frozen here in any case
_ALWAYS_FROZEN = {
    "freeze_expression", "freeze_decoder_first_layer", "freeze_batchnorm_encoder", "freeze_batchnorm_decoder",
    "freeze_classifier", "transfer_batch",
}  # fmt: skip


class Queries(ArchesMixin):
    """Models of query cells beside the cells that a reference model was trained on."""

    @staticmethod
    def prepare_query_anndata(
        adata: AnnData, reference_model: Any, return_reference_var_names: bool = False, inplace: bool = True
    ) -> AnnData | pd.Index | None:
        """Bring query cells to the reference model's genes, in its order; missing genes get zero counts.

        Parameters, results and errors are those of :meth:`scvi.model.base.ArchesMixin.prepare_query_anndata`.

        Examples
        --------
        >>> query = ACTIVA.prepare_query_anndata(adata, model, inplace=False)  # doctest: +SKIP
        """
        if not isinstance(adata, AnnData):
            raise TypeError(f"adata must be an AnnData, got {type(adata).__name__}.")
        # scvi-tools reorders the genes of the given object if none is missing
        adata = adata if inplace or return_reference_var_names else adata.copy()
        if not isinstance(reference_model, Queries):
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
        freeze_dropout: bool = False,
        **frozen: bool,
    ) -> Self:
        """Make a model of query cells beside those that a reference model was trained on (Lotfollahi et al. 2022).

        New batches, and new categories of covariates, get weights of their own, which start as the mean of the known
        ones; :meth:`train` then changes nothing else. Cells of the reference keep their latents and types, and
        :meth:`generate` knows both batches. Query cells may have some of the reference's types. If it was registered
        with an ``unlabeled_category``, they may have that label, or no column of labels.

        Parameters
        ----------
        adata
            Query cells, with the reference's genes (see :meth:`prepare_query_anndata`) and columns of ``obs``.
        reference_model
            The trained model, which is left as it is, or the folder it is saved in.
        inplace_subset_query_vars, accelerator, device
            Whether to bring ``adata`` itself to the reference's genes, if it has all of them; devices as in :meth:`load`.
        unfrozen
            Whether :meth:`train` changes all weights, and fits the prior of the query's types.
        freeze_dropout, **frozen
            Whether :meth:`train` drops no unit of the hidden layers. ``freeze_expression``, ``freeze_decoder_first_layer``,
            ``freeze_batchnorm_encoder``, ``freeze_batchnorm_decoder``, ``freeze_classifier`` and ``transfer_batch`` of
            scvi-tools can be True, as they always are here.

        Returns
        -------
        A model of the query cells, to be trained; if they bring no new category, it counts as trained.

        Raises
        ------
        TypeError, KeyError, ValueError
            If an argument has the wrong type; if a column of ``obs`` is missing; if the reference has not been trained, or
            the cells have other genes, or a type that it was not trained on.

        Examples
        --------
        >>> both = ACTIVA.load_query_data(query, model)  # doctest: +SKIP
        >>> both.train()  # doctest: +SKIP
        >>> both.generate(100, batch="new donor")  # doctest: +SKIP
        """
        check_booleans(
            unfrozen=unfrozen,
            inplace_subset_query_vars=inplace_subset_query_vars,
            freeze_dropout=freeze_dropout,
            **frozen,
        )
        if unknown := sorted(set(frozen) - _ALWAYS_FROZEN):
            raise TypeError(f"load_query_data has no argument {unknown[0]!r}: choose from {sorted(_ALWAYS_FROZEN)}.")
        if free := [name for name, is_frozen in frozen.items() if not is_frozen]:
            raise ValueError(
                f"{free[0]}=False: all weights but those of new categories are frozen, or give unfrozen=True."
            )
        check_values_of(adata, layer=None)
        if isinstance(reference_model, str | os.PathLike):
            reference_model = cls.load(os.fspath(reference_model), adata=False, accelerator=accelerator, device=device)
        if not isinstance(reference_model, cls):
            found = type(reference_model).__name__
            raise TypeError(f"reference_model must be an {cls.__name__} or its folder, got {found}.")
        refuse_mudata(reference_model, "load_query_data", "train a model on all cells")
        untrained = "reference_model has not been trained: call its train() before load_query_data."
        reference_model._check_if_trained(warn=False, message=untrained)
        design = reference_model.design
        _check_query_labels(adata, design, reference_model.registry_)
        _check_query_columns(adata, design)
        if not inplace_subset_query_vars:
            check_genes(adata, registered_names(reference_model.registry_))
        model = super().load_query_data(
            adata,
            reference_model,
            inplace_subset_query_vars=inplace_subset_query_vars,
            accelerator=accelerator,
            device=device,
            unfrozen=True,  # its rules are for other networks, and forgotten when a model is saved
        )
        extend(model.module, reference_model.module)
        n_known = reference_model.module.n_batch
        new = library_bounds(model._read_cells(model.settings)[0], model.module.n_labels, model.module.n_batch)
        model.module.library_bounds[..., n_known:] = new[..., n_known:].to(model.device)
        if freeze_dropout:
            for part in model.module.modules():
                if isinstance(part, Dropout):
                    part.p = 0.0
        known = categories(reference_model.module)
        model.appearance_ = getattr(reference_model, "appearance_", {})
        model.reference_categories_ = None if unfrozen else tuple(known)
        model.is_trained_ = categories(model.module) == known
        # what the reference's training left behind does not describe these cells
        model.train_indices_ = model.validation_indices_ = model.test_indices_ = model.history_ = None
        both: pd.DataFrame = pd.concat([reference_model.design_, model._design_table()])
        columns = [c for c in both.columns if c != N_CELLS]
        model.design_ = both.groupby(columns, as_index=False, sort=True)[N_CELLS].sum()
        return model


def _check_query_labels(adata: AnnData, design: Design, registry: dict[str, Any]) -> None:
    """Check that query cells have no type that the reference was not trained on."""
    key, unlabeled = design.labels_key, registry["setup_args"].get("unlabeled_category")
    if key is not None and unlabeled is None and key not in adata.obs:
        raise KeyError(f"labels_key={key!r} is not in adata.obs, and the reference has no unlabeled_category: add it.")
    if key is None or key not in adata.obs:
        return
    known, labels = set(label_names(registry)), pd.Series(adata.obs[key]).dropna()
    if unknown := sorted(str(t) for t in labels.unique() if t not in known):
        hint = "with one of them" if unlabeled is None else repr(unlabeled)
        raise ValueError(
            f"labels_key={key!r}: the reference was not trained on the types {unknown}, only on "
            f"{[str(t) for t in design.types]}; label these cells {hint}, leave them out, or train a model on all cells."
        )


def _check_query_columns(adata: AnnData, design: Design) -> None:
    """Check that batches and covariates of query cells can be put in one order with those of the reference."""
    known = dict(design.categorical) | ({} if design.batch_key is None else {design.batch_key: design.batches})
    for key, categories_ in known.items():
        if key not in adata.obs:
            raise KeyError(f"adata.obs has no column {key!r}, which the reference was registered with: add it.")
        values = pd.Series(adata.obs[key]).dropna().unique()
        kinds = sorted({type(value).__name__ for value in values} - {type(value).__name__ for value in categories_})
        if kinds and (kinds == ["str"] or any(isinstance(value, str) for value in categories_)):
            own = type(categories_[0]).__name__
            raise TypeError(f"obs[{key!r}] has values of type {kinds[0]}, and the reference's are {own}: convert them.")
