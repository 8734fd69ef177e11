"""Registration of cells: AnnData, MuData, and data minified to latents; and what scvi-tools' registry then says."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import wraps
from typing import Any, Literal

import numpy as np
from anndata import AnnData
from mudata import MuData
from scipy.sparse import issparse
from scvi import REGISTRY_KEYS
from scvi.data import AnnDataManager, fields
from scvi.model.base import BaseMinifiedModeModelClass, BaseMudataMinifiedModeModelClass

from activa.arguments import check_choices
from activa.checks import check_genes, check_mudata, check_values_of, genes_of
from activa.columns import Columns, check_setup, check_setup_mudata
from activa.model.registry import modalities_of, registered_names
from activa.scvi_private import ADATA_MINIFY_TYPE, annbatch_as_scvi_tools_expects, minify_type

MinifiedData = Literal["latent_posterior_parameters", "latent_posterior_parameters_with_counts"]


def has_only_latents(cells: Any) -> bool:
    """Whether an AnnData has latents in ``obsm`` but no count, as the cells of the CELLxGENE census."""
    x: Any = cells.X if isinstance(cells, AnnData) else None
    if not issparse(x) or x.nnz:
        return False
    return any(str(key).endswith("latent_qzm") for key in cells.obsm)


def refuse_mudata(model: Any, method: str, instead: str) -> None:
    """Raise a NotImplementedError that says what to do instead if the model was made of MuData."""
    if modalities_of(model.registry_) is not None:
        raise NotImplementedError(f"{method} is not available for MuData: {instead}.")


class Registration(BaseMinifiedModeModelClass, BaseMudataMinifiedModeModelClass):
    """``setup_anndata``, ``setup_mudata``, ``minify_adata`` and ``minify_mudata``, and the checks of cells given later."""

    _LATENT_QZM_KEY = "activa_latent_qzm"
    _LATENT_QZV_KEY = "activa_latent_qzv"

    @property
    def summary_string(self) -> str:
        """Summary of the model; each of scvi-tools' two classes adds whether its data are minified."""
        return super(BaseMinifiedModeModelClass, self).summary_string

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

        Adds the columns and entries ``_scvi_*`` to ``adata``.

        Parameters
        ----------
        adata, layer
            Cells x genes of raw counts (or of non-negative values, for the likelihoods ``"normal"`` and ``"mse"``), and the
            layer that holds them; None for ``X``.
        labels_key, batch_key, size_factor_key
            Columns of ``obs`` with cell types, batches, and positive size factors to use instead of total counts.
        categorical_covariate_keys, continuous_covariate_keys
            Columns of ``obs`` with further covariates. Continuous ones are standardized inside, and generated in their
            own units.
        unlabeled_category
            Value of the labels that stands for no label. The model trains on such cells but never generates this type.
        **kwargs
            Passed to :meth:`scvi.data.AnnDataManager.register_fields`; used by :meth:`load`.

        Raises
        ------
        TypeError, KeyError, ValueError
            If ``adata`` is not an AnnData of numbers, is empty, lazy or a view, or repeats a gene; if a key or layer does
            not exist; or if a column has missing or unsuitable values, or is named by two arguments.

        Examples
        --------
        >>> ACTIVA.setup_anndata(adata, labels_key="cell_type", batch_key="donor")  # doctest: +SKIP
        """
        setup_method_args = cls._get_setup_method_args(**locals())
        if unknown := set(kwargs) - {"source_registry", "extend_categories", "allow_missing_labels"}:
            raise TypeError(f"setup_anndata has no argument {sorted(unknown)[0]!r}, got {kwargs!r}.")
        source, columns = kwargs.get("source_registry"), Columns.of(setup_method_args["setup_args"])
        allow_missing_labels = kwargs.get("allow_missing_labels", False)
        check_setup(adata, columns, layer=layer, is_new=source is None, allow_missing_labels=allow_missing_labels)
        if source is not None:
            check_genes(adata, registered_names(source))
        all_fields = _fields(adata, columns, {"layer": layer}, None)
        if minify_type(adata) is not None:
            all_fields += cls._get_fields_for_adata_minification(minify_type(adata))
        cls._register(adata, all_fields, setup_method_args, kwargs)

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
        """Register cells with genes and proteins, which the model then generates together.

        Parameters
        ----------
        mdata, rna_layer, protein_layer
            Cells, the same in each modality and in the same order (ValueError otherwise), and layers that hold the values.
            Genes: as in :meth:`setup_anndata`. Proteins: raw counts, or values of any sign such as CLR-normalized ones.
        labels_key, batch_key, size_factor_key, categorical_covariate_keys, continuous_covariate_keys, unlabeled_category
            As in :meth:`setup_anndata`; columns of ``mdata.obs``, or of the modality that ``modalities`` names.
        modalities
            Argument -> modality. ``{"rna_layer": "rna", "protein_layer": "protein"}`` by default.

        Examples
        --------
        >>> ACTIVA.setup_mudata(mdata, labels_key="cell_type", modalities={"labels_key": "rna"})  # doctest: +SKIP
        """
        if modalities is not None and not isinstance(modalities, Mapping):
            raise TypeError(f"modalities must map arguments to modalities, got {modalities!r}.")
        modalities = {"rna_layer": "rna", "protein_layer": "protein"} | dict(modalities or {})
        setup_method_args = cls._get_setup_method_args(**locals())
        source, columns = kwargs.get("source_registry"), Columns.of(setup_method_args["setup_args"])
        layers = {"rna_layer": rna_layer, "protein_layer": protein_layer}
        check_setup_mudata(mdata, columns, layers=layers, modalities=modalities, is_new=source is None)
        if source is not None:
            check_same(mdata, source, (modalities["rna_layer"], modalities["protein_layer"]))
        all_fields = _fields(mdata, columns, layers, modalities)
        if minify_type(mdata) is not None:
            all_fields += cls._get_fields_for_mudata_minification(minify_type(mdata))
        cls._register(mdata, all_fields, setup_method_args, kwargs)

    @classmethod
    @wraps(BaseMinifiedModeModelClass.setup_annbatch)
    def setup_annbatch(cls, *args: Any, **kwargs: Any) -> Any:
        """A data module of h5ad files as one, by scvi-tools, with the annbatch of the extra."""
        with annbatch_as_scvi_tools_expects():
            return super().setup_annbatch(*args, **kwargs)

    @classmethod
    def _register(cls, cells: Any, all_fields: list[Any], setup_method_args: dict[str, Any], kwargs: Any) -> None:
        manager = AnnDataManager(fields=all_fields, setup_method_args=setup_method_args)
        manager.register_fields(cells, **kwargs)
        cls.register_manager(manager)

    def minify_adata(
        self,
        minified_data_type: MinifiedData = "latent_posterior_parameters",
        use_latent_qzm_key: str = "X_latent_qzm",
        use_latent_qzv_key: str = "X_latent_qzv",
    ) -> None:
        """Give the model a copy of its data with latents instead of counts, which is small to save and to share.

        Generated cells, latents and normalized expression stay the same. Methods that read counts (:meth:`train`,
        :meth:`augment`, :meth:`predict` of the model's own cells, :meth:`get_elbo`) raise an error; so does this one for a
        model without data (ValueError) or before training (RuntimeError).

        Parameters
        ----------
        minified_data_type
            ``"latent_posterior_parameters"``: ``X`` and layers become empty, and ``obs["observed_lib_size"]`` keeps the
            total of each cell. ``"latent_posterior_parameters_with_counts"`` keeps the counts too.
        use_latent_qzm_key, use_latent_qzv_key
            Keys of ``obsm`` with the latents' means and variances, ``(n_cells, n_latent)`` (KeyError otherwise; a ValueError
            if they are not finite, of another shape, or a variance is negative).

        Examples
        --------
        >>> mean, variance = model.get_latent_representation(return_dist=True)  # doctest: +SKIP
        >>> adata.obsm["X_latent_qzm"], adata.obsm["X_latent_qzv"] = mean, variance  # doctest: +SKIP
        >>> model.minify_adata()  # doctest: +SKIP
        """
        refuse_mudata(self, "minify_adata", "call minify_mudata")
        self._check_latents(minified_data_type, use_latent_qzm_key, use_latent_qzv_key)
        known = self.adata.obs.get(self._OBSERVED_LIB_SIZE_KEY)
        only_latents = has_only_latents(self.adata)
        if only_latents and known is None:
            raise ValueError(f"The cells have no counts: add their totals as obs[{self._OBSERVED_LIB_SIZE_KEY!r}].")
        super().minify_adata(minified_data_type, use_latent_qzm_key, use_latent_qzv_key)
        if only_latents:
            self.adata.obs[self._OBSERVED_LIB_SIZE_KEY] = known

    def minify_mudata(
        self,
        minified_data_type: MinifiedData = "latent_posterior_parameters",
        use_latent_qzm_key: str = "X_latent_qzm",
        use_latent_qzv_key: str = "X_latent_qzv",
    ) -> None:
        """Give a model of MuData a copy of its data with latents, as :meth:`minify_adata` does for AnnData.

        Arguments and errors are those of :meth:`minify_adata`; the keys are of ``mdata.obsm``, the totals in ``mdata.obs``.

        Examples
        --------
        >>> model.minify_mudata()  # doctest: +SKIP
        """
        if modalities_of(self.registry_) is None:
            raise ValueError("minify_mudata is for models of MuData, and this one is of AnnData: call minify_adata.")
        self._check_latents(minified_data_type, use_latent_qzm_key, use_latent_qzv_key)
        with warnings.catch_warnings():
            # scvi-tools 1.5 asks mudata for a name that it has deprecated
            warnings.filterwarnings("ignore", message="The method mod_names is deprecated", category=FutureWarning)
            super().minify_mudata(minified_data_type, use_latent_qzm_key, use_latent_qzv_key)

    def _check_latents(self, minified_data_type: Any, use_latent_qzm_key: str, use_latent_qzv_key: str) -> None:
        """Check that the model's data can be minified, with the latents at these keys."""
        check_choices(minified_data_type=(minified_data_type, MinifiedData))
        if self.adata is None:
            raise ValueError("The model was loaded without data, which minifying needs: load it with adata=.")
        if self.minified_data_type is not None:
            raise ValueError(f"The model's data are minified already, as {self.minified_data_type!r}.")
        self._check_if_trained(warn=False)
        latents = (("use_latent_qzm_key", use_latent_qzm_key), ("use_latent_qzv_key", use_latent_qzv_key))
        for name, key in latents:
            if key not in self.adata.obsm:
                raise KeyError(f"{name}={key!r} is not in obsm: store get_latent_representation(return_dist=True).")
            values, n_latent = self.adata.obsm[key], self.module.n_latent
            if values.ndim != 2 or values.shape[1] != n_latent or np.asarray(values).dtype.kind not in "iuf":
                raise ValueError(f"{name}={key!r} must be numbers in {n_latent} columns, got shape {values.shape}.")
            if not np.isfinite(values).all() or (name == "use_latent_qzv_key" and (np.asarray(values) < 0).any()):
                what = "means, which are finite" if name == "use_latent_qzm_key" else "variances, finite and positive"
                raise ValueError(f"{name}={key!r} must hold {what}: store get_latent_representation(return_dist=True).")

    @classmethod
    def _check_registered(cls, adata: Any) -> None:
        """Raise a TypeError or ValueError unless the cells, if given, are the registered ones."""
        if adata is None:
            return
        if not isinstance(adata, AnnData | MuData):
            raise TypeError(f"adata must be an AnnData or MuData that was registered, got {type(adata).__name__}.")
        try:
            cls._get_most_recent_anndata_manager(adata, required=True)
        except ValueError as error:
            raise ValueError("adata was not registered, or is a copy: call setup_anndata (setup_mudata).") from error

    def _check_counts(self, method: str) -> None:
        """Raise a ValueError if the model's data have no counts."""
        if self.minified_data_type == ADATA_MINIFY_TYPE.LATENT_POSTERIOR:
            raise ValueError(f"{method} needs counts, and the model's data are minified: load it with adata=counts.")


