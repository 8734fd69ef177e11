"""Query cells of new batches for a trained model, by scArches."""

from __future__ import annotations

import os
from typing import Any, Self

import pandas as pd
from anndata import AnnData
from mudata import MuData
from scvi import REGISTRY_KEYS
from scvi.model.base import ArchesMixin
from torch.nn import BatchNorm1d

from activa.arguments import check_booleans
from activa.checks import check_genes, check_mudata, check_values_of, modality_of
from activa.design import N_CELLS, Design
from activa.model.registry import label_names, modalities_of, registered_names
from activa.model.start import library_bounds
from activa.module import CellModel, categories, extend


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

    def get_var_names(self, legacy_mudata_format: bool = False) -> Any:
        """Names of the genes; for MuData by modality, which scvi-tools knows only of a model that has its data."""
        modalities = modalities_of(self.registry_)
        if self.adata is not None or modalities is None:
            return super().get_var_names(legacy_mudata_format)
        keys = (REGISTRY_KEYS.X_KEY, REGISTRY_KEYS.PROTEIN_EXP_KEY)
        return {name: registered_names(self.registry_, key) for name, key in zip(modalities, keys, strict=True)}

    @classmethod
    def load_query_data(
        cls,
        adata: AnnData | MuData,
        reference_model: Any,
        *,
        inplace_subset_query_vars: bool = False,
        accelerator: str = "auto",
        device: int | str = "auto",
        unfrozen: bool = False,
        freeze_dropout: bool = False,
        freeze_expression: bool = True,
        freeze_decoder_first_layer: bool = True,
        freeze_batchnorm_encoder: bool = True,
        freeze_batchnorm_decoder: bool = True,
        freeze_classifier: bool = True,
        transfer_batch: bool = True,
        registry: None = None,
        datamodule: None = None,
    ) -> Self:
        """Make a model of query cells beside those that a reference model was trained on (Lotfollahi et al. 2022).

        New batches, and new categories of covariates, get weights of their own, which start as the mean of the known
        ones; :meth:`train` then changes nothing else. Cells of the reference keep their latents and types, and
        :meth:`generate` knows both batches. Query cells may have some of the reference's types. If it was registered
        with an ``unlabeled_category``, they may have that label, or no column of labels.

        Parameters
        ----------
        adata
            Query cells, with the reference's genes and columns of ``obs`` (:meth:`prepare_query_anndata`, or for MuData
            :meth:`prepare_query_mudata`, bring them to the reference's genes and proteins).
        reference_model
            The trained model, which is left as it is, or the folder it is saved in.
        inplace_subset_query_vars, accelerator, device
            Whether to bring ``adata`` itself to the reference's genes, if it has all of them; devices as in :meth:`load`.
        unfrozen
            Whether :meth:`train` changes all weights, and fits the prior of the query's types.
        freeze_dropout
            Whether :meth:`train` drops no unit of the hidden layers.
        freeze_expression, freeze_decoder_first_layer, freeze_batchnorm_encoder, freeze_batchnorm_decoder, freeze_classifier
            Of scvi-tools, and True (or of no batch normalization): all but the weights of new categories are frozen.
        transfer_batch
            Whether batches may be new.
        registry, datamodule
            Of scvi-tools, and None: query cells are an AnnData or MuData, from which the new weights start.

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
        frozen = {
            "freeze_expression": freeze_expression,
            "freeze_decoder_first_layer": freeze_decoder_first_layer,
            "freeze_batchnorm_encoder": freeze_batchnorm_encoder,
            "freeze_batchnorm_decoder": freeze_batchnorm_decoder,
            "freeze_classifier": freeze_classifier,
        }
        check_booleans(
            unfrozen=unfrozen,
            inplace_subset_query_vars=inplace_subset_query_vars,
            freeze_dropout=freeze_dropout,
            transfer_batch=transfer_batch,
            **frozen,
        )
        if registry is not None or datamodule is not None:
            given = "datamodule" if registry is None else "registry"
            raise ValueError(f"{given} was given, and query cells are an AnnData or MuData: give adata= alone.")
        if isinstance(reference_model, str | os.PathLike):
            reference_model = cls.load(os.fspath(reference_model), adata=False, accelerator=accelerator, device=device)
        if not isinstance(reference_model, cls):
            found = type(reference_model).__name__
            raise TypeError(f"reference_model must be an {cls.__name__} or its folder, got {found}.")
        untrained = "reference_model has not been trained: call its train() before load_query_data."
        reference_model._check_if_trained(warn=False, message=untrained)
        if not unfrozen:
            _check_frozen(frozen, reference_model.module)
        design = reference_model.design
        _check_query(adata, reference_model.registry_, inplace=inplace_subset_query_vars)
        _check_query_labels(adata, design, reference_model.registry_)
        _check_query_columns(adata, design, reference_model.registry_, transfer_batch=transfer_batch)
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
        known = categories(reference_model.module)
        model.appearance_ = getattr(reference_model, "appearance_", {})
        model.reference_categories_ = None if unfrozen else tuple(known)
        model.freezes_dropout_ = freeze_dropout
        model.is_trained_ = categories(model.module) == known
        # what the reference's training left behind does not describe these cells
        model.train_indices_ = model.validation_indices_ = model.test_indices_ = model.history_ = None
        both: pd.DataFrame = pd.concat([reference_model.design_, model._design_table()])
        columns = [c for c in both.columns if c != N_CELLS]
        model.design_ = both.groupby(columns, as_index=False, sort=True)[N_CELLS].sum()
        return model


def _check_frozen(frozen: dict[str, bool], module: CellModel) -> None:
    """Check that nothing is to be free; where there is no batch normalization, there is none to free."""
    parts = {"freeze_batchnorm_encoder": module.encoder, "freeze_batchnorm_decoder": module.generator}
    for name, is_frozen in frozen.items():
        absent = name in parts and not any(isinstance(part, BatchNorm1d) for part in parts[name].modules())
        if not is_frozen and not absent:
            raise ValueError(
                f"{name}=False: all weights but those of new categories are frozen, or give unfrozen=True."
            )


def _check_query(adata: Any, registry: dict[str, Any], *, inplace: bool) -> None:
    """Check that query cells are of the reference's kind, and unless they are brought to its genes, that they have them."""
    modalities, names = modalities_of(registry), registered_names(registry)
    if modalities is None:
        check_values_of(adata, layer=registry["setup_args"]["layer"])
        if not inplace:
            check_genes(adata, names)
        return
    check_mudata(adata, modalities, names, registered_names(registry, REGISTRY_KEYS.PROTEIN_EXP_KEY))
    if inplace:
        raise ValueError(
            "inplace_subset_query_vars=True is for AnnData: call prepare_query_mudata(mdata, reference_model)."
        )


