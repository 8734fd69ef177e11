"""What is fitted to latents: mixtures of Gaussians, the labeled prior made of them, and a classifier of types."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
import torch
from scvi import REGISTRY_KEYS
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from torch import Tensor

from activa.module import ACTIVAModule, LabeledPrior

MAX_CELLS = 20_000  # that the prior is fitted to, about
DRAWS = 5  # latents per cell
_MIN_PER_TYPE = 30
_CELLS_PER_COMPONENT = 10
_ABSENT = -20.0  # logit of a label without cells


def choose_cells(y: np.ndarray, rng: np.random.Generator, n_cells: int) -> np.ndarray:
    """About ``n_cells`` cells in their order: the same share of every label, but at least 30 cells or all."""
    share = min(1.0, n_cells / len(y))
    chosen = []
    for label in np.unique(y):
        cells = np.flatnonzero(y == label)
        n = min(len(cells), max(_MIN_PER_TYPE, int(np.ceil(share * len(cells)))))
        chosen.append(rng.permutation(cells)[:n])
    return np.sort(np.concatenate(chosen))


def fit_mixtures(
    z: np.ndarray, y: np.ndarray, n_labels: int, n_components: int, rng: np.random.Generator, *, draws: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """Means, standard deviations and weights of diagonal Gaussians per label; N(0, I) for a label without cells.

    Latents are ``(n_cells * draws, n_latent)``. At most one Gaussian per ten cells is fitted; the others repeat.
    """
    shape = (n_labels, n_components, z.shape[1])
    loc, scale, weight = np.zeros(shape), np.ones(shape), np.full(shape[:2], 1 / n_components)
    for label in np.unique(y):
        own = z[y == label]
        n_cells = len(own) // draws
        n_fitted = max(1, min(n_components, n_cells // _CELLS_PER_COMPONENT))
        if n_fitted == 1:
            # few cells do not show their variance: it is shrunk towards 1, that of all cells
            variance = (n_cells * own.var(axis=0, keepdims=True) + 2.0) / (n_cells + 2.0)
            mean, share = own.mean(axis=0, keepdims=True), np.ones(1)
        else:
            state = int(rng.integers(2**31))
            fit = GaussianMixture(n_fitted, covariance_type="diag", reg_covar=0.01, random_state=state).fit(own)
            mean, variance, share = fit.means_, fit.covariances_, fit.weights_
        source = np.arange(n_components) % n_fitted
        loc[label], scale[label] = mean[source], np.sqrt(variance)[source]
        weight[label] = share[source] / np.bincount(source)[source]
    loc_, scale_, weight_ = (torch.as_tensor(array).float() for array in (loc, scale, weight))
    return loc_, scale_, weight_


def recognize_types(z: np.ndarray, y: np.ndarray, n_labels: int) -> tuple[Tensor, Tensor]:
    """Logistic regression of labels on latents: weights ``(n_labels, n_latent)`` and biases of the logits."""
    weight, bias = torch.zeros(n_labels, z.shape[1]), torch.full((n_labels,), _ABSENT)
    present = np.unique(y)
    if len(present) == 1:
        bias[present] = 0.0
        return weight, bias
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")  # many rare types
        fit = LogisticRegression(max_iter=1_000).fit(z, y)
    logits = np.column_stack([fit.coef_, fit.intercept_])
    if len(present) == 2:  # scikit-learn returns the logit of the second label only
        logits = np.concatenate([-logits, logits]) / 2
    weight[present], bias[present] = torch.as_tensor(logits[:, :-1]).float(), torch.as_tensor(logits[:, -1]).float()
    return weight, bias


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
    """Fit the Gaussians of each type with cells to finite latents ``(n_cells * draws, n_latent)``, and weights per batch.

    ``n_known_batches`` keeps all Gaussians, and the weights in this many first batches: those of a reference (scArches).
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
    types, batches = (torch.as_tensor(code, device=device).long() for code in (y, batch))
    latents = torch.as_tensor(z, dtype=torch.float32, device=device)
    prior.weigh_batches(latents, types, batches, n_known_batches or 0, draws=draws)
