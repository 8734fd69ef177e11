"""Cells between types and along a trajectory, whose position is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter1d

from activa.arguments import check_booleans, check_integers
from activa.assembly import obs_of
from activa.design import LABEL
from activa.drawing import device_of
from activa.model import ACTIVA
from activa.request import MAX_CELLS, CellPlan, Request, categories_to_codes
from activa.sampler import Sampler
from activa.seeds import check_seed, seeded
from activa.simulate.states import States, as_simulated, draw_cells, sample_states, sampler_of

if TYPE_CHECKING:
    from anndata import AnnData

_SHARES_STREAM, _POSITIONS_STREAM = 263, 264
_N_GRID, _N_PER_STEP, _N_AT_ONCE = 41, 64, 512  # shares at which the classifier is asked, cells at each, cells read
_MIN_RISE = 0.2  # of the classifier's mean probability from one type to the next
_NEIGHBORS = 0.1  # share of the cells from which a position's latents are taken


def path(
    model: ACTIVA | Sampler,
    types: Sequence[str],
    n: int,
    *,
    batch: str | None = None,
    rates: bool = False,
    seed: int | None = None,
) -> AnnData:
    """Generate cells on the way from one type to the next.

    A cell has a state of the type before and one of the type after, and the logs of its expression are a mixture of theirs. The
    share of the later type grows with the position so that the probability that the model's classifier gives to it, of
    the two, is the position on average. The classifier decides quickly: most cells are near one or the other in expression, and
    a single cell is seldom uncertain. ``obs["mix"]`` has the share in log expression.

    Parameters
    ----------
    model
        A trained model of counts with the log-linear architecture.
    types
        Two or more types, in the order of the path; a branching path is two paths with the same beginning.
    n
        Number of cells. Positions are evenly spaced from 0, the first type, to 1, the last.
    batch
        Batch of all cells. None draws batches as they occur in the first type.
    rates
        Whether to write expected counts to ``layers["rates"]`` (dense float32).
    seed
        The same seed gives the same cells, bit for bit, on one device.

    Returns
    -------
    AnnData with counts in ``X``; ``obs`` has the nearer type in the column of the types, ``position``, ``from_type``,
    ``to_type`` and ``mix``.

    Raises
    ------
    TypeError, ValueError, KeyError
        If an argument does not fit, names a type or batch that the model does not have, or the classifier does not tell two
        neighbors apart.

    Examples
    --------
    >>> cells = activa.simulate.path(model, ["CD34+", "CD14+ Monocyte"], 5, seed=0)
    >>> cells.obs["position"].tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    sampler, seed = sampler_of(model), check_seed(seed)
    check_integers(n=n, most=MAX_CELLS)
    check_booleans(rates=rates)
    if isinstance(types, str) or not isinstance(types, Sequence | np.ndarray) or len(types) < 2:
        raise ValueError(f"types must be a sequence of two or more types, got {types!r}.")
    codes = categories_to_codes("types", np.asarray(types, dtype=object), sampler.types)
    if (codes[1:] == codes[:-1]).any():
        raise ValueError(f"types must change from one to the next, got {list(types)}.")
    position = np.linspace(0, 1, n)
    segment = np.minimum((position * (len(codes) - 1)).astype(int), len(codes) - 2)
    along = position * (len(codes) - 1) - segment
    before, after = codes[segment], codes[segment + 1]
    nearer = np.where(along < 0.5, before, after)
    plan = Request(labels=sampler.types[nearer].tolist(), batch=batch, seed=seed).plan(sampler.design, sampler.module)
    mix = np.empty(n)
    for i in np.unique(segment):
        own = np.flatnonzero(segment == i)
        mix[own] = np.interp(along[own], *_reached(sampler, codes[i], codes[i + 1], plan.design[own], seed))
    states = _mixture(sampler, before, after, mix, plan.design, seed)
    obs = obs_of(plan, sampler.design, None)
    found = {"position": position, "mix": mix}
    categories = pd.Index(sampler.types)
    ends = {
        name: pd.Categorical.from_codes(end, categories=categories)
        for name, end in (("from_type", before), ("to_type", after))
    }
    truth = {"path": {"types": [str(name) for name in types]}}
    return _cells(sampler, states, obs, found | ends, truth, rates, seed)


def _mixture(
    sampler: Sampler, before: np.ndarray, after: np.ndarray, mix: np.ndarray, design: np.ndarray, seed: int
) -> States:
    """States between two types, given by codes, at a share ``mix`` of the later; batch and covariates are as planned."""
    # one seed for both: a cell differs from the means of the two types alike, so that mixtures vary as much as they do
    first, second = (sample_states(sampler, CellPlan(code, design, None, None), seed) for code in (before, after))
    return first.mixed(second, mix)


