"""The generators that are compared: each trains on the training cells and gives cells of the test set's types."""

from __future__ import annotations

import time

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix


def activa(train: ad.AnnData, test: ad.AnnData, labels_key: str, seed: int, max_epochs: int | None):
    """ACTIVA with its defaults."""
    from activa import ACTIVA

    ACTIVA.setup_anndata(train, labels_key=labels_key)
    start = time.perf_counter()
    model = ACTIVA(train, seed=seed)
    model.train(max_epochs=max_epochs, seed=seed)
    trained = time.perf_counter()
    synthetic = model.generate(labels=list(test.obs[labels_key]), seed=seed)
    return {"ACTIVA": synthetic}, {"train": trained - start, "generate": time.perf_counter() - trained}


def scvi(train: ad.AnnData, test: ad.AnnData, labels_key: str, seed: int, max_epochs: int | None):
    """scVI with its defaults, as people generate with it.

    From the posterior: the counts that it predicts for training cells of the type asked for (real cells to copy from).
    From the prior: z from N(0, I) and a training cell's library size; such cells have no type.
    """
    import scvi
    import torch

    scvi.settings.seed = seed
    rng = np.random.default_rng(seed)
    scvi.model.SCVI.setup_anndata(train)
    start = time.perf_counter()
    model = scvi.model.SCVI(train)
    model.train(max_epochs=max_epochs)
    trained = time.perf_counter()

    labels = test.obs[labels_key].to_numpy()
    sources = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        cells = np.flatnonzero(train.obs[labels_key] == label)
        n = (labels == label).sum()
        # as many different cells as there are, before any is used again
        order = np.concatenate([rng.permutation(cells) for _ in range(-(-n // len(cells)))])
        sources[labels == label] = order[:n]
    counts = model.posterior_predictive_sample(indices=sources).to_scipy_sparse().tocsr()
    posterior = ad.AnnData(counts.astype(np.float32), obs=pd.DataFrame({labels_key: labels}), var=train.var.copy())
    generated = time.perf_counter()

    module, rows = model.module, []
    library = np.log(np.asarray(train.X.sum(axis=1)).ravel()[rng.integers(train.n_obs, size=len(labels))])
    with torch.inference_mode():
        for i in range(0, len(labels), 256):
            log_library = torch.as_tensor(library[i : i + 256], dtype=torch.float32)[:, None]
            zeros = torch.zeros(len(log_library), 1, dtype=torch.long)
            z = torch.randn(len(log_library), module.n_latent)
            px = module.generative(z=z, library=log_library, batch_index=zeros, y=zeros)["px"]
            rows.append(csr_matrix(px.sample().numpy()))
    from scipy.sparse import vstack

    prior = ad.AnnData(vstack(rows, format="csr"), var=train.var.copy())
    return {"scVI, posterior": posterior, "scVI, prior": prior}, {
        "train": trained - start,
        "generate": generated - trained,
    }


METHODS = {"activa": activa, "scvi": scvi}
