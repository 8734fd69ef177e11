"""Membership inference by an attacker who trains generators of the same kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from activa.arguments import check_booleans, check_integers
from activa.data import Cells, check_labels, check_sets, folds, read_cells, strings
from activa.metrics.space import Space
from activa.progress import progress
from activa.seeds import MAX_SEED, seeded

type Generator = Callable[[AnnData, int], AnnData]
"""Trains on cells and returns synthetic ones: ``generator(train, seed)``."""

_N_NEIGHBORS = 10
_MAX_RANK = 50


def pool_sets(train: AnnData, held_out: AnnData) -> AnnData:
    """Both sets as one, with unique names and without the columns of a registered AnnData."""
    sets = {"train": train, "held_out": held_out[:, train.var_names]}
    sets = {name: adata.to_memory() if adata.isbacked else adata for name, adata in sets.items()}
    pool: Any = anndata.concat(sets, join="inner", merge="first", index_unique="-")
    pool.obs = pool.obs[[column for column in pool.obs if not str(column).startswith("_scvi")]]
    return pool


def left_out(
    n_train: int,
    n_held_out: int,
    n_shadows: int,
    rng: np.random.Generator,
    labels: np.ndarray | None,
    donors: np.ndarray | None,
) -> np.ndarray:
    """Which cells of the pool each shadow is not trained on, boolean, ``(n_shadows, n_cells)``.

    Each shadow sees about as large a share as the target; cells, or whole donors, are left out equally often, within
    one.
    """
    n_cells = n_train + n_held_out
    if donors is None:
        unit, n_units, strata, n_out = np.arange(n_cells), n_cells, labels, n_held_out
    else:
        names, unit = np.unique(donors, return_inverse=True)
        n_units, strata, n_out = len(names), None, len(np.unique(donors[n_train:]))
    n_folds = max(2, round(n_units / n_out))
    if n_shadows < 2 * n_folds:
        raise ValueError(
            f"n_shadows must be at least {2 * n_folds}, got {n_shadows}: as the target has seen {n_train} of {n_cells} "
            f"cells, each shadow leaves out one of {n_folds} parts, and each cell must be left out twice."
        )
    parts: list[np.ndarray] = []
    while len(parts) < n_shadows:
        parts += folds(n_units, n_folds, rng, strata)
    return np.array([np.isin(unit, part) for part in parts[:n_shadows]])


def read_published(synthetic: AnnData, train: AnnData, *, layer: str | None, normalized: bool) -> Cells:
    """Checked synthetic cells, which need no types, with the genes in the order of the training cells."""
    sets = {"synthetic": synthetic[:, train.var_names]}
    return read_cells(sets, labels_key=None, layer=layer, normalized=normalized)["synthetic"]


def features(pool: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    """What an attacker sees of each candidate in the pool next to synthetic cells, ``(n_cells, 5)``, as logarithms.

    Distance to the nearest synthetic cell; mean distance to the ten nearest (local density); rank among candidates by
    distance to its nearest synthetic cell; number of synthetic cells whose nearest candidate it is; and distance to the
    nearest other candidate (the cell's difficulty).
    """
    search = NearestNeighbors(n_neighbors=min(_N_NEIGHBORS, len(synthetic))).fit(synthetic)
    to_synthetic, neighbors = search.kneighbors(pool)
    candidates = NearestNeighbors(n_neighbors=1).fit(pool)
    own = candidates.kneighbors()[0][:, 0]
    hits = np.bincount(candidates.kneighbors(synthetic)[1][:, 0], minlength=len(pool))
    # Only ranks up to a maximum are counted: low ranks are what tells members apart.
    ranked = NearestNeighbors(n_neighbors=min(_MAX_RANK, len(pool))).fit(pool)
    closest = ranked.kneighbors(synthetic[neighbors[:, 0]])[0]
    rank = (closest < to_synthetic[:, :1] * (1 - 1e-9)).sum(axis=1)
    # The distance of a copy is zero up to rounding: clip at a thousandth of the usual distance.
    least = 1e-3 * max(np.median(own), np.finfo(float).tiny)
    distances = [to_synthetic[:, 0], to_synthetic.mean(axis=1), own]
    closeness, density, difficulty = (np.log(np.maximum(x, least)) for x in distances)
    return np.column_stack([closeness, density, np.log1p(rank), np.log1p(hits), difficulty])


class Shadows:
    """An attack learnt from shadow generators, whose training cells are known."""

    def __init__(self, pool: np.ndarray, out: np.ndarray, synthetic: list[np.ndarray]) -> None:
        self._pool, self._out = pool, out
        self._seen = np.array([features(pool, cells) for cells in synthetic])
        x = np.concatenate([self._calibrated(seen, leave=shadow) for shadow, seen in enumerate(self._seen)])
        self._classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, ~out.ravel())

    def _calibrated(self, seen: np.ndarray, leave: int | None = None) -> np.ndarray:
        """Features, and their differences from the cell's mean features with shadows that did not see it."""
        out = self._out.copy()
        if leave is not None:
            out[leave] = False
        expected = np.einsum("sc,scf->cf", out, self._seen) / out.sum(axis=0)[:, None]
        # The last feature, the cell's difficulty, is the same for all shadows.
        return np.hstack([seen, (seen - expected)[:, :-1]])

    def attack(self, synthetic: np.ndarray) -> np.ndarray:
        """Log odds that the generator of these cells was trained on each cell of the pool, ``(n_cells,)``."""
        return self._classifier.decision_function(self._calibrated(features(self._pool, synthetic)))


def train_shadows(
    generator: Generator, adata: AnnData, pool: Cells, space: Space, out: np.ndarray, seed: int, form: dict[str, Any]
) -> Shadows:
    """Train a generator without each of the parts, and an attack on their cells (``form``: layer and normalized)."""
    components = []
    for shadow, absent in enumerate(progress(out, desc="shadow generators", unit="shadow")):
        with seeded(seed, shadow):
            shadow_seed = int(np.random.SeedSequence([seed, shadow]).generate_state(1)[0])
            cells: Any = generator(adata[~absent].copy(), shadow_seed)
        check_sets({"train": adata, "what the generator returned": cells}, None, form["layer"])
        components.append(space.project(read_published(cells, adata, **form)))
    return Shadows(space.project(pool), out, components)


def shadow_attack(
    generator: Generator,
    train: AnnData,
    held_out: AnnData,
    synthetic: AnnData,
    *,
    n_shadows: int = 8,
    labels_key: str | None = None,
    donor_key: str | None = None,
    layer: str | None = None,
    normalized: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Membership inference by an attacker who can train generators of the same kind.

    The attacker sees the synthetic cells and a pool of candidates, trains shadow generators on random parts of the
    pool, and learns (by logistic regression) how training cells differ from others in their position relative to the
    synthetic cells: distances to the nearest ones, density and rank among candidates, each also relative to shadows
    that did not see the same cell. Shadow models are those of Shokri et al. 2017, arXiv:1610.05820; the calibration
    follows Carlini et al. 2022, arXiv:2112.03570, and Watson et al. 2022, arXiv:2111.08440; Stadler et al. 2022,
    arXiv:2011.07018, attack synthetic data.

    Cells are compared as log1p of counts scaled to 10,000, in 50 principal components of the whole pool, which holds
    all training cells. This is more than most attackers have: the result is an upper end for attacks of this kind.

    Parameters
    ----------
    generator, n_shadows
        ``generator(train, seed)`` trains on an AnnData (a copy, which it may change) and returns synthetic cells,
        ideally as many as the target. It is called ``n_shadows`` times, with different seeds and a seeded global random
        state: at least 4 if ``held_out`` has as many cells as ``train``, 8 if it has a third.
    train, held_out, synthetic, labels_key, donor_key, layer, normalized, seed
        As in :func:`~activa.metrics.privacy.evaluate`, which raises the same errors. Each shadow leaves out about as
        many candidates as ``held_out`` has, with the types in proportion, or whole donors.

    Returns
    -------
    One row per candidate, training cells first: ``set`` (``"train"`` or ``"held_out"``), ``cell`` (its name),
    ``member`` (boolean) and ``score``, the log odds of membership, for :func:`tpr_at_fpr` or :func:`donor_auc`.

    Examples
    --------
    >>> def generator(train, seed):
    ...     return trained_model(train, seed).generate(train.n_obs, seed=seed)
    >>> scores = shadow_attack(generator, train, held_out, synthetic, labels_key="cell_type")  # doctest: +SKIP
    """
    check_booleans(normalized=normalized)
    check_integers(n_shadows=n_shadows)
    check_integers(least=0, most=MAX_SEED, seed=seed)
    if not callable(generator):
        raise TypeError(f"generator must be a function of cells and a seed, got {type(generator).__name__}.")
    sets = {"train": train, "held_out": held_out}
    check_sets(sets, labels_key, layer)
    check_sets(sets | {"synthetic": synthetic}, None, layer)
    if donor_key is not None:
        for name, cells in sets.items():
            check_labels(name, cells, donor_key, "donor_key")
    adata = pool_sets(train, held_out)
    labels, donors = strings(adata, labels_key), strings(adata, donor_key)
    out = left_out(train.n_obs, held_out.n_obs, n_shadows, np.random.default_rng(seed), labels, donors)
    form: dict[str, Any] = {"layer": layer, "normalized": normalized}
    published = read_published(synthetic, adata, **form)
    pool = read_cells({"pool": adata}, labels_key=None, **form)["pool"]
    space = Space(pool, seed)
    shadows = train_shadows(generator, adata, pool, space, out, seed, form)
    sizes = [train.n_obs, held_out.n_obs]
    table = {"set": np.repeat(list(sets), sizes), "cell": [*train.obs_names, *held_out.obs_names]}
    table |= {"member": np.repeat([True, False], sizes), "score": shadows.attack(space.project(published))}
    return pd.DataFrame(table)