@torch.inference_mode()
def _reached(sampler: Sampler, before: int, after: int, design: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How far the classifier's mean probability has gone from one type to the other, rising from 0 to 1, and the shares."""
    shares = np.linspace(0, 1, _N_GRID)
    mix = np.repeat(shares, _N_PER_STEP)
    first, second = (np.full(len(mix), code) for code in (before, after))
    rows = np.random.default_rng([seed, _SHARES_STREAM]).integers(len(design), size=len(mix))
    x = draw_cells(sampler, _mixture(sampler, first, second, mix, design[rows], seed ^ _SHARES_STREAM), seed)
    module, found = sampler.module, []
    for start in range(0, len(mix), _N_AT_ONCE):
        dense = torch.from_numpy(x[start : start + _N_AT_ONCE].toarray()).to(device_of(module))
        found.append(module.classify(dense)[:, [before, after]].softmax(-1)[:, 1].cpu().numpy())
    rising = np.maximum.accumulate(np.concatenate(found).reshape(_N_GRID, _N_PER_STEP).mean(1))
    if rising[-1] - rising[0] < _MIN_RISE:
        first_type, second_type = (str(sampler.types[code]) for code in (before, after))
        raise ValueError(
            f"types: the classifier must tell {first_type!r} from {second_type!r}, but its mean probability of the second is "
            f"{rising[0]:.2f} in the first and {rising[-1]:.2f} in the second: train longer, or leave one out."
        )
    # the classifier is not certain of pure types: a position is a share of the way between them
    return (rising - rising[0]) / (rising[-1] - rising[0]), shares


def trajectory(model: ACTIVA, pseudotime: str, n: int, *, rates: bool = False, seed: int | None = None) -> AnnData:
    """Generate cells along a trajectory that the pseudotime of the model's cells gives.

    A cell's latent is that of a real cell, moved along the trajectory: the real cell is drawn among those nearest in
    pseudotime, and the difference between the mean latents at the two positions is added. So means move continuously, and
    cells vary around them as real cells do.

    Parameters
    ----------
    model
        A trained model of counts with the log-linear architecture, with its cells.
    pseudotime
        Column of ``obs`` with numbers; cells without one (NaN or infinite), or without a type, are left out.
    n
        Number of cells. Their pseudotimes are evenly spaced quantiles of the real ones.
    rates, seed
        As in :func:`path`.

    Returns
    -------
    AnnData with counts in ``X``; ``obs`` has the pseudotime in a column of that name, and the type, batch and covariates of
    the real cell. The mean expected counts at a pseudotime are in ``layers["rates"]``, if asked for.

    Raises
    ------
    TypeError, ValueError, KeyError
        If an argument does not fit, the model has no cells, or fewer than ten have a pseudotime.

    Examples
    --------
    >>> cells = activa.simulate.trajectory(model, "dpt_pseudotime", 500, seed=0)  # doctest: +SKIP
    """
    sampler, seed = sampler_of(model), check_seed(seed)
    check_integers(n=n, most=MAX_CELLS)
    check_booleans(rates=rates)
    if not isinstance(model, ACTIVA) or model.adata is None:
        raise ValueError(
            "model must be an activa.ACTIVA with its cells, whose pseudotime is needed: load it with adata=."
        )
    if pseudotime not in model.adata.obs:
        raise KeyError(f"pseudotime={pseudotime!r} is not a column of the cells' obs.")
    time = model.adata.obs[pseudotime]
    if not pd.api.types.is_numeric_dtype(time):
        raise TypeError(f"pseudotime={pseudotime!r} must be a column of numbers, got {time.dtype}.")
    time, known = time.to_numpy(dtype=float), model.design_columns()
    cells = np.flatnonzero(np.isfinite(time) & (known[LABEL].to_numpy() < len(sampler.types)))
    cells = cells[np.argsort(time[cells], kind="stable")]
    if len(cells) < 10:
        raise ValueError(f"pseudotime={pseudotime!r} must be finite in ten cells or more, got {len(cells)}.")
    with seeded(seed):  # a loader of data draws from PyTorch's global generator
        z = model.get_latent_representation(indices=cells)
    time = time[cells]

    rng = np.random.default_rng([seed, _POSITIONS_STREAM])
    where = np.arange(len(cells))
    rank = np.linspace(0, len(cells) - 1, n)
    width = max(_NEIGHBORS * len(cells), 5)
    source = np.clip(np.round(rank + rng.uniform(-width / 2, width / 2, n)), 0, len(cells) - 1).astype(int)
    # ranks are evenly spaced, so that a filter is a kernel regression on them
    mean = gaussian_filter1d(z.astype(np.float64), width / 4, axis=0, mode="nearest")
    there = np.column_stack([np.interp(rank, where, column) for column in mean.T])
    latents = (z[source] - mean[source] + there).astype(np.float32)
    columns = known.iloc[cells[source]]
    plan = CellPlan(columns[LABEL].to_numpy(), columns[sampler.design.columns].to_numpy(dtype=float), None, latents)
    obs = obs_of(plan, sampler.design, None)
    found = {pseudotime: np.interp(rank, where, time)}
    truth = {"trajectory": {"pseudotime": pseudotime}}
    return _cells(sampler, sample_states(sampler, plan, seed), obs, found, truth, rates, seed)


def _cells(
    sampler: Sampler,
    states: States,
    obs: pd.DataFrame,
    columns: dict[str, Any],
    truth: dict[str, Any],
    rates: bool,
    seed: int,
) -> AnnData:
    """Cells of the states with further columns of ``obs``, which must be new."""
    if taken := [name for name in columns if name in obs]:
        raise ValueError(f"obs columns {taken} are written here: register yours by other names.")
    cells = as_simulated(sampler, draw_cells(sampler, states, seed), obs.assign(**columns), truth, seed)
    if rates:
        cells.layers["rates"] = draw_cells(sampler, states, seed, expected=True)
    return cells
