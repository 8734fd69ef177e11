"""All attacks on one set of synthetic cells, next to those on real cells in their place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from activa.arguments import check_booleans, check_integers, check_numbers
from activa.data import Cells, check_labels, check_sets, halves, read_cells, strings, subsample
from activa.metrics import copying
from activa.metrics.evaluation import to_table
from activa.metrics.privacy.shadow_models import Generator, Shadows, left_out, pool_sets, read_published, train_shadows
from activa.metrics.space import Space
from activa.seeds import MAX_SEED

_MIN_CELLS = 20
_MAX_CELLS = 10_000  # of a set whose distances to all cells of another set are computed

_TPR = "Share of training cells it finds at {fpr:.3g} false accusations of held-out cells; best is chance."
_DESCRIPTIONS = {
    "membership_auc": "How well closeness to synthetic cells tells training from held-out cells (AUC): 0.5 is not at all.",
    "membership_tpr": _TPR,
    "donor_auc": "The same attack on whole donors, by the mean over their cells (AUC over donors): 0.5 is not at all.",
    "shadow_auc": "How well an attack learnt on shadow generators tells training from held-out cells (AUC).",
    "shadow_tpr": _TPR,
    "shadow_donor_auc": "That attack on whole donors (AUC over donors).",
    "dcr_share": "Share of synthetic cells nearer to a training than to any held-out cell, at equal weight: 0.5 is best.",
    "copy_ratio": (
        "Median distance to the nearest training cell over that of held-out cells: 1 is best, below is copying."
    ),
    "close_share": (
        "Share closer to a training cell than the closest {quantile:.3g} of held-out cells: above it are copies."
    ),
    "nndr": "Median ratio of distances to the nearest and second training cell: best at the floor, near 0 are copies.",
    "exact_copies": "Share of synthetic cells with the values of a training cell in all genes: best is 0 or the floor.",
}


def _figures(
    read: dict[str, Cells],
    published: Cells,
    spaces: tuple[Space, Space],
    donors: np.ndarray | None,
    shadows: Shadows | None,
    fpr: float,
    quantile: float,
    seed: int,
) -> dict[str, float]:
    """All attacks on published cells by name, in the order of the table.

    The first space, fitted to training and held-out cells, is neutral; the second is fitted to the training cells.
    """
    sets = (read["train"], read["held_out"], published)
    rng = np.random.default_rng(seed)
    chosen = [subsample(len(cells), _MAX_CELLS, rng) for cells in sets]
    train, held_out, synthetic = (spaces[0].project(cells) for cells in sets)
    scores = [-copying.nearest(train[chosen[0]], synthetic), -copying.nearest(held_out[chosen[1]], synthetic)]
    figures = {"membership_auc": copying.auc(*scores), "membership_tpr": copying.tpr_at_fpr(*scores, fpr=fpr)}
    if donors is not None:
        figures["donor_auc"] = _donor_auc(scores, donors[np.concatenate([chosen[0], len(train) + chosen[1]])])
    if shadows is not None:
        scores = np.split(shadows.attack(synthetic), [len(train)])
        figures |= {"shadow_auc": copying.auc(*scores), "shadow_tpr": copying.tpr_at_fpr(*scores, fpr=fpr)}
        if donors is not None:
            figures["shadow_donor_auc"] = _donor_auc(scores, donors)
    figures["dcr_share"] = copying.dcr_share(train, held_out, synthetic[chosen[2]])
    rng = np.random.default_rng(seed)
    held_out, synthetic = (spaces[1].project(cells.subsample(_MAX_CELLS, rng)) for cells in sets[1:])
    near_train = spaces[1].reference_components, held_out, synthetic
    figures["copy_ratio"] = copying.copy_ratio(*near_train)
    figures["close_share"] = copying.close_share(*near_train, quantile=quantile)
    figures["nndr"] = copying.nndr(near_train[0], synthetic)
    values = (x.log_expression if x.counts is None else x.counts for x in (read["train"], published))
    return figures | {"exact_copies": copying.exact_copies(*values)}


def _donor_auc(scores: list[np.ndarray], donors: np.ndarray) -> float:
    return copying.donor_auc(np.concatenate(scores), donors, np.repeat([True, False], [*map(len, scores)]))


def _check(sets: dict[str, AnnData], labels_key: str | None, donor_key: str | None, layer: str | None) -> None:
    """Raise the error that :func:`evaluate` documents for sets that it cannot use."""
    check_sets(sets, None, layer)
    real = {name: adata for name, adata in sets.items() if name != "synthetic"}
    check_sets(real, labels_key, layer)
    if donor_key is not None:
        _check_donors(real, donor_key)
    for name, adata in sets.items():
        least = 2 * _MIN_CELLS if name == "held_out" and "floor" not in sets else _MIN_CELLS
        if adata.n_obs < least:
            raise ValueError(f"{name} has {adata.n_obs} cells; give at least {least}.")


def _check_donors(sets: dict[str, AnnData], donor_key: str) -> None:
    """Raise the error that :func:`evaluate` documents for shared or too few donors."""
    donors = {}
    for name, adata in sets.items():
        check_labels(name, adata, donor_key, "donor_key")
        donors[name] = set(adata.obs[donor_key].astype(str))
    for first, second in (("train", "held_out"), ("train", "floor"), ("held_out", "floor")):
        if shared := sorted(donors[first] & donors.get(second, set())):
            raise ValueError(f"donors {shared[:5]} have cells both in {first} and in {second}: split by donor.")
    for name in ("train", "held_out"):
        if len(donors[name]) < 2:
            raise ValueError(f"{name} has one donor in {donor_key!r}; give at least two, or leave donor_key out.")


def _split_held_out(
    held_out: AnnData, labels_key: str | None, donor_key: str | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of two halves of the held-out cells, split by donor or by type."""
    donors = strings(held_out, donor_key)
    if donors is None:
        return halves(held_out.n_obs, rng, strings(held_out, labels_key))
    names = np.unique(donors)
    if len(names) < 4:
        raise ValueError(f"held_out has {len(names)} donors in {donor_key!r}; without floor at least four are needed.")
    first, second = (np.flatnonzero(np.isin(donors, names[half])) for half in halves(len(names), rng))
    return first, second


