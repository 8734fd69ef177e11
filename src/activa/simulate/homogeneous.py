"""One population with the means and correlations of several types: the control for clusters found where there are none."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from activa.arguments import check_integers
from activa.model import ACTIVA
from activa.request import MAX_CELLS, Request, categories_to_codes
from activa.sampler import Sampler
from activa.seeds import check_seed
from activa.simulate.states import Shift, States, as_simulated, draw_cells, sample_states, sampler_of

if TYPE_CHECKING:
    from anndata import AnnData

_STREAM, _MEANS_STREAM = 265, 266
_N_STATES, _N_AT_ONCE = 4096, 512


def homogeneous(
    model: ACTIVA | Sampler,
    n: int,
    *,
    types: Sequence[str] | None = None,
    batch: str | None = None,
    seed: int | None = None,
) -> AnnData:
    """Generate one population of cells, without types, with the genes' means and correlations of the types' mixture.

    Genes that are tested between clusters of the cells they were clustered by differ, whether there are clusters or not. What
    a pipeline finds in these cells it finds without any, as in ClusterDE (Song et al. 2023), which draws from a Gaussian copula
    of the genes' counts. Here log expression, quality and library size are normal, with the means and covariances of the
    mixture of types; the expected counts of each gene are scaled to those of the mixture.

    Parameters
    ----------
    model
        A trained model of counts with the log-linear architecture.
    n
        Number of cells.
    types
        Types whose mixture is imitated, in training proportions. None takes all; with one type, its own substructure is
        what vanishes.
    batch
        Batch of the cells. None: differences between batches are a part of the correlations, like those between types.
    seed
        The same seed gives the same cells, bit for bit, on one device.

    Returns
    -------
    AnnData with counts in ``X``, without a column of types or batches: there are none.

    Raises
    ------
    TypeError, ValueError, KeyError
        If an argument does not fit, or names a type or batch that the model does not have.

    References
    ----------
    Song, Li, Chen et al. (2023), ClusterDE, https://doi.org/10.1101/2023.07.21.550107

    Examples
    --------
    >>> activa.simulate.homogeneous(model, 100, types=["CD14+ Monocyte", "Dendritic"], seed=0).shape
    (100, 765)
    """
    sampler, seed = sampler_of(model), check_seed(seed)
    check_integers(n=n, most=MAX_CELLS)
    sizes = sampler.design.type_sizes
    chosen = np.arange(len(sampler.types))
    if types is not None:
        if isinstance(types, str) or not len(types):
            raise ValueError(f"types must be a sequence of one or more types, got {types!r}.")
        chosen = categories_to_codes("types", np.asarray(types, dtype=object), sampler.types)
    weights = np.bincount(chosen, minlength=len(sizes)).clip(max=1) * sizes
    if not weights.any():
        raise ValueError(f"types must have training cells, got {list(types or sampler.types)}.")
    rng = np.random.default_rng([seed, _STREAM])
    label = rng.choice(sampler.types, size=_N_STATES, p=weights / weights.sum())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No training cell had")  # nothing here is of one type
        plan = Request(labels=label.tolist(), batch=batch, seed=seed).plan(sampler.design, sampler.module)
    mixture = sample_states(sampler, plan, seed)
    normal = _normal(mixture, max(n, _N_STATES), rng)
    of_mixture = _mean_rates(sampler, mixture, seed)
    of_normal = _mean_rates(sampler, normal.take(np.arange(_N_STATES)), seed)
    shift = Shift(np.log(of_mixture / of_normal)[None].astype(np.float32), np.zeros(n, dtype=int))
    x = draw_cells(sampler, normal.take(np.arange(n)), seed ^ _MEANS_STREAM, rate=[shift])
    truth = {"homogeneous": {"types": [str(sampler.types[code]) for code in np.flatnonzero(weights)]}}
    return as_simulated(sampler, x, pd.DataFrame(index=range(n)), truth, seed)


def _normal(states: States, n: int, rng: np.random.Generator) -> States:
    """Normal states with the means and covariances of the given ones."""
    parts = [states.inputs, states.log_library[:, None]]
    parts += [] if states.quality is None else [states.quality]
    joined = np.concatenate(parts, axis=1).astype(np.float64)
    centered = joined - joined.mean(0)
    # the covariance may not have full rank
    _, singular, axes = np.linalg.svd(centered / len(joined) ** 0.5, full_matrices=False)
    drawn = joined.mean(0) + rng.standard_normal((n, len(singular))) @ (singular[:, None] * axes)
    inputs, log_library, quality = np.split(
        drawn.astype(np.float32), np.cumsum([p.shape[1] for p in parts[:2]]), axis=1
    )
    return States(inputs, None if states.quality is None else quality, log_library[:, 0])


def _mean_rates(sampler: Sampler, states: States, seed: int) -> np.ndarray:
    """Mean expected counts of each gene, ``(n_genes,)``, positive."""
    total = np.zeros(len(sampler.genes))
    for start in range(0, len(states), _N_AT_ONCE):
        cells = states.take(np.arange(start, min(start + _N_AT_ONCE, len(states))))
        total += draw_cells(sampler, cells, seed, expected=True).sum(0, dtype=np.float64)
    return np.maximum(total / len(states), 1e-12)