def _obs_for(cells: Any, registry: dict[str, Any], argument: str) -> Any:
    """The table that has the columns of a set-up argument: of the cells, or of the modality it was registered for."""
    name = (registry["setup_args"].get("modalities") or {}).get(argument)
    return cells.obs if name is None else modality_of(cells, name).obs


def _check_query_labels(adata: AnnData | MuData, design: Design, registry: dict[str, Any]) -> None:
    """Check that query cells have no type that the reference was not trained on."""
    key, unlabeled = design.labels_key, registry["setup_args"].get("unlabeled_category")
    obs = _obs_for(adata, registry, "labels_key")
    if key is not None and unlabeled is None and key not in obs:
        raise KeyError(f"labels_key={key!r} is not in adata.obs, and the reference has no unlabeled_category: add it.")
    if key is None or key not in obs:
        return
    known, labels = set(label_names(registry)), pd.Series(obs[key]).dropna()
    if unknown := sorted(str(t) for t in labels.unique() if t not in known):
        hint = "with one of them" if unlabeled is None else repr(unlabeled)
        raise ValueError(
            f"labels_key={key!r}: the reference was not trained on the types {unknown}, only on "
            f"{[str(t) for t in design.types]}; label these cells {hint}, leave them out, or train a model on all cells."
        )


def _check_query_columns(
    adata: AnnData | MuData, design: Design, registry: dict[str, Any], *, transfer_batch: bool
) -> None:
    """Check that batches and covariates of query cells can be put in one order with those of the reference."""
    known = dict(design.categorical) | ({} if design.batch_key is None else {design.batch_key: design.batches})
    for key, categories_ in known.items():
        obs = _obs_for(adata, registry, "batch_key" if key == design.batch_key else "categorical_covariate_keys")
        if key not in obs:
            raise KeyError(f"adata.obs has no column {key!r}, which the reference was registered with: add it.")
        # Python's own values: a data module's are NumPy's
        values, ours = pd.Series(obs[key]).dropna().unique().tolist(), categories_.tolist()
        if not transfer_batch and key == design.batch_key and (new := set(values) - set(ours)):
            raise ValueError(f"transfer_batch=False, and adata has new batches, {sorted(map(str, new))}: leave it out.")
        kinds = sorted({type(value).__name__ for value in values} - {type(value).__name__ for value in ours})
        if kinds and (kinds == ["str"] or any(isinstance(value, str) for value in ours)):
            own = type(ours[0]).__name__
            raise TypeError(f"obs[{key!r}] has values of type {kinds[0]}, and the reference's are {own}: convert them.")