def check_same(cells: Any, registry: dict[str, Any], modalities: tuple[str, str] | None) -> None:
    """Check that cells have the genes (and proteins) of a registry."""
    if modalities is None:
        genes = genes_of(cells, None)
        is_minified = isinstance(genes, AnnData) and minify_type(genes) is not None
        check_values_of(genes, layer=None if is_minified else registry["setup_args"]["layer"])
        check_genes(genes, registered_names(registry))
    else:
        proteins = registered_names(registry, REGISTRY_KEYS.PROTEIN_EXP_KEY)
        check_mudata(cells, modalities, registered_names(registry), proteins)


def _fields(
    cells: Any, columns: Columns, layers: Mapping[str, str | None], modalities: Mapping[str, str] | None
) -> list[Any]:
    """The fields to register, for AnnData or, with modalities, for MuData."""

    def field(argument: str, kind: type, key: str, *args: Any, **kwargs: Any) -> Any:
        if modalities is None:
            return kind(key, *args, **kwargs)
        return getattr(fields, f"MuData{kind.__name__}")(key, *args, mod_key=modalities.get(argument), **kwargs)

    keys, found = REGISTRY_KEYS, []
    for (argument, layer), key in zip(layers.items(), (keys.X_KEY, keys.PROTEIN_EXP_KEY), strict=False):
        part = cells if modalities is None else cells[modalities[argument]]
        # values are checked when the model is made, which knows the likelihood; scvi-tools would copy dense values
        is_sparse = issparse(part.X if layer is None else part.layers[layer])
        found.append(field(argument, fields.LayerField, key, layer, is_count_data=False, correct_data_format=is_sparse))
    found.append(field("batch_key", fields.CategoricalObsField, keys.BATCH_KEY, columns.batch_key))
    unlabeled = [] if columns.unlabeled_category is None else [columns.unlabeled_category]
    labels_field = fields.LabelsWithUnlabeledObsField if unlabeled else fields.CategoricalObsField
    found.append(field("labels_key", labels_field, keys.LABELS_KEY, columns.labels_key, *unlabeled))
    factors = columns.size_factor_key
    found.append(field("size_factor_key", fields.NumericalObsField, keys.SIZE_FACTOR_KEY, factors, required=False))
    for argument, kind, key in (
        ("categorical_covariate_keys", fields.CategoricalJointObsField, keys.CAT_COVS_KEY),
        ("continuous_covariate_keys", fields.NumericalJointObsField, keys.CONT_COVS_KEY),
    ):
        found.append(field(argument, kind, key, getattr(columns, argument)))
    return found
