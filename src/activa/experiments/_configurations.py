"""Our configuration and the paper's on the same counts, with cells that can be compared."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from activa.data import Cells, log_normalize
from activa.model import ACTIVA
from activa.pp import scale_library

Configuration = Literal["default", "paper"]

TYPE = "type"


def model_input(cells: Cells, genes: pd.Index, configuration: Configuration) -> AnnData:
    """Cells as the configuration takes them: counts, which the paper's gets scaled to 20,000 a cell."""
    obs = pd.DataFrame({TYPE: pd.Categorical(cells.types)}, index=np.arange(len(cells)).astype(str))
    adata = AnnData(csr_matrix(cells.counts, dtype=np.float32), obs=obs, var=pd.DataFrame(index=genes.astype(str)))
    if configuration == "paper":
        scale_library(adata, 20_000)
    return adata


def train_configuration(
    cells: Cells,
    genes: pd.Index,
    configuration: Configuration,
    *,
    max_epochs: int | None = None,
    seed: int = 0,
    **train_kwargs: Any,
) -> ACTIVA:
    """A trained model."""
    adata = model_input(cells, genes, configuration)
    ACTIVA.setup_anndata(adata, labels_key=TYPE)
    model = ACTIVA.paper(adata, seed=seed) if configuration == "paper" else ACTIVA(adata, seed=seed)
    model.train(max_epochs, seed=seed, **train_kwargs)
    return model


def draw_values(model: ACTIVA, labels: np.ndarray, *, seed: int = 0) -> AnnData:
    """As many cells as labels.

    Where prior and generator do not know types they are N(0, I) decoded, with the type that the classifier assigns, as in
    the paper; else they are of the types asked for.
    """
    if model.module.knows_types:
        return model.generate(labels=list(labels), seed=seed)
    z = np.random.default_rng(seed).normal(size=(len(labels), model.module.n_latent))
    made = model.generate(labels=list(labels), z=z, seed=seed)
    made.obs[TYPE] = model.predict(made)
    return made


def draw_cells(model: ACTIVA, labels: np.ndarray, *, seed: int = 0) -> Cells:
    """The same as log1p of values scaled to 10,000."""
    made = draw_values(model, labels, seed=seed)
    return Cells(log_normalize(made.X), None, np.asarray(made.obs[TYPE], dtype=str))
