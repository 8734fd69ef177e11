"""A prior fitted after training: a mixture of Gaussians for the latents that the encoder gives each type's cells."""

from __future__ import annotations

import anndata as ad
import numpy as np
import torch
from sklearn.mixture import GaussianMixture

from activa import ACTIVA


def generate_from_mixture(
    model: ACTIVA, train: ad.AnnData, labels_key: str, labels: np.ndarray, seed: int
) -> ad.AnnData:
    """Generate cells from mixtures of the training cells' latents (one draw each) and log library sizes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        z = model.get_latent_representation(train, give_mean=False)
    log_library = np.log(np.asarray(train.X.sum(axis=1), dtype=np.float64))
    mean, sd = log_library.mean(), log_library.std()
    features = np.hstack([z, (log_library - mean) / sd])

    train_labels = train.obs[labels_key].to_numpy(dtype=str)
    drawn = np.empty((len(labels), features.shape[1]))
    for label in np.unique(labels):
        cells, asked = features[train_labels == label], labels == label
        if len(cells) == 1:
            drawn[asked] = cells
            continue
        n_components = max(1, min(5, len(cells) // 60))
        mixture = GaussianMixture(n_components, reg_covar=1e-3, max_iter=500, random_state=seed).fit(cells)
        drawn[asked] = mixture.sample(asked.sum())[0]
    library = np.exp(drawn[:, -1] * sd + mean)
    return model.generate(labels=list(labels), z=drawn[:, :-1], library_size=library, seed=seed)
