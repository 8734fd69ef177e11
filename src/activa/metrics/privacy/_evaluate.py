from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.metrics import roc_auc_score
from tqdm.auto import tqdm

from activa.data import Cells, check_sets, read_cells, strings, subsample
from activa.metrics._copying import copy_ratio, nearest
from activa.metrics._space import Space

from ._donors import check_donors, donor_auc, split_held_out
from ._exact import exact_copies
from ._low_fpr import chance_tpr, check_share, tpr_at_fpr
from ._nearest_record import close_share, dcr_share, nndr
from ._shadow import Generator, as_pool, left_out, read_published, train_shadows

_MIN_CELLS = 20
MAX_CELLS = 10_000
"""Most cells of a set whose distance to all of another is taken."""

DESCRIPTIONS = {
    "membership_auc": "How well closeness to synthetic cells tells training from held-out cells (AUC): 0.5 is not at all.",
    "membership_tpr": "Share of training cells it finds at {fpr:.3g} false accusations of held-out ones; best is chance.",
    "donor_auc": "The same attack on whole donors, by the mean over their cells (AUC over donors): 0.5 is not at all.",
    "shadow_auc": "How well an attack learnt on shadow generators tells training from held-out cells (AUC).",
    "shadow_tpr": "Share of training cells it finds at {fpr:.3g} false accusations of held-out ones; best is chance.",
    "shadow_donor_auc": "That attack on whole donors (AUC over donors).",
    "dcr_share": "Share of synthetic cells nearer to a training than to any held-out cell, as of equal sets: 0.5 is best.",
    "copy_ratio": "Median distance to the nearest training cell over that of held-out cells: 1 is best, below is copying.",
    "close_share": "Share closer to a training cell than the closest {quantile:.3g} of held-out cells: above it are copies.",
    "nndr": "Median ratio of distances to the nearest and second training cell: best at the floor, near 0 are copies.",
    "exact_copies": "Share of synthetic cells with the values of a training cell in all genes: best is 0 or the floor.",
}


class _Real(NamedTuple):
    """Training cells and those that were not, in the spaces that they are attacked in."""

    train: Cells
    held_out: Cells
    pooled: Space
    """Fitted on both, which treats them alike: to ask which of them were trained on."""
    own: Space
    """Fitted on the training cells, for distances of other cells to them."""
    donors: np.ndarray | None

    @property
    def members(self) -> np.ndarray:
        return np.repeat([True, False], [len(self.train), len(self.held_out)])


def _distance_attacks(real: _Real, published: np.ndarray, fpr: float, seed: int) -> dict[str, float]:
    """What closeness to published cells (in the pooled space) gives away."""
    rng = np.random.default_rng(seed)
    train, held_out = sets = [real.pooled.project(cells) for cells in (real.train, real.held_out)]
    drawn = [subsample(len(cells), MAX_CELLS, rng) for cells in sets]
    scores = [-nearest(cells[at], published) for cells, at in zip(sets, drawn, strict=True)]
    members = np.repeat([True, False], [len(x) for x in scores])
    rows = {
        "membership_auc": float(roc_auc_score(members, np.concatenate(scores))),
        "membership_tpr": tpr_at_fpr(*scores, fpr=fpr),
    }
    if real.donors is not None:
        attacked = np.concatenate([drawn[0], len(sets[0]) + drawn[1]])
        rows["donor_auc"] = donor_auc(np.concatenate(scores), real.donors[attacked], members)
    near = published[subsample(len(published), MAX_CELLS, rng)]
    return rows | {"dcr_share": dcr_share(train, held_out, near)}


def _nearest_records(real: _Real, published: Cells, quantile: float, seed: int) -> dict[str, float]:
    """How close published cells are to training cells, in the space of these."""
    rng = np.random.default_rng(seed)
    train = real.own.reference_components
    held_out, near = (real.own.project(cells.draw(MAX_CELLS, rng)) for cells in (real.held_out, published))
    values = [cells.log_expression if cells.counts is None else cells.counts for cells in (real.train, published)]
    return {
        "copy_ratio": copy_ratio(train, held_out, near),
        "close_share": close_share(train, held_out, near, quantile=quantile),
        "nndr": nndr(train, near),
        "exact_copies": exact_copies(*values),
    }


