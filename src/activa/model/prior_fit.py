"""The fit of the labeled prior to latents, at the end of training."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from scvi import REGISTRY_KEYS
from torch import Tensor

from activa.model.mixtures import fit_mixtures
from activa.module import ACTIVAModule, LabeledPrior

MAX_CELLS = 20_000
"""Cells that the prior is fitted to, about; more of many rare types."""
DRAWS = 5
"""Latents per cell."""


@torch.inference_mode()
def draw_latents(
    module: ACTIVAModule, minibatches: Iterable[dict[str, Tensor]], rng: np.random.Generator
) -> np.ndarray:
    """Five latents per cell from q(z | x, b), ``(5 * n_cells, n_latent)``: all cells once, then again."""
    device, means, variances = module.label_means.device, [], []
    for minibatch in minibatches:
        tensors = {name: values.to(device) for name, values in minibatch.items()}
        proteins = tensors.get(REGISTRY_KEYS.PROTEIN_EXP_KEY)
        mu, log_var = module.encode(tensors[REGISTRY_KEYS.X_KEY], module.condition(tensors), proteins)
        means.append(mu.cpu())
        variances.append((0.5 * log_var).exp().square().cpu())
    mean, variance = torch.cat(means).numpy(), torch.cat(variances).numpy()
    return np.concatenate([mean + rng.normal(size=mean.shape) * np.sqrt(variance) for _ in range(DRAWS)])


def fit_prior(
    prior: LabeledPrior,
    z: np.ndarray,
    y: np.ndarray,
    batch: np.ndarray,
    rng: np.random.Generator,
    *,
    draws: int = DRAWS,
    n_known_batches: int | None = None,
) -> None:
    """Fit a mixture of Gaussians to the latents of each type, and its weights in each batch.

    Parameters
    ----------
    prior
        Prior to fit, in place. A type without cells keeps its Gaussians.
    z
        Latents, ``(n_cells * draws, n_latent)``.
    y, batch
        Codes of their types and batches, ``(n_cells * draws,)``.
    rng
        Random numbers of the fits.
    draws
        Latents per cell.
    n_known_batches
        Keep all Gaussians, and the weights in this many first batches: those of a reference (scArches).

    Raises
    ------
    ValueError
        If latents are not finite. The prior is left as it was.
    """
    if not np.isfinite(z).all():
        raise ValueError(
            f"{(~np.isfinite(z).all(axis=1)).mean():.1%} of the cells have latents that are not finite, so the prior was "
            "not fitted: find what changed the cells after the model was made. The model can be used."
        )
    if n_known_batches is None:
        n_labels, n_components, _ = prior.loc.shape
        mixtures = fit_mixtures(z, y, n_labels, n_components, rng, draws=draws)
        prior.set_components(*mixtures, labels=torch.as_tensor(np.isin(np.arange(n_labels), y)))
    device = prior.loc.device
    codes = (torch.as_tensor(code, device=device).long() for code in (y, batch))
    latents = torch.as_tensor(z, dtype=torch.float32, device=device)
    prior.weigh_batches(latents, *codes, n_known_batches or 0, draws=draws)
