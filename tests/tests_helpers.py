"""Small made counts, and a model trained on them."""

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from activa import ACTIVA

QUIET = {"enable_progress_bar": False}


def make_counts(n_cells: int = 240, n_genes: int = 40, seed: int = 0) -> ad.AnnData:
    """Negative binomial counts of three types in two batches, types and batches with genes of their own."""
    rng = np.random.default_rng(seed)
    types = np.array(["B", "NK", "T"])[rng.choice(3, size=n_cells, p=[0.3, 0.1, 0.6])]
    batch = np.array(["one", "two"])[rng.integers(2, size=n_cells)]
    rates = rng.lognormal(0, 1, size=n_genes)
    mean = np.tile(rates, (n_cells, 1))
    for i, name in enumerate(["B", "NK", "T"]):
        mean[types == name, 5 * i : 5 * i + 5] *= 8
    mean[batch == "two", 20:25] *= 5
    mean *= rng.lognormal(0, 0.3, size=(n_cells, 1))
    counts = rng.poisson(mean * rng.gamma(2.0, 1 / 2.0, size=mean.shape)).astype(np.float32)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(types),
            "batch": pd.Categorical(batch),
            "sex": pd.Categorical(rng.choice(["f", "m"], size=n_cells)),
            "age": rng.uniform(20, 80, size=n_cells),
            "depth": counts.sum(axis=1) / counts.sum(axis=1).mean(),
        },
        index=[f"cell_{i}" for i in range(n_cells)],
    )
    var = pd.DataFrame({"chromosome": "1"}, index=[f"gene_{i}" for i in range(n_genes)])
    return ad.AnnData(csr_matrix(counts), obs=obs, var=var)


def make_model(
    adata: ad.AnnData | None = None,
    *,
    epochs: int = 6,
    game=None,
    plan_kwargs=None,
    setup=None,
    train_size=None,
    **kwargs,
) -> ACTIVA:
    """Train a small model for a few epochs."""
    adata = make_counts() if adata is None else adata
    ACTIVA.setup_anndata(adata, **({"labels_key": "cell_type"} if setup is None else setup))
    model = ACTIVA(adata, n_hidden=(32,), n_latent=5, **kwargs)
    model.train(max_epochs=epochs, game=game, plan_kwargs=plan_kwargs, batch_size=64, train_size=train_size, **QUIET)
    return model