def _shadow_rows(real: _Real, scores: np.ndarray, fpr: float) -> dict[str, float]:
    members = real.members
    rows = {
        "shadow_auc": float(roc_auc_score(members, scores)),
        "shadow_tpr": tpr_at_fpr(scores[members], scores[~members], fpr=fpr),
    }
    return rows if real.donors is None else rows | {"shadow_donor_auc": donor_auc(scores, real.donors, members)}


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
    """What synthetic cells give away about the cells, and donors, that their generator was trained on.

    The held-out cells are split in two: one half is attacked beside the training cells, and must be told from them; the
    other half stands in the place of the synthetic cells for the floor, where nothing can be learnt but by chance. All
    synthetic cells are used in the attacks, as an attacker would.

    Cells are compared as log1p of counts scaled to 10,000, over the 2,000 genes of largest variance and 50 principal
    components: fitted on the training cells and the attacked held-out cells together where these are told apart, and on the
    training cells where the distances of other cells to them are compared.

    Parameters
    ----------
    train
        All cells that the generator was trained on: cells x genes of counts.
    held_out
        Real cells of the same population that it never saw, with the same genes in any order; hundreds, for the rows at low
        false positive rates to mean much.
    synthetic
        Its cells, as published.
    labels_key
        Column of ``obs`` with the types, in the real sets: the held-out cells are then split type by type.
    donor_key
        Column of ``obs`` with the donors, in the real sets, no donor in two of them. Adds attacks on whole donors, and
        splits the held-out cells by donor. All attacks then ask about cells of donors that were in the training set, which
        is more than asking about the cells.
    layer
        Layer of the counts in every set; ``X`` by default.
    floor
        Further held-out real cells to stand in the place of the synthetic ones; ``held_out`` is then not split.
    generator
        ``generator(train, seed)``: adds the :func:`shadow_attack`, and its time.
    n_shadows
        How many times it is trained.
    fpr
        Share of held-out cells that an attack may wrongly accuse in the rows named ``tpr``.
    quantile
        Of the held-out cells' distances, for ``close_share``.
    normalized
        All sets hold log1p of counts scaled to 10,000 a cell.
    seed
        Seed of the split, the components, the draws and the shadows. Global random state is left alone.

    Returns
    -------
    A table with one row a metric (index ``metric``): ``value`` of the synthetic cells, ``floor`` of real cells, ``best`` where
    a generator that gives nothing away stands, and ``description``. Beyond 10,000 cells of a set, distances are taken of so
    many drawn cells, to all of the other set. How far a value can be from the best by chance, the floor shows once; for n
    attacked cells on each side the standard error of an AUC is 0.41 over the root of n.

    Raises
    ------
    KeyError
        If a key or the layer is not in one of the sets.
    TypeError
        If a set is no AnnData.
    ValueError
        If the sets differ in genes or hold other than they should, there are fewer than 20 cells in one, a donor is in two
        sets, or there are too few donors or shadows.

    Examples
    --------
    >>> activa.metrics.privacy.evaluate(train, held_out, synthetic, labels_key="cell_type")  # doctest: +SKIP
    """
    check_share("fpr", fpr)
    check_share("quantile", quantile)
    sets = {"train": train, "held_out": held_out} | ({} if floor is None else {"floor": floor})
    check_sets(sets | {"synthetic": synthetic}, None, layer)
    check_sets(sets, labels_key, layer)
    if donor_key is not None:
        check_donors(sets, donor_key)
    for name, adata in (sets | {"synthetic": synthetic}).items():
        least = 2 * _MIN_CELLS if name == "held_out" and floor is None else _MIN_CELLS
        if adata.n_obs < least:
            msg = f"{name} has {adata.n_obs} cells; at least {least} are needed."
            raise ValueError(msg)

    rng = np.random.default_rng(seed)
    if floor is None:
        first, second = split_held_out(held_out, labels_key, donor_key, rng)
        held_out, floor = held_out[first], held_out[second]
    donors = None
    if donor_key is not None:
        donors = np.concatenate([np.asarray(adata.obs[donor_key], dtype=str) for adata in (train, held_out)])
    pool, out = None, np.empty((0, 0), dtype=bool)
    if generator is not None:
        pool = as_pool(train, held_out)
        out = left_out(train.n_obs, held_out.n_obs, n_shadows, rng, strings(pool, labels_key), donors)
    read = {"train": train, "held_out": held_out}
    cells = read_cells(read, labels_key=None, layer=layer, normalized=normalized)
    both = cells["train"].above(cells["held_out"])
    real = _Real(cells["train"], cells["held_out"], Space(both, seed), Space(cells["train"], seed), donors)
    shadows = None
    if generator is not None and pool is not None:
        shadows = train_shadows(generator, pool, both, real.pooled, out, normalized=normalized, layer=layer, seed=seed)

    columns_of = {}
    for name, adata in tqdm({"value": synthetic, "floor": floor}.items(), desc="privacy", leave=False):
        published = read_published(adata, train, layer=layer, normalized=normalized)
        pooled = real.pooled.project(published)
        rows = _distance_attacks(real, pooled, fpr, seed)
        if shadows is not None:
            rows |= _shadow_rows(real, shadows.attack(pooled), fpr)
        columns_of[name] = rows | _nearest_records(real, published, quantile, seed)
    table = pd.DataFrame(columns_of).loc[[name for name in DESCRIPTIONS if name in columns_of["value"]]]
    chance = chance_tpr(min(len(real.held_out), MAX_CELLS), fpr)
    best = dict.fromkeys(("membership_auc", "donor_auc", "shadow_auc", "shadow_donor_auc", "dcr_share"), 0.5)
    best |= {
        "membership_tpr": chance,
        "shadow_tpr": chance_tpr(len(real.held_out), fpr),
        "copy_ratio": 1.0,
        "close_share": quantile,
    }
    table["best"] = [best.get(name, table.loc[name, "floor"]) for name in table.index]
    table["description"] = [DESCRIPTIONS[name].format(fpr=fpr, quantile=quantile) for name in table.index]
    return table.rename_axis("metric")
