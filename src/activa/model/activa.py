"""The ACTIVA model: a scvi-tools model that learns, and hands out a sampler that draws."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from lightning.pytorch import LightningDataModule
from mudata import MuData
from scvi import REGISTRY_KEYS
from scvi.model.base import BaseMinifiedModeModelClass

from activa.checks import check_values
from activa.design import BATCH, LABEL, design_table
from activa.model.expression import Expression
from activa.model.generation import Generation
from activa.model.queries import Queries
from activa.model.registry import label_names, state_of
from activa.model.saving import model_folder
from activa.model.training import Training
from activa.module import ACTIVAModule
from activa.scvi_private import ADATA_MINIFY_TYPE, release_with_model
from activa.seeds import check_seed, seeded
from activa.settings import PAPER, Settings
from activa.train import PAPER_EPOCHS, PAPER_RECIPE


class ACTIVA(Generation, Training, Expression, Queries, BaseMinifiedModeModelClass):
    """Labeled synthetic cells from a variational autoencoder that can be its own critic (after Heydari et al. 2022).

    The prior p(z | y) is labeled, so that cells of a type are drawn, not picked from among all; an ACTINN classifier is
    trained beside. With ``game=`` in :meth:`train` the encoder learns to tell generated cells from real ones by how far
    from the prior it puts them, and the generator learns to generate cells that it cannot tell (the introspective game,
    off by default).

    Parameters
    ----------
    adata
        Cells registered by :meth:`setup_anndata` or :meth:`setup_mudata`. None to train from a data module.
    registry
        Registry of a data module, to :meth:`train` from it without an AnnData.
    seed
        Random seed of the initial weights; None takes ``scvi.settings.seed``, or a fresh seed where that is not set.
    **settings
        Fields of :class:`activa.settings.Settings`: ``n_hidden``, ``n_latent``, ``dropout_rate``, ``gene_likelihood``,
        ``protein_likelihood``, ``architecture``. They are kept as ``model.settings``.

    Raises
    ------
    TypeError
        If an argument has the wrong type, or a setting does not exist.
    ValueError
        If the values are not what the likelihood describes (negative or not finite, or, for counts, not whole), a cell is
        empty, a setting is out of range, or the cells were not registered.

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
    _LATENT_QZM_KEY = "activa_latent_qzm"
    _LATENT_QZV_KEY = "activa_latent_qzv"

    def __init__(
        self,
        adata: AnnData | MuData | None = None,
        registry: dict | None = None,
        *,
        seed: int | None = 0,
        **settings: Any,
    ):
        chosen = Settings.of(settings)
        seed = check_seed(seed)
        if registry is not None:
            registry = as_setup_anndata(registry, type(self).__name__)
        self._check_registered(adata)
        super().__init__(adata, registry)
        release_with_model(self)
        has_counts = adata is not None and self.minified_data_type != ADATA_MINIFY_TYPE.LATENT_POSTERIOR
        cells = None
        if has_counts:
            chosen, cells = self._read_cells(chosen)
        arguments = self.registry_["setup_args"]
        if chosen.protein_likelihood is not None and arguments.get("modalities") is None:
            raise ValueError(
                f"protein_likelihood={chosen.protein_likelihood!r} needs proteins, which setup_mudata registers."
            )
        labels, unlabeled = label_names(self.registry_), arguments.get("unlabeled_category")
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
        settings = chosen.to_dict()
        self.init_params_ = self._get_init_params(locals())
        self.module.minified_data_type = self.minified_data_type
        if cells is not None:
            start_from_cells(self.module, cells, seed=seed)
        if adata is not None:
            # saved with the weights, so that a model loaded without data can generate
            self.design_ = self._design_table()
            self.var_ = genes_of(adata, self.design.modalities).var.copy()
            if self.design.modalities is not None:
                self.protein_var_ = adata[self.design.modalities[1]].var.copy()
        self._model_summary_string = f"ACTIVA with {len(labels)} labels and {chosen}."
        self.training_defaults_: dict[str, Any] = {}
        self.reference_categories_ = None
