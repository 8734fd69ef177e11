"""MuData: genes and surface proteins of the same cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scvi import REGISTRY_KEYS
from scvi.data import AnnDataManager, fields

from activa.model._checks_mudata import check_cells, check_setup_mudata
from activa.model._expression import ExpressionMixin
from activa.model._minified import MinifiedMixin
from activa.model._registered import trained_genes
from activa.model._surgery import SurgeryMixin
from activa.model._zarr import ZarrMixin


def _not_of_mudata(method: Callable[..., Any], instead: str) -> Callable[..., Any]:
    """A method that is refused for a model of MuData, with what to do instead."""

    @wraps(method)
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._modalities is not None:
            raise NotImplementedError(f"{method.__name__} is not available for MuData: {instead}.")
        return method(self, *args, **kwargs)

    return checked


class MuDataMixin(ExpressionMixin, ZarrMixin, SurgeryMixin, MinifiedMixin):
    """The ``setup_mudata`` method, and what a model of MuData does not do."""

    # scvi-tools' tables would name proteins as genes
    differential_expression = _not_of_mudata(
        ExpressionMixin.differential_expression, "compare what get_normalized_expression gives"
    )
    get_feature_correlation_matrix = _not_of_mudata(
        ExpressionMixin.get_feature_correlation_matrix, "correlate generated cells"
    )
    generate_zarr = _not_of_mudata(ZarrMixin.generate_zarr, "write the chunks that generate_batches gives")
    minify_adata = _not_of_mudata(MinifiedMixin.minify_adata, "save the model without data, save(save_anndata=False)")

    @classmethod
    def setup_mudata(
        cls,
        mdata: MuData,
        *,
        rna_layer: str | None = None,
        protein_layer: str | None = None,
        labels_key: str | None = None,
        batch_key: str | None = None,
        size_factor_key: str | None = None,
        categorical_covariate_keys: list[str] | None = None,
        continuous_covariate_keys: list[str] | None = None,
        unlabeled_category: str | None = None,
        modalities: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Register cells with genes and proteins, which are then generated together.

        Adds the bookkeeping columns and entries of scvi-tools (``_scvi_*``) to ``mdata``; nothing else is changed.

        Parameters
        ----------
        mdata
            Cells, the same in each modality and in the same order. Genes: raw counts (or non-negative values, for the
            normal likelihood). Proteins: raw counts, or values of any sign such as CLR-normalized ones.
        rna_layer, protein_layer
            Layers that hold them; None for ``X``.
        labels_key, batch_key, size_factor_key, categorical_covariate_keys, continuous_covariate_keys, unlabeled_category
            As of ``setup_anndata``; columns of ``mdata.obs``, or of a modality's where ``modalities`` says so.
        modalities
            Argument -> modality it is found in. ``{"rna_layer": "rna", "protein_layer": "protein"}`` unless given.
        **kwargs
            Passed to :meth:`scvi.data.AnnDataManager.register_fields`; used by :meth:`load`.

        Raises
        ------
        TypeError
            If ``mdata`` is not a MuData, or a list of keys is a string.
        KeyError
            If a modality, key or layer is not in the data.
        ValueError
            If the modalities have not the same cells in the same order, or a column has missing values or values that it
            cannot have.

        Examples
        --------
        >>> ACTIVA.setup_mudata(mdata, labels_key="cell_type", modalities={"labels_key": "rna"})
        >>> model = ACTIVA(mdata)
        >>> model.train()
        >>> synthetic = model.generate(1000)
        >>> synthetic["rna"].X, synthetic["protein"].X
        """
        modalities = {"rna_layer": "rna", "protein_layer": "protein"} | (modalities or {})
        setup_method_args = cls._get_setup_method_args(**locals())
        source = kwargs.get("source_registry")
        check_setup_mudata(
            mdata,
            modalities=modalities,
            rna_layer=rna_layer,
            protein_layer=protein_layer,
            labels_key=labels_key,
            batch_key=batch_key,
            size_factor_key=size_factor_key,
            categorical_covariate_keys=categorical_covariate_keys,
            continuous_covariate_keys=continuous_covariate_keys,
            unlabeled_category=unlabeled_category,
            is_new=source is None,
        )
        if source is not None:
            check_cells(mdata, modalities, trained_genes(source), trained_genes(source, REGISTRY_KEYS.PROTEIN_EXP_KEY))
        of = {argument: {"mod_key": modalities.get(argument)} for argument in setup_method_args["setup_args"]}
        if unlabeled_category is None:
            labels = fields.MuDataCategoricalObsField(REGISTRY_KEYS.LABELS_KEY, labels_key, **of["labels_key"])
        else:
            labels = fields.MuDataLabelsWithUnlabeledObsField(
                REGISTRY_KEYS.LABELS_KEY, labels_key, unlabeled_category, **of["labels_key"]
            )
        mudata_fields = [
            # what the values are is checked when the model is made, which knows the likelihoods
            fields.MuDataLayerField(
                REGISTRY_KEYS.X_KEY, rna_layer, is_count_data=False, mod_required=True, **of["rna_layer"]
            ),
            fields.MuDataLayerField(
                REGISTRY_KEYS.PROTEIN_EXP_KEY,
                protein_layer,
                is_count_data=False,
                mod_required=True,
                **of["protein_layer"],
            ),
            fields.MuDataCategoricalObsField(REGISTRY_KEYS.BATCH_KEY, batch_key, **of["batch_key"]),
            labels,
            fields.MuDataNumericalObsField(
                REGISTRY_KEYS.SIZE_FACTOR_KEY, size_factor_key, required=False, **of["size_factor_key"]
            ),
            fields.MuDataCategoricalJointObsField(
                REGISTRY_KEYS.CAT_COVS_KEY, categorical_covariate_keys, **of["categorical_covariate_keys"]
            ),
            fields.MuDataNumericalJointObsField(
                REGISTRY_KEYS.CONT_COVS_KEY, continuous_covariate_keys, **of["continuous_covariate_keys"]
            ),
        ]
        manager = AnnDataManager(fields=mudata_fields, setup_method_args=setup_method_args)
        manager.register_fields(mdata, **kwargs)
        cls.register_manager(manager)

    def get_normalized_expression(  # type: ignore[override]  # the arguments left out are passed on
        self,
        adata: AnnData | MuData | None = None,
        indices: Sequence[int] | None = None,
        transform_batch: Any = None,
        gene_list: Sequence[str] | None = None,
        **expression_kwargs: Any,
    ) -> np.ndarray | pd.DataFrame:
        """Normalized expression of the genes, of AnnData or MuData.

        Parameters
        ----------
        adata, indices, transform_batch, gene_list, **expression_kwargs
            As of :meth:`scvi.model.base.RNASeqMixin.get_normalized_expression`.

        Returns
        -------
        As there: a DataFrame, cells x genes, or an array of posterior samples.

        Examples
        --------
        >>> model.get_normalized_expression(gene_list=["CD4"])
        """
        if self._modalities is None:
            return super().get_normalized_expression(adata, indices, transform_batch, gene_list, **expression_kwargs)
        wants_array = expression_kwargs.pop("return_numpy", None)
        x: Any = super().get_normalized_expression(
            adata, indices, transform_batch, return_numpy=True, **expression_kwargs
        )
        chosen = np.ones(len(self.trained_genes), bool) if gene_list is None else np.isin(self.trained_genes, gene_list)
        x = x[..., chosen]
        if wants_array or x.ndim > 2 or expression_kwargs.get("n_samples_overall") is not None:
            return x
        names = (self.adata if adata is None else adata).obs_names
        return pd.DataFrame(
            x, index=names if indices is None else names[np.asarray(indices)], columns=self.trained_genes[chosen]
        )
