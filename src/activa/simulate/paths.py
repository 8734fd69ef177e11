"""Cells along a path from type to type, whose position between the types is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from sklearn.isotonic import isotonic_regression

from activa.arguments import check_booleans, check_integers
from activa.drawing import device_of
from activa.model import ACTIVA
from activa.request import MAX_CELLS, CellPlan, Request, categories_to_codes
from activa.sampler import Sampler
from activa.seeds import check_seed, derived_seed
from activa.simulate.simulated import draw_at, draw_in_chunks, log_rates, obs_with, simulated_cells
from activa.simulate.states import States, sample_states, sampler_of

if TYPE_CHECKING:
    from anndata import AnnData

_PATH_STREAM, _CALIBRATION_STREAM = 271, 272
_SHARES = np.linspace(0, 1, 25)  # at which the classifier is asked
_CALIBRATION_CELLS = 300
_MIN_RISE = 0.2  # of the classifier's mean probability, from one type to the next


def path(
    model: ACTIVA | Sampler,
    types: Sequence[Any],
    n: int,
    *,
    batch: Any = None,
    rates: bool = False,
    seed: int | None = None,
) -> AnnData:
    r"""Simulate cells along a path through two or more types, at known positions.

    A cell has a state of the type before it and one of the type after it, drawn with the same random numbers, so that cells
    differ between the types as much as within them. Its log expression is on the line between the two: with a share m of
    the later type, the rate of each gene is :math:`r_0^{1-m} r_1^m` times a factor of the cell, by which the rates add up to
    the library size, whose log is mixed too. A straight line between latents gives a step instead: the type that the model
    infers from a latent changes abruptly.

    Positions are uniform from 0 to 1, and types equally far apart. The position is on the classifier's scale: between two
    types the mean probability that the model's classifier gives to the later one, among the two, is linear in the position,
    from its mean in cells of the earlier type to its mean in cells of the later type. The share m at a position is
    calibrated on simulated cells to make it so. m itself is not linear in the position: the classifier decides within a part
    of the way, and positions near a type's own pass quickly over the rest.

    Branches are two paths with the same first types, joined by ``anndata.concat``.

    Parameters
    ----------
    model
        A trained model of counts with the log-linear architecture, which is the default.
    types
        The types in their order along the path; neighbors must differ.
    n
        Number of cells.
    batch
        Batch of all cells. None draws batch and covariates of a cell as they occur in one of its two types, the later one
        with a probability that rises linearly from 0 to 1.
    rates
        Whether to write the expected counts of each cell, the truth at the level of RNA, to ``layers["rates"]`` (dense
        float32).
    seed
        The same seed gives the same cells, bit for bit, on one device. None takes ``scvi.settings.seed``, or a fresh seed if
        that is not set.

    Returns
    -------
    AnnData of cells x genes, with counts in ``X`` (CSR float32) and in the registered layer. ``obs`` has ``position`` (0 to
    1), ``from_type`` and ``to_type`` (the types before and after), ``mix`` (m, the later type's share of log expression),
    the nearer type in the registered column of types, batch and covariates. ``uns["activa"]["truth"]["path"]`` has the
    types, and the calibration of each segment between two types, ``(n_segments, 25)``: shares and mean probabilities.

    Raises
    ------
    TypeError, ValueError, KeyError
        If an argument does not fit, names a type or batch that the model does not have (KeyError), or the classifier does
        not tell two neighbors apart: its mean probability must rise by 0.2.

    Examples
    --------
    >>> cells = activa.simulate.path(model, ["CD14+ Monocyte", "CD19+ B"], 50, seed=0)
    >>> bool(cells.obs["mix"].corr(cells.obs["position"], method="spearman") > 0.99)
    True
    """
    sampler, seed = sampler_of(model), check_seed(seed)
    check_booleans(rates=rates)
    check_integers(n=n, most=MAX_CELLS)
    codes = _checked_types(types, sampler)
    rng = np.random.default_rng([seed, _PATH_STREAM])
    position, n_segments = rng.uniform(size=n), len(codes) - 1
    segment = np.minimum((position * n_segments).astype(int), n_segments - 1)
    within = position * n_segments - segment
    before, after = codes[segment], codes[segment + 1]
    plan, ends = _ends(sampler, before, after, rng.uniform(size=n) < within, batch, seed)
    known: Any = list(sampler.types)
    columns = {
        "position": position,
        "from_type": pd.Categorical.from_codes(before, categories=known),
        "to_type": pd.Categorical.from_codes(after, categories=known),
        "mix": np.zeros(n),
    }
    nearer = replace(plan, label=np.where(within < 0.5, before, after))
    obs = obs_with(nearer, sampler.design, columns)

    probabilities = np.stack(
        [
            _calibration(sampler, codes[i], codes[i + 1], batch, derived_seed(seed, _CALIBRATION_STREAM, i))
            for i in range(n_segments)
        ]
    )
    mix = np.empty(n)
    for i, of_shares in enumerate(probabilities):
        wanted = of_shares[0] + within[segment == i] * (of_shares[-1] - of_shares[0])
        # the slope makes equal probabilities an increasing function, which can be inverted
        mix[segment == i] = np.interp(wanted, of_shares + 1e-9 * _SHARES, _SHARES)
    obs["mix"] = mix

    def chunk(cells: np.ndarray) -> tuple[States, np.ndarray]:
        a, b = (end.take(cells) for end in ends)
        share = mix[cells]
        return a.mixed(b, share), mixed_log_rates(log_rates(sampler, a), log_rates(sampler, b), share)

    counts, expected = draw_in_chunks(sampler, n, chunk, seed, rates=rates)
    truth = {
        "types": [str(name) for name in sampler.types[codes]],
        "share": np.tile(_SHARES, (n_segments, 1)),
        "probability": probabilities,
    }
    return simulated_cells(sampler, counts, obs, truth={"path": truth}, seed=seed, rates=expected)


def mixed_log_rates(log_a: np.ndarray, log_b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Weighted means of logs of rates ``(n_cells, n_genes)``, shifted so that logs of cells' totals are weighted means too."""
    a, b, weight = log_a.astype(np.float64), log_b.astype(np.float64), share[:, None]
    totals = [np.log(np.exp(logs).sum(1, keepdims=True)) for logs in (a, b)]
    mixed = (1 - weight) * a + weight * b
    mixed += (1 - weight) * totals[0] + weight * totals[1] - np.log(np.exp(mixed).sum(1, keepdims=True))
    return mixed.astype(np.float32)


def _ends(
    sampler: Sampler, before: np.ndarray, after: np.ndarray, is_later: np.ndarray, batch: Any, seed: int
) -> tuple[CellPlan, tuple[States, States]]:
    """The plan of cells with the batch and covariates of one of their types, and their states in both types."""
    drawn_as = sampler.types[np.where(is_later, after, before)].tolist()
    plan = Request(labels=drawn_as, batch=batch, seed=seed).plan(sampler.design, sampler.module)
    a, b = (sample_states(sampler, replace(plan, label=label), seed) for label in (before, after))
    return plan, (a, b)


def _calibration(sampler: Sampler, before: int, after: int, batch: Any, seed: int) -> np.ndarray:
    """Mean probability of the later of two types at each share of it, by the classifier, non-decreasing."""
    n = _CALIBRATION_CELLS
    _, (a, b) = _ends(sampler, np.full(n, before), np.full(n, after), np.arange(n) % 2 == 0, batch, seed)
    logs, device, found = (log_rates(sampler, a), log_rates(sampler, b)), device_of(sampler.module), []
    for share in _SHARES:
        of_cells = np.full(n, share)
        x = draw_at(sampler, a.mixed(b, of_cells), mixed_log_rates(*logs, of_cells), seed)
        with torch.inference_mode():
            logits = sampler.module.classify(torch.from_numpy(x.toarray()).to(device))[:, [before, after]]
            found.append(float(logits.softmax(-1)[:, 1].mean()))
    probabilities = isotonic_regression(found)
    if probabilities[-1] - probabilities[0] < _MIN_RISE:
        names = [str(sampler.types[code]) for code in (before, after)]
        raise ValueError(
            f"types: the classifier must tell {names[0]!r} from {names[1]!r}, but its mean probability of the later one is "
            f"{probabilities[0]:.2f} in the first and {probabilities[-1]:.2f} in the second: train longer, or leave one out."
        )
    return probabilities


def _checked_types(types: Any, sampler: Sampler) -> np.ndarray:
    if isinstance(types, str) or not isinstance(types, Sequence | np.ndarray):
        raise TypeError(f"types must be a sequence of types, got {types!r}.")
    if len(types) < 2:
        raise ValueError(f"types must name at least two types, got {list(types)}.")
    codes = categories_to_codes("types", np.asarray(list(types), dtype=object), sampler.types)
    if (codes[1:] == codes[:-1]).any():
        raise ValueError(f"types must not name a type twice in a row, got {list(types)}.")
    return codes