def evaluate(
    train: AnnData,
    held_out: AnnData,
    synthetic: AnnData,
    *,
    labels_key: str | None = None,
    donor_key: str | None = None,
    layer: str | None = None,
    floor: AnnData | None = None,
    generator: Generator | None = None,
    n_shadows: int = 8,
    fpr: float = 0.01,
    quantile: float = 0.05,
    normalized: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """What synthetic cells reveal about the cells, and donors, that their generator was trained on.

    The held-out cells are split into two halves: the attacks must tell the first from the training cells; the second
    takes the place of the synthetic cells for the floor, from which attacks learn only by chance. Cells are compared as
    log1p of counts scaled to 10,000, over the 2,000 genes with the largest variance and 50 principal components: of
    training and attacked held-out cells to tell these apart, and of training cells for distances to them.

    Parameters
    ----------
    train, held_out, floor
        All cells that the generator was trained on (cells x genes of counts); at least hundreds of real cells of the
        same population that it has not seen, with the same genes; and more of these, not to split ``held_out``.
    synthetic, layer, normalized, seed
        As in :func:`activa.metrics.evaluate`, which raises the same errors.
    labels_key, donor_key
        Columns of ``obs`` with the types and the donors, in the real sets, which must not share donors. Held-out cells
        are split by donor, or else type by type. Donors add attacks on whole donors.
    generator, n_shadows, fpr, quantile
        As in :func:`shadow_attack`, which a generator adds, with its run time; share of held-out cells that an attack
        may wrongly accuse in the rows named ``tpr``; and quantile of the held-out cells' distances for ``close_share``.

    Returns
    -------
    One row per metric (index ``metric``): ``value`` of the synthetic cells, ``floor`` of real cells, ``best`` value of
    a generator that reveals nothing, and ``description``. Above 10,000 cells, distances are computed for a subsample.
    For n attacked cells on each side, the standard error of an AUC is 0.41 over the root of n.

    Examples
    --------
    >>> activa.metrics.privacy.evaluate(train, held_out, synthetic, labels_key="cell_type")  # doctest: +SKIP
    """
    check_numbers(above=0, below=1, fpr=fpr, quantile=quantile)
    check_booleans(normalized=normalized)
    check_integers(n_shadows=n_shadows)
    check_integers(least=0, most=MAX_SEED, seed=seed)
    if generator is not None and not callable(generator):
        raise TypeError(f"generator must be a function of cells and a seed, got {type(generator).__name__}.")
    sets = {"train": train, "held_out": held_out} | ({} if floor is None else {"floor": floor})
    _check(sets | {"synthetic": synthetic}, labels_key, donor_key, layer)
    rng = np.random.default_rng(seed)
    if floor is None:
        first, second = _split_held_out(held_out, labels_key, donor_key, rng)
        held_out, floor = held_out[first], held_out[second]
    donors = None
    if donor_key is not None:
        donors = np.concatenate([np.asarray(adata.obs[donor_key], dtype=str) for adata in (train, held_out)])
    if generator is not None:
        pool = pool_sets(train, held_out)
        out = left_out(train.n_obs, held_out.n_obs, n_shadows, rng, strings(pool, labels_key), donors)
    form: dict[str, Any] = {"layer": layer, "normalized": normalized}
    read = read_cells({"train": train, "held_out": held_out}, labels_key=None, **form)
    both = read["train"].concatenate(read["held_out"])
    spaces, shadows = (Space(both, seed), Space(read["train"], seed)), None
    if generator is not None:
        shadows = train_shadows(generator, pool, both, spaces[0], out, seed, form)
    attacked = (read_published(cells, train, **form) for cells in (synthetic, floor))
    value, at_floor = (_figures(read, cells, spaces, donors, shadows, fpr, quantile, seed) for cells in attacked)
    n_held_out = len(read["held_out"])
    best = dict.fromkeys(value, 0.5) | {"copy_ratio": 1.0, "close_share": quantile}
    best |= {name: at_floor[name] for name in ("nndr", "exact_copies")}
    best["membership_tpr"] = copying.chance_tpr(min(n_held_out, _MAX_CELLS), fpr)
    best["shadow_tpr"] = copying.chance_tpr(n_held_out, fpr)
    rows = {
        name: (value[name], at_floor[name], best[name], text.format(fpr=fpr, quantile=quantile))
        for name, text in _DESCRIPTIONS.items()
        if name in value
    }
    return to_table(rows)
