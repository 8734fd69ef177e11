"""The ACTIVA model: wiring and documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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

from activa.arguments import check_choices, check_integers, check_numbers
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
from activa.module import ACTIVAModule, ProteinLikelihood
from activa.module._cells import Dispersion, GeneLikelihood
from activa.module._module import GeneratorForm, LabelInput, Prior
from activa.module._networks import Norm
from activa.scvi_private import ADATA_MINIFY_TYPE, let_cells_go, minify_type
from activa.seeds import check_seed, seeded


class ACTIVA(SavingMixin, ExportMixin, MuDataMixin, PaperMixin, ClassificationMixin):
    """Labeled synthetic cells from an introspective variational autoencoder (after Heydari et al. 2022).

    The prior p(z | y) is labeled, so that cells of a type are drawn and not picked from among all; an ACTINN classifier
    is trained beside. The encoder can be its own critic: with ``game=Soft()`` or ``Hinge()`` (:mod:`activa.train`) in
    :meth:`train` it learns to tell generated cells from real ones by how far from the prior it puts them, and the
    generator learns to make cells that it cannot tell.

    Parameters
    ----------
    adata
        Cells registered by :meth:`setup_anndata` or :meth:`setup_mudata`. None to load a model without data, or to train
        from a data module.
    registry
        Registry of a data module, to :meth:`train` from it without an AnnData; or of a saved model, by :meth:`load`.
    n_hidden
        Width of each hidden layer of the encoder, or of its one layer; a deep generator has them in reverse.
    n_latent
        Latent dimensions.
    gene_likelihood
        ``"nb-outlier"`` (:class:`~activa.module.OutlierNegativeBinomial`), ``"nb"``, ``"zinb"`` or ``"poisson"`` for
        counts; for non-negative values, log-normalized say, ``"normal"`` or ``"mse"``, the paper's squared error: the
        variance is 1/2, and a generated cell is its mean.
    generator
        ``"linear"``: log expression is linear in the latent, with an offset for each type, and training starts from
        principal components; ``"curved"``: the same, bent by a small hidden layer as far as there are cells that show
        it; ``"deep"``: hidden layers and a random start.
    dispersion
        What the dispersion differs by: ``"gene"``, ``"gene-batch"`` or ``"gene-label"``.
    prior
        ``"labeled"``: a learnt p(z | y); ``"standard"``: N(0, I), the paper's.
    n_prior_components
        Gaussians a type in the labeled prior, at most; a type has one for every ten cells.
    label_input
        What the generator is given beside the latent: ``"inferred"``, the probabilities of the types at this latent, so
        that a cell between types, or called what it is not, is generated as such; ``"given"``, the type itself, which
        makes types purer than they are; ``"none"``. Types then come of the labeled prior alone.
    norm
        Normalization of the hidden layers.
    dropout_rate
        Dropout of the encoder's hidden layers.
    input_dropout_rate
        Share of genes hidden from the encoder in a training step. With few cells and many genes it keeps the encoder
        from learning cells by heart.
    loading_scale, offset_scale
        Standard deviations, in log expression, of the Gaussian priors of a linear generator's loadings and of its
        offsets' distance from their start. Smaller keeps genes with few counts closer to their type's mean.
    protein_likelihood
        Of the proteins of MuData: ``"nb"`` for counts, ``"normal"`` for values of any sign. None for the one that the
        values fit.
    seed
        Of the initial weights; None for new ones each time. Global random state is left as it was.

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
        n_hidden: Sequence[int] | int = (128,),
        n_latent: int = 16,
        gene_likelihood: GeneLikelihood = "nb-outlier",
        generator: GeneratorForm = "curved",
        dispersion: Dispersion = "gene",
        prior: Prior = "labeled",
        n_prior_components: int = 16,
        label_input: LabelInput = "inferred",
        norm: Norm = "layer",
        dropout_rate: float = 0.1,
        input_dropout_rate: float = 0.35,
        loading_scale: float = 0.05,
        offset_scale: float = 0.3,
        protein_likelihood: ProteinLikelihood | None = None,
        seed: int | None = 0,
    ):
        if registry is not None:
            registry = as_setup_anndata(registry, type(self).__name__)
        self._check_registered(adata)
        super().__init__(adata, registry)
        let_cells_go(self)
        check_choices(
            gene_likelihood=(gene_likelihood, GeneLikelihood),
            generator=(generator, GeneratorForm),
            dispersion=(dispersion, Dispersion),
            prior=(prior, Prior),
            norm=(norm, Norm),
            label_input=(label_input, LabelInput),
        )
        widths = tuple(n_hidden) if isinstance(n_hidden, Iterable) and not isinstance(n_hidden, str) else (n_hidden,)
        if not widths:
            raise ValueError("n_hidden must have at least one width, got ().")
        for width in widths:
            check_integers(n_hidden=width)
        check_integers(n_latent=n_latent, n_prior_components=n_prior_components)
        check_numbers(loading_scale=loading_scale, offset_scale=offset_scale, above=0)
        check_numbers(dropout_rate=dropout_rate, input_dropout_rate=input_dropout_rate, least=0, below=1)
        # Python's own numbers, which every file format takes
        n_hidden, n_latent, n_prior_components = tuple(map(int, widths)), int(n_latent), int(n_prior_components)
        dropout_rate, input_dropout_rate = float(dropout_rate), float(input_dropout_rate)
        loading_scale, offset_scale = float(loading_scale), float(offset_scale)
        seed = check_seed(seed)
        if protein_likelihood is not None:
            check_choices(protein_likelihood=(protein_likelihood, ProteinLikelihood))
            if self._modalities is None:
                raise ValueError(
                    f"protein_likelihood={protein_likelihood!r} needs proteins, as setup_mudata registers."
                )
        has_counts = adata is not None and self.minified_data_type != ADATA_MINIFY_TYPE.LATENT_POSTERIOR
        if has_counts:
            x = self.adata_manager.get_from_registry(REGISTRY_KEYS.X_KEY)
            modality = None if self._modalities is None else self._modalities["rna_layer"]
            totals = check_values(x, layer=self._layer, gene_likelihood=gene_likelihood, modality=modality)
            proteins = self._registered_proteins()
            if proteins is not None:
                protein_likelihood = check_proteins(
                    proteins,
                    protein_likelihood,
                    layer=self._setup_arg("protein_layer"),
                    modality=self._setup_arg("modalities")["protein_layer"],
                )

        covariates = self._field(REGISTRY_KEYS.CAT_COVS_KEY)
        with seeded(seed):
            self.module = self._module_cls(
                n_input=self.summary_stats.n_vars,
                n_batch=self.summary_stats.n_batch,
                n_labels=len(self._field(REGISTRY_KEYS.LABELS_KEY)["categorical_mapping"]),
                n_types=len(self.types),
                n_cats_per_cov=covariates.get("n_cats_per_key"),
                n_continuous_cov=self.summary_stats.get("n_extra_continuous_covs", 0),
                n_hidden=n_hidden,
                n_latent=n_latent,
                gene_likelihood=gene_likelihood,
                generator=generator,
                dispersion=dispersion,
                prior=prior,
                n_prior_components=n_prior_components,
                label_input=label_input,
                norm=norm,
                dropout_rate=dropout_rate,
                input_dropout_rate=input_dropout_rate,
                loading_scale=loading_scale,
                offset_scale=offset_scale,
                use_size_factor_key=self._setup_arg("size_factor_key") is not None,
                n_proteins=self.summary_stats.get("n_proteins", 0),
                protein_likelihood=protein_likelihood or "normal",
            )
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
            f"ACTIVA with {gene_likelihood} likelihood, {prior} prior, n_latent: {n_latent}, n_hidden: {n_hidden}, "
            f"{len(self.types)} types."
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
