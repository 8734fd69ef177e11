"""What metrics compute on: random halves of both sets of cells in one space, and what is known of each half."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, vstack
from sklearn.pipeline import Pipeline

from activa.data import Cells
from activa.metrics.detection import MAX_CELLS
from activa.metrics.differential import differential_shares, enough_cells
from activa.metrics.fidelity import fit_classifier, rank_genes
from activa.metrics.profiles import cell_profiles, effective_library_size
from activa.metrics.space import Space

N_SPLITS = 8  # each draws the cells of larger sets than it reads anew
_MIN_CELLS = 5  # of a half
_N_MARKERS = 20
_MIN_CELLS_OF_TYPE = 10


@dataclass(frozen=True, eq=False)
class CellSet:
    """All cells of one set, in the spaces of a comparison; each array is cells x features."""

    cells: Cells
    space: Space  # of the real cells
    components: np.ndarray  # fitted to real and synthetic cells
    near_train: np.ndarray  # components fitted to the training cells; without any, empty
    together: np.ndarray  # components fitted to training, real and synthetic cells; without any, empty
    gene_names: pd.Index
    effective_library: np.ndarray  # log effective library size; without counts, empty

    @cached_property
    def profiles(self) -> np.ndarray:
        """Facts of each cell."""
        return cell_profiles(self.cells.raw_counts, self.gene_names.tolist()).to_numpy()


@dataclass(frozen=True, eq=False)
class Training:
    """The training cells; each array is cells x features."""

    near_train: np.ndarray  # components fitted to them
    together: np.ndarray  # components fitted to training, real and synthetic cells

    def drawn(self, size: int, seed: int) -> np.ndarray:
        """At most ``size`` of them, in components fitted to all sets."""
        return self.together[np.random.default_rng(seed).permutation(len(self.together))[:size]]


@dataclass(frozen=True, eq=False)
class Sample:
    """Some cells of a set, and what the metrics need of them, each computed when it is first needed."""

    of: CellSet
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def cells(self) -> Cells:
        """Their values and types."""
        return self.of.cells.take(self.indices)

    @cached_property
    def components(self) -> np.ndarray:
        """Principal components fitted to real and synthetic cells."""
        return self.of.components[self.indices]

    @property
    def near_train(self) -> np.ndarray:
        """Principal components fitted to the training cells."""
        return self.of.near_train[self.indices]

    @property
    def together(self) -> np.ndarray:
        """Principal components fitted to training, real and synthetic cells."""
        return self.of.together[self.indices]

    @property
    def profiles(self) -> np.ndarray:
        """Facts of each cell."""
        return self.of.profiles[self.indices]

    @property
    def effective_library(self) -> np.ndarray:
        """Log effective library size of each cell."""
        return self.of.effective_library[self.indices]

    @cached_property
    def expression(self) -> csr_matrix:
        """Log-normalized expression of the genes of the space."""
        return self.cells.log_expression[:, self.of.space.genes]

    @cached_property
    def marker_expression(self) -> np.ndarray:
        """Log-normalized expression of the five best markers of each type."""
        return self.cells.log_expression[:, self.of.space.markers].toarray()

    @cached_property
    def classifier(self) -> Pipeline:
        """The classifier of label fidelity, trained on these cells."""
        return fit_classifier(self.components, self.cells.types)

    def recognize(self, other: Sample) -> np.ndarray:
        """The types that a classifier trained on these cells takes others for."""
        types = np.unique(self.cells.types)
        return self.classifier.predict(other.components) if len(types) > 1 else np.repeat(types, len(other))

    @cached_property
    def top_markers(self) -> dict[str, list[int]]:
        """The 20 best markers of each type among the genes of the space."""
        types, n_cells = np.unique(self.cells.types, return_counts=True)
        ranked = types[n_cells >= _MIN_CELLS_OF_TYPE].tolist() if len(types) > 1 else []
        return rank_genes(self.expression, self.cells.types, ranked, _N_MARKERS)

    @cached_property
    def differential_shares(self) -> dict[str, float]:
        """Shares of genes that differ between the two largest types of the real cells; empty with too few cells."""
        types = self.of.space.largest_types
        labels = self.cells.types
        return differential_shares(self.expression, labels, types=types) if enough_cells(labels, types) else {}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Cells to compare with as many real cells."""

    real: Sample
    synthetic: Sample
    training: Training
    seed: int

    def at_most(self, size: int) -> Comparison:
        """The first cells of both."""
        real, synthetic = (Sample(x.of, x.indices[:size]) for x in (self.real, self.synthetic))
        return Comparison(real, synthetic, self.training, self.seed)

    @property
    def components(self) -> tuple[np.ndarray, np.ndarray]:
        """Both in principal components fitted to all cells of both sets."""
        return self.real.components, self.synthetic.components

    @property
    def labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Types of both."""
        return self.real.cells.types, self.synthetic.cells.types

    @property
    def counts(self) -> tuple[csr_matrix, csr_matrix]:
        """Counts of both, cells x genes."""
        return self.real.cells.raw_counts, self.synthetic.cells.raw_counts


@dataclass(frozen=True, eq=False)
class Split:
    """Two halves of the real and of the synthetic cells."""

    whole: Comparison  # as many cells of both sets as a classifier reads
    values: tuple[Comparison, Comparison]  # halves of the synthetic cells, each next to a half of the real ones
    floor: Comparison  # the two halves of the real cells


class Splits:
    """Repeated random halves of real and of synthetic cells, in one space.

    Halves are drawn without regard to types. Halves with equal numbers of each type are more alike than two samples of one
    population, and a forest that has learned what is more frequent in one half's training part is then wrong in the rest:
    its area under the curve falls below chance.
    """

    def __init__(self, cells: Mapping[str, Cells], gene_names: pd.Index, seed: int, n_splits: int = N_SPLITS) -> None:
        rng = np.random.default_rng(seed)
        most = 2 * n_splits * MAX_CELLS  # more cells than that are never drawn
        real, synthetic = (cells[name].subsample(most, rng) for name in ("real", "synthetic"))
        self.n_cells = min(len(real), len(synthetic))
        self.half = min(self.n_cells // 2, MAX_CELLS)
        if self.half < _MIN_CELLS:
            raise ValueError(f"there are {self.n_cells} cells to compare; give {2 * _MIN_CELLS} in real and synthetic.")
        space = Space(real, seed)
        both = space.fit(real, synthetic)
        train = cells.get("train")  # changes neither the space nor the draws
        near_train = together = None
        if train is not None:
            near_train, together = Space(train, seed), space.fit(train, real, synthetic)

        def project(of: Cells) -> tuple[np.ndarray, np.ndarray]:
            none = np.empty((len(of), 0))
            near = none if near_train is None else near_train.project(of)
            return near, none if together is None else space.transform(together, of)

        # one cell is the reference of both sets
        depths = np.split(_effective_library(real, synthetic), [len(real)])
        self.real, self.synthetic = (
            CellSet(of, space, space.transform(both, of), *project(of), gene_names, depth)
            for of, depth in zip((real, synthetic), depths, strict=True)
        )
        self.training = Training(*project(real.take(np.arange(0)) if train is None else train))
        self.splits = [self._split(np.random.default_rng([seed, i]), i) for i in range(n_splits)]

    def _split(self, rng: np.random.Generator, i: int) -> Split:
        sets = self.real, self.synthetic
        orders = [rng.permutation(len(x.cells)) for x in sets]

        def compare(first: Sample, second: Sample) -> Comparison:
            return Comparison(first, second, self.training, i)

        def cut(start: int, size: int) -> list[Sample]:
            return [Sample(x, order[start : start + size]) for x, order in zip(sets, orders, strict=True)]

        whole, first, second = cut(0, min(self.n_cells, MAX_CELLS)), cut(0, self.half), cut(self.half, self.half)
        return Split(
            whole=compare(whole[0], whole[1]),
            values=(compare(first[0], first[1]), compare(second[0], second[1])),
            floor=compare(first[0], second[0]),
        )


def _effective_library(real: Cells, synthetic: Cells) -> np.ndarray:
    """Log effective library size of the cells of both sets; empty without counts."""
    if real.counts is None:
        return np.empty(0)
    return np.log1p(effective_library_size(vstack([real.counts, synthetic.raw_counts], format="csr")))
