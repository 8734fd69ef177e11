"""The ACTIVA model: wiring and documentation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy.sparse import issparse
from scvi import REGISTRY_KEYS
from scvi.data import AnnDataManager
from scvi.data.fields import (
    CategoricalJointObsField,
    CategoricalObsField,
    LabelsWithUnlabeledObsField,
    LayerField,
    NumericalJointObsField,
    NumericalObsField,
)

from activa.model._cells import genes_of, modality_of
from activa.model._checks import check_genes, check_setup, check_values
from activa.model._checks_mudata import check_cells, check_proteins
from activa.model._classification import ClassificationMixin
from activa.model._datamodule import as_setup_anndata
from activa.model._export import ExportMixin
from activa.model._mudata import MuDataMixin
from activa.model._paper import PaperMixin
from activa.model._plan_cells import BATCH, LABEL, design_table
from activa.model._registered import trained_genes
from activa.model._saving import SavingMixin
from activa.module import ACTIVAModule
from activa.scvi_private import ADATA_MINIFY_TYPE, let_cells_go, minify_type
from activa.seeds import check_seed, seeded
from activa.settings import Settings


class ACTIVA(SavingMixin, ExportMixin, MuDataMixin, PaperMixin, ClassificationMixin):
    """Labeled synthetic cells from an introspective variational autoencoder (after Heydari et al. 2022).

    The prior p(z | y) is labeled, so that cells of a type are drawn and not picked from among all; an ACTINN classifier
    is trained beside. The encoder can be its own critic: with ``plan_kwargs={"introspection": "soft"}`` or ``"hinge"`` in
    :meth:`train` it learns to tell generated cells from real ones by how far from the prior it puts them, and the
    generator learns to make cells that it cannot tell. With ``"sleep"`` it learns to read generated cells instead.

    Parameters
    ----------
    adata
        Cells registered by :meth:`setup_anndata` or :meth:`setup_mudata`. None to load a model without data, or to train
        from a data module.
    registry
        Registry of a data module, to :meth:`train` from it without an AnnData; or of a saved model, by :meth:`load`.
    seed
        Random seed of the initial weights. None draws a fresh seed. Global random state does not change.
    **settings
        Fields of :class:`~activa.settings.Settings`, kept as ``model.settings``.

    Raises
    ------
    TypeError
        If an argument is of another type than it must be.
    ValueError
        If the values are not what the likelihood describes: negative or not finite, or, for a count likelihood, not
        whole; if a cell is empty; if an argument is out of its range; or if the cells were not registered.

    Examples
    --------
    >>> adata = activa.datasets.pbmc68k_reduced()
    >>> ACTIVA.setup_anndata(adata, labels_key="cell_type")
    >>> model = ACTIVA(adata)
    >>> model.train()
    >>> synthetic = model.generate(1000, labels_key="cell_type")
    """

    _module_cls = ACTIVAModule

    def __init__(
        self,
        adata: AnnData | MuData | None = None,
        registry: dict | None = None,
        *,
        seed: int | None = 0,
        **settings: Any,
    ):
        if registry is not None:
            registry = as_setup_anndata(registry, type(self).__name__)
        self._check_registered(adata)
        super().__init__(adata, registry)
        let_cells_go(self)
        chosen = Settings.of(settings)
        seed = check_seed(seed)
        if chosen.protein_likelihood is not None and self._modalities is None:
            raise ValueError(
                f"protein_likelihood={chosen.protein_likelihood!r} needs proteins: register them by setup_mudata."
            )
        has_counts = adata is not None and self.minified_data_type != ADATA_MINIFY_TYPE.LATENT_POSTERIOR
        if has_counts:
            x = self.adata_manager.get_from_registry(REGISTRY_KEYS.X_KEY)
            modality = None if self._modalities is None else self._modalities["rna_layer"]
            totals = check_values(x, layer=self._layer, gene_likelihood=chosen.gene_likelihood, modality=modality)
            proteins = self._registered_proteins()
            if proteins is not None:
                protein_likelihood = check_proteins(
                    proteins,
                    chosen.protein_likelihood,
                    layer=self._setup_arg("protein_layer"),
                    modality=self._setup_arg("modalities")["protein_layer"],
                )
                chosen = replace(chosen, protein_likelihood=protein_likelihood)
                settings["protein_likelihood"] = protein_likelihood  # the choice is saved with the model

        covariates = self._field(REGISTRY_KEYS.CAT_COVS_KEY)
        with seeded(seed):
            self.module = self._module_cls(
                n_input=self.summary_stats.n_vars,
                n_batch=self.summary_stats.n_batch,
                n_labels=len(self._field(REGISTRY_KEYS.LABELS_KEY)["categorical_mapping"]),
                n_types=len(self.types),
                n_cats_per_cov=covariates.get("n_cats_per_key"),
                n_continuous_cov=self.summary_stats.get("n_extra_continuous_covs", 0),
                settings=chosen,
                use_size_factor_key=self._setup_arg("size_factor_key") is not None,
                n_proteins=self.summary_stats.get("n_proteins", 0),
            )
        self.settings = chosen
        self.init_params_ = self._get_init_params(locals())
        self.module.minified_data_type = self.minified_data_type
        if has_counts:
            if self._setup_arg("size_factor_key") is not None:
                totals = np.asarray(self.adata_manager.get_from_registry(REGISTRY_KEYS.SIZE_FACTOR_KEY)).ravel()
            y, batch = (
                np.asarray(self.adata_manager.get_from_registry(key)).ravel()
                for key in (REGISTRY_KEYS.LABELS_KEY, REGISTRY_KEYS.BATCH_KEY)
            )
            self._start_from_cells(x, y, totals, seed=seed, proteins=proteins, batch=batch)
        if adata is not None:
            # kept with the weights, so that a model loaded without data can generate
            self.design_ = self._cell_design()
            genes: Any = genes_of(adata, self._modalities).var
            self.var_ = genes.copy()
            if self._modalities is not None:
                protein_var: Any = modality_of(adata, self._modalities, "protein_layer").var
                self.protein_var_ = protein_var.copy()
        self._model_summary_string = (
            f"ACTIVA with {chosen.gene_likelihood} likelihood, {chosen.architecture} architecture, n_latent: "
            f"{chosen.n_latent}, n_hidden: {chosen.n_hidden}, {len(self.types)} types."
        )
        self.training_defaults_ = {}
        self.reference_categories_ = None

    @classmethod
    def _check_registered(cls, adata: Any) -> None:
        """Raise a TypeError or ValueError if cells are given that are not those that were registered."""
        if adata is None:
            return
        if not isinstance(adata, AnnData | MuData):
            raise TypeError(f"adata must be an AnnData or MuData that was registered, got {type(adata).__name__}.")
        try:
            cls._get_most_recent_anndata_manager(adata, required=True)
        except ValueError as error:
            raise ValueError(
                f"adata is not what setup_anndata or setup_mudata was given, or a copy or view of it: register what the "
                f"model is made of. ({error})"
            ) from error

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        *,
        layer: str | None = None,
        labels_key: str | None = None,
        batch_key: str | None = None,
        size_factor_key: str | None = None,
        categorical_covariate_keys: list[str] | None = None,
        continuous_covariate_keys: list[str] | None = None,
        unlabeled_category: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Register cells: where counts, types, batches and covariates are found.

        Adds the bookkeeping columns and entries of scvi-tools (``_scvi_*``) to ``adata``; nothing else is changed.

        Parameters
        ----------
        adata
            Cells x genes of raw counts (or of non-negative values, for the normal likelihood).
        layer
            Layer that holds the counts; None for ``X``.
        labels_key
            Column of ``obs`` with cell types; None where all cells are of one type.
        batch_key
            Column of ``obs`` with batches.
        size_factor_key
            Column of ``obs`` with positive size factors, to be used instead of the cells' total counts.
        categorical_covariate_keys, continuous_covariate_keys
            Columns of ``obs`` that the model is given beside the batch. Continuous ones are taken as they are: give them
            with a standard deviation of about 1, since weights are shrunk alike and effects of smaller values come out too small.
        unlabeled_category
            Value of the labels that stands for no label: such cells are trained on, and never generated as a type.
        **kwargs
            Passed to :meth:`scvi.data.AnnDataManager.register_fields`; used by :meth:`load`.

        Raises
        ------
        TypeError
            If ``adata`` is not an AnnData of numbers, a key is no string, or a list of keys none.
        KeyError
            If a key or layer is not in the data.
        ValueError
            If ``adata`` is empty, lazy or a view; if a column has missing values, or values that it cannot have.

        Examples
        --------
        >>> ACTIVA.setup_anndata(adata, layer="counts", labels_key="cell_type", batch_key="donor")
        """
        setup_method_args = cls._get_setup_method_args(**locals())
        if unknown := set(kwargs) - {"source_registry", "extend_categories", "allow_missing_labels"}:
            raise TypeError(f"setup_anndata has no argument {sorted(unknown)[0]!r}, got {kwargs!r}.")
        check_setup(
            adata,
            layer=layer,
            labels_key=labels_key,
            batch_key=batch_key,
            size_factor_key=size_factor_key,
            categorical_covariate_keys=categorical_covariate_keys,
            continuous_covariate_keys=continuous_covariate_keys,
            unlabeled_category=unlabeled_category,
            is_new=kwargs.get("source_registry") is None,
            allow_missing_labels=kwargs.get("allow_missing_labels", False),
        )
        if kwargs.get("source_registry") is not None:
            check_genes(adata, trained_genes(kwargs["source_registry"]))
        if unlabeled_category is None:
            labels = CategoricalObsField(REGISTRY_KEYS.LABELS_KEY, labels_key)
        else:
            labels = LabelsWithUnlabeledObsField(REGISTRY_KEYS.LABELS_KEY, labels_key, unlabeled_category)
        fields = [
            # what the values are is checked when the model is made, which knows the likelihood
            LayerField(
                REGISTRY_KEYS.X_KEY,
                layer,
                is_count_data=False,
                # of sparse values it warns, dense ones it would write over
                correct_data_format=issparse(adata.X if layer is None else adata.layers[layer]),
            ),
            CategoricalObsField(REGISTRY_KEYS.BATCH_KEY, batch_key),
            labels,
            NumericalObsField(REGISTRY_KEYS.SIZE_FACTOR_KEY, size_factor_key, required=False),
            CategoricalJointObsField(REGISTRY_KEYS.CAT_COVS_KEY, categorical_covariate_keys),
            NumericalJointObsField(REGISTRY_KEYS.CONT_COVS_KEY, continuous_covariate_keys),
        ]
        if minify_type(adata) is not None:
            fields += cls._get_fields_for_adata_minification(minify_type(adata))
        manager = AnnDataManager(fields=fields, setup_method_args=setup_method_args)
        manager.register_fields(adata, **kwargs)
        cls.register_manager(manager)

    def _cell_design(self) -> pd.DataFrame:
        """Every combination of type, batch and covariates (codes and values) there is, and its number of cells."""
        columns = {
            LABEL: np.asarray(self.adata_manager.get_from_registry(REGISTRY_KEYS.LABELS_KEY)).ravel(),
            BATCH: np.asarray(self.adata_manager.get_from_registry(REGISTRY_KEYS.BATCH_KEY)).ravel(),
        }
        for key in (REGISTRY_KEYS.CAT_COVS_KEY, REGISTRY_KEYS.CONT_COVS_KEY):
            if key in self.adata_manager.data_registry:
                columns |= dict(self.adata_manager.get_from_registry(key).items())
        return design_table(pd.DataFrame({name: np.asarray(column) for name, column in columns.items()}))

    def _validate_anndata(self, adata: AnnData | None = None, copy_if_view: bool = True) -> AnnData:
        if adata is None and self.adata is None:
            raise ValueError("The model was loaded without data: give adata=, cells with the genes it was trained on.")
        if adata is not None:
            if self._modalities is None:
                check_genes(genes_of(adata, None), self.trained_genes)
            else:
                proteins = trained_genes(self.registry_, REGISTRY_KEYS.PROTEIN_EXP_KEY)
                check_cells(adata, self._modalities, self.trained_genes, proteins)
        return super()._validate_anndata(adata, copy_if_view)
