"""Cells of one population without clusters, so that whatever a clustering of them finds is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from activa.arguments import check_booleans, check_integers
from activa.assembly import obs_of
from activa.model import ACTIVA
from activa.request import MAX_CELLS, CellPlan, Request, categories_to_codes
from activa.sampler import Sampler
from activa.seeds import check_seed, derived_seed
from activa.simulate.simulated import draw_in_chunks, log_rates, simulated_cells
from activa.simulate.states import States, sample_states, sampler_of

if TYPE_CHECKING:
    from anndata import AnnData

_FIT_STREAM, _PLAN_STREAM, _NOISE_STREAM = 274, 275, 276
_FIT_CELLS = 4096
_NAME = "homogeneous"


def homogeneous(
    model: ACTIVA | Sampler,
    n: int,
    *,
    types: Sequence[Any] | None = None,
    batch: Any = None,
    rates: bool = False,
    seed: int | None = None,
) -> AnnData:
    r"""Simulate cells of one population without clusters, a null for what is tested after clustering (Song et al. 2023).

    Clusters of these cells are no types, and genes that differ between them are false discoveries. Otherwise the cells are
    like the mixture of the given types: their rates are multivariate log-normal, where the rate of each gene has the mean and
    the variance that it has in the mixture, and logs of the rates the mixture's correlations. So no direction has two modes,
    and genes that differ between the types vary as much, but gradually.

    Batches, and covariates, keep their effects, as a regression of the log rates on them finds them: cells are homogeneous
    within a batch. Ask for one batch, or remove the batches' effects first, where clusters are to be absent in all cells.

    Parameters
    ----------
    model
        A trained model of counts with the log-linear architecture, which is the default.
    n
        Number of cells.
    types
        The types whose mixture in training proportions the cells are like; all by default. For the null of two clusters,
        give the types that they are.
    batch
        Batch of all cells. None draws batches as they occur in the types.
    rates
        Whether to write the expected counts of each cell, the truth at the level of RNA, to ``layers["rates"]`` (dense
        float32).
    seed
        The same seed gives the same cells, bit for bit, on one device. None takes ``scvi.settings.seed``, or a fresh seed if
        that is not set.

    Returns
    -------
    AnnData of cells x genes, with counts in ``X`` (CSR float32) and in the registered layer. ``obs`` has batch and
    covariates, and the one type ``"homogeneous"`` in the registered column of types. ``uns["activa"]["truth"]
    ["homogeneous"]`` has the types, and of each gene ``mean_rate``, the mean of its rate, and ``log_spread``, the standard
    deviation of the log of its rate within a batch; both ``(n_genes,)``.

    Raises
    ------
    TypeError, ValueError, KeyError
        If an argument does not fit, or names a type or batch that the model does not have (KeyError).

    References
    ----------
    Song, Li, Ge et al. (2023), ClusterDE: a post-clustering differential expression method robust to false-positive
    inflation caused by double dipping, https://doi.org/10.1101/2023.07.21.550107

    Examples
    --------
    >>> cells = activa.simulate.homogeneous(model, 50, types=["CD14+ Monocyte", "CD19+ B"], seed=0)
    >>> cells.obs["cell_type"].unique().tolist()
    ['homogeneous']
    """
    sampler, seed = sampler_of(model), check_seed(seed)
    check_booleans(rates=rates)
    check_integers(n=n, most=MAX_CELLS)
    codes = _checked_types(types, sampler)
    plan = _plan(sampler, n, codes, batch, derived_seed(seed, _PLAN_STREAM))
    column = sampler.design.labels_key
    obs = obs_of(plan, sampler.design, None)
    if column is not None:
        obs[column] = pd.Categorical([_NAME] * n)
    population = _Population.of(sampler, codes, batch, derived_seed(seed, _FIT_STREAM))
    states, rng = sample_states(sampler, plan, seed), np.random.default_rng([seed, _NOISE_STREAM])
    counts, expected = draw_in_chunks(
        sampler, n, lambda cells: population.draw(states.take(cells), rng), seed, rates=rates
    )
    truth = {
        "types": [str(name) for name in sampler.types[codes]],
        "mean_rate": population.mean_rate,
        "log_spread": population.spread,
    }
    return simulated_cells(sampler, counts, obs, truth={"homogeneous": truth}, seed=seed, rates=expected)


@dataclass(frozen=True, eq=False)
class _Population:
    """Log-normal rates, with the moments of the rates of some cells."""

    covariates: slice  # of a state's inputs
    effects: np.ndarray  # of the covariates on log rates, the last of them the intercept, (n_covariates + 1, n_genes)
    residuals: np.ndarray  # standardized log rates of the cells, without the effects, (n_cells, n_genes)
    spread: np.ndarray  # standard deviation of the log of the rate, (n_genes,)
    quality: np.ndarray | None  # logs of the cells' quality minus their mean, (n_cells, 3)
    mean_quality: np.ndarray | None
    mean_rate: np.ndarray  # (n_genes,)

    @classmethod
    def of(cls, sampler: Sampler, codes: np.ndarray, batch: Any, seed: int) -> _Population:
        """The population that is like a mixture of these types."""
        module = sampler.module
        states = sample_states(sampler, _plan(sampler, _FIT_CELLS, codes, batch, seed), seed)
        n_types = 0 if module.gate is None else module.n_labels
        covariates = slice(module.n_latent, states.inputs.shape[1] - n_types)
        logs = log_rates(sampler, states)
        design = _with_intercept(states.inputs[:, covariates])
        # one-hot columns add up to the intercept
        effects = np.linalg.pinv(design, rcond=1e-8).astype(np.float32) @ logs
        explained = design.astype(np.float32) @ effects
        residuals, mean = logs - explained, np.exp(logs).mean(0, dtype=np.float64)
        # of the log-normal whose coefficient of variation is that of the residual factor
        factor = np.exp(residuals)
        spread = np.sqrt(np.log1p(factor.var(0, dtype=np.float64) / factor.mean(0, dtype=np.float64) ** 2))
        effects[-1] += np.log(mean / np.exp(explained).mean(0, dtype=np.float64)) - spread**2 / 2
        residuals /= np.maximum(residuals.std(0), 1e-12)
        quality = None if states.quality is None else states.quality.mean(0)
        deviations = None if states.quality is None else states.quality - quality
        return cls(covariates, effects, residuals, spread, deviations, quality, mean)

    def draw(self, states: States, rng: np.random.Generator) -> tuple[States, np.ndarray]:
        """States with a quality drawn anew, and log rates, of cells with the covariates of these states."""
        # a sum of deviations with independent normal weights is normal, with their covariance
        n = len(self.residuals)
        weights = rng.standard_normal((len(states), n), dtype=np.float32) / np.float32(n**0.5)
        fitted = _with_intercept(states.inputs[:, self.covariates]) @ self.effects
        wanted = (fitted + (weights @ self.residuals) * self.spread).astype(np.float32)
        if self.quality is None:
            return states, wanted
        return replace(states, quality=(self.mean_quality + weights @ self.quality).astype(np.float32)), wanted


def _with_intercept(covariates: np.ndarray) -> np.ndarray:
    return np.column_stack([covariates, np.ones(len(covariates))]).astype(np.float64)


def _plan(sampler: Sampler, n: int, codes: np.ndarray, batch: Any, seed: int) -> CellPlan:
    """Cells of these types in training proportions, in random order."""
    ends = np.cumsum(sampler.design.type_sizes[codes])
    counts = np.diff(np.round(ends / ends[-1] * n).astype(int), prepend=0)
    drawn = np.random.default_rng(seed).permutation(np.repeat(codes, counts))
    return Request(labels=sampler.types[drawn].tolist(), batch=batch, seed=seed).plan(sampler.design, sampler.module)


def _checked_types(types: Any, sampler: Sampler) -> np.ndarray:
    """Codes of the types, each once, of which there are training cells."""
    sizes = sampler.design.type_sizes
    if types is None:
        return np.flatnonzero(sizes)
    if isinstance(types, str) or not isinstance(types, Sequence | np.ndarray):
        raise TypeError(f"types must be a sequence of types, got {types!r}.")
    if not len(types):
        raise ValueError("types must name at least one type, got [].")
    codes = categories_to_codes("types", np.asarray(list(types), dtype=object), sampler.types)
    if len(np.unique(codes)) < len(codes):
        raise ValueError(f"types must name each type once, got {list(types)}.")
    if not sizes[codes].all():
        raise KeyError(f"types: no training cell was of the types {list(sampler.types[codes][sizes[codes] == 0])}.")
    return codes
