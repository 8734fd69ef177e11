"""Cells along the pseudotime of real cells, at positions that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from scipy.interpolate import BSpline, make_smoothing_spline

from activa.arguments import check_booleans, check_integers
from activa.drawing import device_of
from activa.model import ACTIVA
from activa.request import MAX_CELLS, CellPlan
from activa.sampler import Sampler
from activa.seeds import check_seed, seeded
from activa.simulate.simulated import obs_with, simulated_cells
from activa.simulate.states import draw_cells, sample_states, sampler_of

if TYPE_CHECKING:
    from anndata import AnnData

_TRAJECTORY_STREAM = 273
_MAX_BINS, _CELLS_PER_BIN, _MIN_BINS = 200, 5, 5  # a smoothing spline needs five points


def trajectory(model: ACTIVA, pseudotime: str, n: int, *, rates: bool = False, seed: int | None = None) -> AnnData:
    """Simulate cells along the pseudotime of the model's own cells, as dense as these are.

    A cell's latent is the mean latent at its pseudotime plus what a real cell near it in pseudotime, drawn at random,
    differs from the mean at its own. So cells move continuously, and keep the spread of real cells. The mean is a smoothing
    spline, whose smoothness is chosen by generalized cross-validation (Craven and Wahba 1979). Batch and covariates are those
    of that real cell, the library size is drawn by the model, and the type is the one that the model infers from the latent.

    Parameters
    ----------
    model
        A trained model of counts with the log-linear architecture, which is the default, and with its cells.
    pseudotime
        Column of ``model.adata.obs`` with numbers. Cells where it is missing are not on the trajectory, so that a branch is a
        column of its own.
    n
        Number of cells.
    rates
        Whether to write the expected counts of each cell, the truth at the level of RNA, to ``layers["rates"]`` (dense
        float32).
    seed
        The same seed gives the same cells, bit for bit, on one device. None takes ``scvi.settings.seed``, or a fresh seed if
        that is not set.

    Returns
    -------
    AnnData of cells x genes, with counts in ``X`` (CSR float32) and in the registered layer; ``obs`` has ``pseudotime``, on
    the column's scale, the type, batch and covariates.

    Raises
    ------
    TypeError, ValueError, KeyError
        If an argument does not fit, the model has no cells, there is no such column, its values are not finite numbers, or
        fewer than 25 cells, or cells of fewer than five distinct values, have one.

    References
    ----------
    Craven and Wahba (1979), Smoothing noisy data with spline functions, https://doi.org/10.1007/BF01404567

    Examples
    --------
    >>> model.adata.obs["pseudotime"] = model.get_latent_representation()[:, 0]
    >>> cells = activa.simulate.trajectory(model, "pseudotime", 50, seed=0)
    >>> bool(cells.obs["pseudotime"].max() <= model.adata.obs["pseudotime"].max())
    True
    """
    sampler, seed = sampler_of(model), check_seed(seed)
    check_booleans(rates=rates)
    check_integers(n=n, most=MAX_CELLS)
    time, on_it = _pseudotime_of(model, pseudotime)
    with seeded(seed, _TRAJECTORY_STREAM):  # a data loader draws a number
        mean, variance = model.get_latent_representation(indices=on_it, return_dist=True)
    line = _smoothed(time, mean)

    rng = np.random.default_rng([seed, _TRAJECTORY_STREAM])
    # an interpolated quantile function: the density of the real cells
    position = np.quantile(time, rng.uniform(size=n))
    near = _near_cells(time, position, rng)
    latent = mean[near] + np.sqrt(variance[near]) * rng.standard_normal((n, mean.shape[1]))
    z = (latent + line(position) - line(time[near])).astype(np.float32)
    known = model.design_columns()[sampler.design.columns]
    plan = CellPlan(_types_of(sampler, z), known.iloc[on_it[near]].to_numpy(dtype=float), None, z)
    obs = obs_with(plan, sampler.design, {"pseudotime": position})
    states = sample_states(sampler, plan, seed)
    return simulated_cells(
        sampler,
        draw_cells(sampler, states, seed),
        obs,
        truth={"trajectory": {"pseudotime": pseudotime, "n_real_cells": len(time)}},
        seed=seed,
        rates=draw_cells(sampler, states, seed, expected=True) if rates else None,
    )


def _pseudotime_of(model: Any, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Pseudotime of the cells that have one, and their positions."""
    if not isinstance(model, ACTIVA) or model.adata is None:
        raise ValueError("model must be an ACTIVA with its cells, from which latents are read: load it with adata=.")
    if not isinstance(key, str):
        raise TypeError(f"pseudotime must be a column of model.adata.obs, got {key!r}.")
    if key not in model.adata.obs:
        raise KeyError(f"pseudotime={key!r} is not in model.adata.obs: add it, one number per cell.")
    column = model.adata.obs[key]
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        raise TypeError(f"pseudotime={key!r} must be a column of numbers, got {column.dtype}.")
    values = column.to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(values).any():
        raise ValueError(
            f"pseudotime={key!r} must be finite, or missing for cells that are not on the trajectory, got inf."
        )
    on_it = np.flatnonzero(~np.isnan(values))
    least = _MIN_BINS * _CELLS_PER_BIN
    if len(on_it) < least or len(np.unique(values[on_it])) < _MIN_BINS:
        found = f"{len(np.unique(values[on_it]))} distinct values of {len(on_it)} cells"
        raise ValueError(f"pseudotime={key!r} needs {_MIN_BINS} distinct values of {least} cells, got {found}.")
    return values[on_it], on_it


def _smoothed(time: np.ndarray, values: np.ndarray) -> BSpline:
    """The mean of values ``(n_cells, n)`` as a function of time: smoothing splines through the means of bins of cells."""
    n_bins = min(_MAX_BINS, len(time) // _CELLS_PER_BIN)
    edges = np.unique(np.quantile(time, np.linspace(0, 1, n_bins + 1)[1:-1]))
    edges = edges if len(edges) >= _MIN_BINS else np.unique(time)  # few distinct values
    bins = np.unique(np.searchsorted(edges, time, side="right"), return_inverse=True)[1]
    size = np.bincount(bins)
    x, *means = (np.bincount(bins, column) / size for column in (time, *values.T))
    splines = [make_smoothing_spline(x, y, w=size.astype(float)) for y in means]
    coefficients = np.stack([spline.c for spline in splines], axis=-1)
    return BSpline(splines[0].t, coefficients, splines[0].k, extrapolate=True)


def _near_cells(time: np.ndarray, position: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each position, one of the real cells nearest in time, drawn uniformly; the more cells, the nearer."""
    order = np.argsort(time, kind="stable")
    n_near = max(_CELLS_PER_BIN, round(len(time) ** 0.5))
    first = np.searchsorted(time[order], position) - n_near // 2
    first = np.clip(first, 0, len(time) - n_near)
    return order[first + rng.integers(n_near, size=len(position))]


@torch.inference_mode()
def _types_of(sampler: Sampler, z: np.ndarray) -> np.ndarray:
    """The type of each latent, as the generator infers it."""
    module = sampler.module
    if module.gate is None:
        return np.zeros(len(z), dtype=int)
    logits = module.gate(torch.as_tensor(z, device=device_of(module)))[:, : module.n_types]
    return logits.argmax(-1).cpu().numpy()
