"""All attacks on one set of synthetic cells, next to those on real cells in their place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from activa.arguments import check_numbers
from activa.data import Cells, check_labels, check_sets, halves, read_cells, strings, subsample
from activa.metrics import copying
from activa.metrics.evaluation import Metric, tabulate
from activa.metrics.privacy.shadow_models import Generator, Shadows, left_out, pool_sets, read_published, train_shadows
from activa.metrics.space import Space

_MIN_CELLS = 20
_MAX_CELLS = 10_000  # of a set whose distances to all cells of another set are computed


@dataclass(frozen=True, eq=False)
class _Attack:
    """Training and held-out cells, published cells by which to tell them apart, and what the metrics compute on."""

    train: Cells
    held_out: Cells
    published: Cells
    joint_space: Space  # fitted to training and held-out cells: neutral about which were in the training set
    train_space: Space  # fitted to the training cells, for distances of other cells to these
    donors: np.ndarray | None
    shadows: Shadows | None
    seed: int

    @cached_property
    def joint_components(self) -> tuple[np.ndarray, ...]:
        """Training, held-out and published cells in the joint space."""
        return tuple(self.joint_space.project(cells) for cells in (self.train, self.held_out, self.published))

    @cached_property
    def _chosen(self) -> list[np.ndarray]:
        """Indices of the training, held-out and published cells that are used if there are too many."""
        rng = np.random.default_rng(self.seed)
        sets = (self.train, self.held_out, self.published)
        return [subsample(len(cells), _MAX_CELLS, rng) for cells in sets]

    @cached_property
    def distance_scores(self) -> list[np.ndarray]:
        """Negative distances of training and of held-out cells to the nearest published cell."""
        *candidates, published = self.joint_components
        return [-copying.nearest(x[chosen], published) for x, chosen in zip(candidates, self._chosen, strict=False)]

    @cached_property
    def shadow_scores(self) -> list[np.ndarray]:
        """Log odds of membership of training and of held-out cells."""
        assert self.shadows is not None
        return np.split(self.shadows.attack(self.joint_components[2]), [len(self.train)])

    @property
    def dcr_share(self) -> float:
        train, held_out, published = self.joint_components
        return copying.dcr_share(train, held_out, published[self._chosen[2]])

    @property
    def donor_auc(self) -> float:
        cells = np.concatenate([self._chosen[0], len(self.train) + self._chosen[1]])
        return self._donor_auc(self.distance_scores, cells)

    @property
    def shadow_donor_auc(self) -> float:
        return self._donor_auc(self.shadow_scores, np.arange(len(self.train) + len(self.held_out)))

    def _donor_auc(self, scores: list[np.ndarray], cells: np.ndarray) -> float:
        assert self.donors is not None
        return copying.donor_auc(
            np.concatenate(scores), self.donors[cells], np.repeat([True, False], [*map(len, scores)])
        )

    @cached_property
    def near_train(self) -> tuple[np.ndarray, ...]:
        """Training, held-out and published cells in the components of the training cells."""
        space, rng = self.train_space, np.random.default_rng(self.seed)
        others = (space.project(cells.subsample(_MAX_CELLS, rng)) for cells in (self.held_out, self.published))
        return space.reference_components, *others

    @property
    def exact_copies(self) -> float:
        sets = (self.train, self.published)
        return copying.exact_copies(*(cells.log_expression if cells.counts is None else cells.counts for cells in sets))


def _metrics(fpr: float, quantile: float, n_held_out: int) -> dict[str, Metric[_Attack]]:
    """The metrics by name, in the order of the table."""
    return {
        "membership_auc": Metric(
            lambda a: copying.auc(*a.distance_scores),
            "How well closeness to synthetic cells tells training from held-out cells (AUC): 0.5 is not at all.",
            best=0.5,
        ),
        "membership_tpr": Metric(
            lambda a: copying.tpr_at_fpr(*a.distance_scores, fpr=fpr),
            f"Share of training cells it finds at {fpr:.3g} false accusations of held-out cells; best is chance.",
            best=copying.chance_tpr(min(n_held_out, _MAX_CELLS), fpr),
        ),
        "donor_auc": Metric(
            lambda a: a.donor_auc,
            "The same attack on whole donors, by the mean over their cells (AUC over donors): 0.5 is not at all.",
            best=0.5,
            needs=("donors",),
        ),
        "shadow_auc": Metric(
            lambda a: copying.auc(*a.shadow_scores),
            "How well an attack learnt on shadow generators tells training from held-out cells (AUC).",
            best=0.5,
            needs=("shadows",),
        ),
        "shadow_tpr": Metric(
            lambda a: copying.tpr_at_fpr(*a.shadow_scores, fpr=fpr),
            f"Share of training cells it finds at {fpr:.3g} false accusations of held-out cells; best is chance.",
            best=copying.chance_tpr(n_held_out, fpr),
            needs=("shadows",),
        ),
        "shadow_donor_auc": Metric(
            lambda a: a.shadow_donor_auc,
            "That attack on whole donors (AUC over donors).",
            best=0.5,
            needs=("shadows", "donors"),
        ),
        "dcr_share": Metric(
            lambda a: a.dcr_share,
            "Share of synthetic cells nearer to a training than to any held-out cell, at equal weight: 0.5 is best.",
            best=0.5,
        ),
        "copy_ratio": Metric(
            lambda a: copying.copy_ratio(*a.near_train),
            "Median distance to the nearest training cell over that of held-out cells: 1 is best, below is copying.",
            best=1.0,
        ),
        "close_share": Metric(
            lambda a: copying.close_share(*a.near_train, quantile=quantile),
            f"Share closer to a training cell than the closest {quantile:.3g} of held-out cells: above it are copies.",
            best=quantile,
        ),
        "nndr": Metric(
            lambda a: copying.nndr(a.near_train[0], a.near_train[2]),
            "Median ratio of distances to the nearest and second training cell: best at the floor, near 0 are copies.",
        ),
        "exact_copies": Metric(
            lambda a: a.exact_copies,
            "Share of synthetic cells with the values of a training cell in all genes: best is 0 or the floor.",
        ),
    }


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
        raise ValueError(
            f"held_out has {len(names)} donors in {donor_key!r}; without floor at least four are needed, to split them "
            "into halves. Hold out more donors, or leave donor_key out."
        )
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
    takes the place of the synthetic cells for the floor, from which attacks learn only by chance.

    Cells are compared as log1p of counts scaled to 10,000, over the 2,000 genes with the largest variance and 50
    principal components: of training and attacked held-out cells to tell these apart, and of training cells for the
    distances of other cells to them.

    Parameters
    ----------
    train
        All cells that the generator was trained on: cells x genes of counts.
    held_out
        Real cells of the same population that it has not seen, with the same genes in any order; at least hundreds.
    synthetic
        Its cells, as published.
    labels_key
        Column of ``obs`` with the types, in the real sets: the held-out cells are then split type by type.
    donor_key
        Column of ``obs`` with the donors, in the real sets, which must not share donors. Adds attacks on whole donors
        and splits the held-out cells by donor.
    floor
        More held-out real cells to take the place of the synthetic ones; ``held_out`` is then not split.
    generator, n_shadows
        As in :func:`shadow_attack`, which a generator adds, with its run time.
    fpr
        Share of held-out cells that an attack may wrongly accuse in the rows named ``tpr``.
    quantile
        Quantile of the held-out cells' distances, for ``close_share``.
    layer, normalized, seed
        As in :func:`activa.metrics.evaluate`.

    Returns
    -------
    A table with one row per metric (index ``metric``): ``value`` of the synthetic cells, ``floor`` of real cells,
    ``best`` value of a generator that reveals nothing, and ``description``. Above 10,000 cells, distances are computed
    for a subsample. For n attacked cells on each side, the standard error of an AUC is 0.41 over the root of n.

    Raises
    ------
    KeyError, TypeError, ValueError
        As in :func:`activa.metrics.evaluate`; if a set has fewer than 20 cells; if a donor is in two sets, or if there
        are too few donors or shadows.

    Examples
    --------
    >>> activa.metrics.privacy.evaluate(train, held_out, synthetic, labels_key="cell_type")  # doctest: +SKIP
    """
    check_numbers(above=0, below=1, fpr=fpr, quantile=quantile)
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
    joint_space, train_space = Space(both, seed), Space(read["train"], seed)
    shadows = None
    if generator is not None:
        shadows = train_shadows(generator, pool, both, joint_space, out, seed, form)
    attacks = (
        _Attack(*read.values(), read_published(cells, train, **form), joint_space, train_space, donors, shadows, seed)
        for cells in (synthetic, floor)
    )
    given = {"donors": donors, "shadows": shadows}
    metrics = _metrics(fpr, quantile, len(read["held_out"]))
    chosen = {name: x for name, x in metrics.items() if all(given[need] is not None for need in x.needs)}
    return tabulate(chosen, *attacks)
