"""The ACTIVA model: a scvi-tools model that learns, and hands out a sampler that draws."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from lightning.pytorch import LightningDataModule
from mudata import MuData
from scipy.sparse import issparse
from scvi import REGISTRY_KEYS

from activa.assembly import size_of
from activa.checks import check_proteins, check_values, genes_of, modality_of
from activa.design import BATCH, LABEL, design_table
from activa.io.atomic import atomic_files, atomic_folder, check_space
from activa.model.datamodule import as_setup_anndata
from activa.model.expression import Expression
from activa.model.generation import Generation
from activa.model.queries import Queries
from activa.model.reading import Reading
from activa.model.registration import has_only_latents
from activa.model.registry import appearance_of, label_names, modalities_of, state_of
from activa.model.start import StartCells, start_from_cells
from activa.model.training import Training
from activa.module import ACTIVAModule
from activa.scvi_private import ADATA_MINIFY_TYPE, release_with_model
from activa.seeds import check_seed, seeded
from activa.settings import PAPER, Settings, n_latent_for
from activa.train import PAPER_EPOCHS, PAPER_RECIPE


class ACTIVA(Generation, Training, Expression, Queries, Reading):
    """Labeled synthetic cells from a variational autoencoder that can be its own critic (after Heydari et al. 2022).

    The prior p(z | y) is labeled, so that cells of a type are drawn, not picked from among all; an ACTINN classifier is
    trained beside. With ``game=`` in :meth:`train` the encoder learns to tell generated cells from real ones by how far
    from the prior it puts them, and the generator learns to generate cells that it cannot tell (the introspective game,
    off by default).

    Parameters
    ----------
    adata
        Cells registered by :meth:`setup_anndata` or :meth:`setup_mudata`. None to train from a data module.
    registry, seed
        Registry of a data module, to :meth:`train` from it without an AnnData; and random seed of the initial weights (None
        takes ``scvi.settings.seed``, or 0 where that is not set).
    **settings
        Fields of :class:`activa.settings.Settings`: ``n_hidden``, ``n_latent``, ``dropout_rate``, ``gene_likelihood``,
        ``protein_likelihood``, ``architecture``. They are kept as ``model.settings``.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type; if a setting does not exist or is out of range; if the cells were not registered,
        one of them is empty, or their values are not what the likelihood describes.

    Examples
    --------
    >>> adata = activa.datasets.pbmc68k_reduced()
    >>> ACTIVA.setup_anndata(adata, labels_key="cell_type")
    >>> model = ACTIVA(adata, n_latent=10)
    >>> model.train(max_epochs=2, enable_progress_bar=False)
    >>> model.generate(100, labels_key="cell_type").shape
    (100, 765)
    """

    _module_cls = ACTIVAModule

    def __init__(
        self,
        adata: AnnData | MuData | None = None,
        registry: dict | None = None,
        *,
        seed: int | None = None,
        **settings: Any,
    ):
        chosen = Settings.of(settings)
        seed = check_seed(seed, default=0)
        if registry is not None:
            registry = as_setup_anndata(registry, type(self).__name__)
        self._check_registered(adata)
        super().__init__(adata, registry)
        release_with_model(self)
        arguments = self.registry_["setup_args"]
        if chosen.protein_likelihood is not None and modalities_of(self.registry_) is None:
            raise ValueError(f"protein_likelihood={chosen.protein_likelihood!r} needs proteins: use setup_mudata.")
        cells = None
        # loaded cells may have latents only, and wait for minify_adata
        has_counts = registry is None or not has_only_latents(adata)
        if adata is not None and has_counts and self.minified_data_type != ADATA_MINIFY_TYPE.LATENT_POSTERIOR:
            cells, protein_likelihood = self._read_cells(chosen)
            chosen = replace(chosen, protein_likelihood=protein_likelihood)
        labels, unlabeled = label_names(self.registry_), arguments.get("unlabeled_category")
        if "n_latent" not in settings:
            chosen = replace(chosen, n_latent=n_latent_for(len(labels)))
        with seeded(seed):
            self.module = self._module_cls(
                n_input=self.summary_stats.n_vars,
                n_batch=self.summary_stats.n_batch,
                n_labels=len(labels),
                n_types=len(labels) - (unlabeled is not None),
                n_cats_per_cov=state_of(self.registry_, REGISTRY_KEYS.CAT_COVS_KEY).get("n_cats_per_key"),
                n_continuous_cov=self.summary_stats.get("n_extra_continuous_covs", 0),
                settings=chosen,
                use_size_factor_key=arguments["size_factor_key"] is not None,
                n_proteins=self.summary_stats.get("n_proteins", 0),
            )
        settings = chosen.to_dict()  # what scvi-tools saves of the local variables
        self.init_params_ = self._get_init_params(locals())
        self.module.minified_data_type = self.minified_data_type
        if cells is not None:
            start_from_cells(self.module, cells, seed=seed)
        if adata is not None:
            # saved with the weights, so that a model loaded without data can generate
            self.design_ = self._design_table()
            self.appearance_ = appearance_of(adata, self.design)
            modalities: Any = modalities_of(self.registry_)
            genes: Any = genes_of(adata, modalities).var
            self.var_ = genes.copy()
            if modalities is not None:
                proteins: Any = modality_of(adata, modalities[1]).var
                self.protein_var_ = proteins.copy()
        self._model_summary_string = f"ACTIVA of {self.module.n_types} types with {chosen}."
        self.training_defaults_: dict[str, Any] = {}
        self.reference_categories_ = None

    @property
    def settings(self) -> Settings:
        """The model's settings."""
        return self.module.settings

    def _read_cells(self, settings: Settings) -> tuple[StartCells, Any]:
        """The registered cells, checked against the likelihoods, and the likelihood of their proteins."""
        arguments, modalities = self.registry_["setup_args"], modalities_of(self.registry_)
        registered = self.adata_manager.get_from_registry
        x = registered(REGISTRY_KEYS.X_KEY)
        rna, protein = (None, None) if modalities is None else modalities
        layer = arguments["layer" if modalities is None else "rna_layer"]
        given: Any = genes_of(self.adata, modalities)
        library = check_values(x, layer=layer, gene_likelihood=settings.gene_likelihood, modality=rna, cells=given)
        proteins, likelihood = None, None
        if protein is not None:
            values = registered(REGISTRY_KEYS.PROTEIN_EXP_KEY)
            proteins = np.asarray(values.toarray() if issparse(values) else values, dtype=np.float32)
            layer = arguments["protein_layer"]
            likelihood = check_proteins(proteins, settings.protein_likelihood, layer=layer, modality=protein)
        if arguments["size_factor_key"] is not None:
            library = np.asarray(registered(REGISTRY_KEYS.SIZE_FACTOR_KEY)).ravel()
        y, batch = (np.asarray(registered(key)).ravel() for key in (REGISTRY_KEYS.LABELS_KEY, REGISTRY_KEYS.BATCH_KEY))
        covariates = None
        if REGISTRY_KEYS.CONT_COVS_KEY in self.adata_manager.data_registry:
            covariates = np.asarray(registered(REGISTRY_KEYS.CONT_COVS_KEY), dtype=np.float64)
        return StartCells(x, y, library, batch, proteins, covariates), likelihood

    def _design_table(self) -> pd.DataFrame:
        """Every combination of type, batch and covariates that occurs, and its number of cells."""
        return design_table(self.design_columns())

    def design_columns(self) -> pd.DataFrame:
        """Type, batch and covariates of the model's own cells, as codes and values, by the names of ``Design.columns``."""
        registered = self.adata_manager.get_from_registry
        columns = {LABEL: registered(REGISTRY_KEYS.LABELS_KEY), BATCH: registered(REGISTRY_KEYS.BATCH_KEY)}
        for key in (REGISTRY_KEYS.CAT_COVS_KEY, REGISTRY_KEYS.CONT_COVS_KEY):
            if key in self.adata_manager.data_registry:
                columns |= dict(registered(key).items())
        return pd.DataFrame({name: np.asarray(column).ravel() for name, column in columns.items()})

    @classmethod
    def paper(cls, adata: AnnData, *, seed: int | None = None) -> Self:
        """Make the model as published (Heydari et al. 2022, supplement H).

        The encoder is M - 1024 - 512 - 256 - 2 x 128 and the generator 128 - 256 - 512 - 1024 - M. Each hidden layer is
        Linear, ReLU and BatchNorm, and the generator's last layer Linear and ReLU. The loss is the squared error, the prior
        N(0, I), and the ACTINN classifier M - 100 - 50 - 25 - types. Generator and prior do not know the type;
        :meth:`generate` keeps the cells that the classifier assigns to it.

        :meth:`train` then takes :data:`activa.train.PAPER_RECIPE` and 610 epochs by default: 10 epochs of warm-up and 600
        of the hinge game with m = 110, alpha_1 = 1 and alpha_2 = 0.5. The released code departs from the paper, for
        example by cutting the generator's adversarial gradient; this model follows the paper.

        Parameters
        ----------
        adata, seed
            As in :class:`ACTIVA`, with non-negative values. The paper's are counts scaled to 20,000 per cell
            (:func:`activa.pp.scale_library`), without a logarithm.

        Examples
        --------
        >>> scaled = activa.pp.scale_library(adata, 20_000, copy=True)
        >>> ACTIVA.setup_anndata(scaled, labels_key="cell_type")
        >>> ACTIVA.paper(scaled).settings.n_latent
        128
        """
        seed = check_seed(seed, default=0)
        model = cls(adata, seed=seed, **PAPER.to_dict())
        with seeded(seed):
            # the published model does not start from the genes' means
            model.module.generator.mean.reset_parameters()
        model.training_defaults_ = {"max_epochs": PAPER_EPOCHS, "recipe": PAPER_RECIPE.to_dict()}
        return model

    def save(
        self,
        dir_path: str,
        prefix: str | None = None,
        overwrite: bool = False,
        save_anndata: bool = False,
        save_kwargs: dict[str, Any] | None = None,
        legacy_mudata_format: bool = False,
        datamodule: LightningDataModule | None = None,
        **anndata_write_kwargs: Any,
    ) -> None:
        """Save the model, as :meth:`scvi.model.base.BaseModelClass.save` does, but completely or not at all.

        What is written is a pickle, which can run code where it is loaded: :meth:`load` only what comes from someone you
        trust, and :meth:`export` a model that travels. In an existing folder each file is replaced once the new one is
        complete, the model last. Arguments are those of scvi-tools.

        Raises
        ------
        ValueError, OSError
            If the folder exists without ``overwrite``; if the disk is full, has no room for the cells, or is not writable.

        Examples
        --------
        >>> model.save("model/")  # doctest: +SKIP
        """
        cells, plain_size = self.adata if save_anndata else None, "compression" not in anndata_write_kwargs
        with _model_folder(dir_path, prefix, overwrite=overwrite, cells=cells, check_size=plain_size) as part:
            super().save(
                str(part), prefix, True, save_anndata, save_kwargs, legacy_mudata_format, datamodule,
                **anndata_write_kwargs,
            )  # fmt: skip


@contextmanager
def _model_folder(
    dir_path: str, prefix: str | None, *, overwrite: bool, cells: Any, check_size: bool
) -> Iterator[Path]:
    """A folder to save a model in, which is moved to ``dir_path`` once it is complete, or file by file, the model last.

    anndata turns the columns of strings of ``cells``, which are saved too, into categories: they are restored. With
    ``check_size`` the size of the cells is compared with the free space, as uncompressed files need.
    """
    folder = Path(dir_path).absolute()
    writing: AbstractContextManager[Path]
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        writing = atomic_folder(folder, overwrite=False, what="model", marks=())
    elif overwrite:
        writing = atomic_files(folder, what="model", last=f"{prefix or ''}model.pt")
    else:
        raise ValueError(f"{dir_path!r} exists: give another dir_path, or overwrite=True to write into it.")
    if cells is not None and check_size:
        disk = folder if folder.exists() else folder.parent
        check_space(disk, size_of(cells), argument="dir_path", what="a file of the cells")
    tables: Any = (cells.obs.copy(), cells.var.copy()) if isinstance(cells, AnnData) else None
    try:
        with writing as part:
            yield part
    finally:
        if tables is not None:
            cells.obs, cells.var = tables
