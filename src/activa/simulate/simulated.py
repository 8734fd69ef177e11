"""What simulations share: counts of cells whose rates are given, and simulated cells as AnnData with their truth."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix, vstack

from activa.assembly import as_anndata, obs_of
from activa.design import Design
from activa.request import CellPlan
from activa.sampler import Sampler
from activa.seeds import derived_seed, tag_of
from activa.simulate.states import Shift, States, draw_cells

_CHUNK_STREAM = 270
_CHUNK = 1024  # cells whose rates are held in memory; a part of what a seed means


def log_rates(sampler: Sampler, states: States) -> np.ndarray:
    """Natural logs of expected counts, float32 ``(n_cells, n_genes)``."""
    rates = draw_cells(sampler, states, 0, expected=True)
    return np.log(np.maximum(rates, np.finfo(np.float32).tiny))


def draw_at(sampler: Sampler, states: States, wanted: np.ndarray, seed: int) -> csr_matrix:
    """Counts of cells of these states, but with other log rates, ``(n_cells, n_genes)``."""
    change = wanted - log_rates(sampler, states)
    return draw_cells(sampler, states, seed, rate=[Shift(change, np.arange(len(states)))])


def draw_in_chunks(
    sampler: Sampler, n: int, chunk: Callable[[np.ndarray], tuple[States, np.ndarray]], seed: int, *, rates: bool
) -> tuple[csr_matrix, np.ndarray | None]:
    """Counts, and rates if asked for, of cells whose states and log rates ``chunk`` tells for some positions at a time."""
    counts, expected = [], []
    for number, start in enumerate(range(0, n, _CHUNK)):
        states, wanted = chunk(np.arange(start, min(start + _CHUNK, n)))
        counts.append(draw_at(sampler, states, wanted, derived_seed(seed, _CHUNK_STREAM, number)))
        expected += [np.exp(wanted)] if rates else []
    return vstack(counts, format="csr"), np.concatenate(expected) if rates else None


def obs_with(plan: CellPlan, design: Design, columns: dict[str, Any]) -> pd.DataFrame:
    """``obs`` of planned cells with further columns; a ValueError names those that were registered."""
    obs = obs_of(plan, design, None)
    if taken := [name for name in columns if name in obs]:
        raise ValueError(f"obs columns {taken} are written by the simulation: register these columns by other names.")
    return obs.assign(**columns)


def simulated_cells(
    sampler: Sampler, x: Any, obs: pd.DataFrame, *, truth: dict[str, Any], seed: int, rates: np.ndarray | None
) -> AnnData:
    """AnnData of numbered cells, with version, seed, settings and truth in ``uns["activa"]``, and rates in a layer."""
    tag = tag_of(str(seed).encode(), x.indices, x.data)
    obs = obs.set_index(pd.Index([f"simulated_{i}-{tag}" for i in range(len(obs))]))
    origin = {"version": version("activa-sc"), "seed": seed, "settings": sampler.settings.to_uns(), "truth": truth}
    uns = {"activa": origin} | sampler.design.colors_as_uns()
    cells = as_anndata(x, obs, sampler.var, sampler.design.layer, uns)
    if rates is not None:
        cells.layers["rates"] = rates
    return cells
