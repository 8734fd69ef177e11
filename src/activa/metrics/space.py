"""What metrics compute on: the genes, principal components and markers in which two sets of cells are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.utils.sparsefuncs import mean_variance_axis

from activa.data import Cells, halves, subsample
from activa.metrics.fidelity import top_markers

N_GENES = 2000
_MIN_CELLS = 5
N_COMPONENTS = 50
MAX_FITTED = 20_000  # cells to which principal components are fitted
DENSE_CELLS = 10_000  # cells that are dense at a time


def variable_genes(log_expression: csr_matrix, n_genes: int = N_GENES) -> np.ndarray:
    """Sorted indices of the genes with the largest variance."""
    variance = mean_variance_axis(log_expression, axis=0)[1]
    if not variance.any():
        raise ValueError("no gene varies among the real (or training) cells; give cells that differ.")
    return np.sort(np.argsort(-variance, kind="stable")[:n_genes])


class Space:
    """The 2,000 genes with the largest variance in a reference, its 50 principal components and its markers.

    All sets are projected after subtraction of one mean, that of the (at most 20,000) cells to which the components
    were fitted: each set's own mean would hide a shift. Few cells or genes give fewer components.
    """

    def __init__(self, reference: Cells, seed: int) -> None:
        self.reference = reference
        self.genes = variable_genes(reference.log_expression)
        self._seed = seed

    def _dense(self, log_expression: csr_matrix) -> np.ndarray:
        return log_expression[:, self.genes].toarray()

    def _fit(self, *sets: Cells) -> PCA:
        rng = np.random.default_rng(self._seed)
        size = MAX_FITTED // len(sets)
        fitted = (cells.log_expression[subsample(len(cells), size, rng, cells.labels)] for cells in sets)
        expression = np.vstack([self._dense(log_expression) for log_expression in fitted])
        n_components = min(N_COMPONENTS, len(expression) - 1, expression.shape[1])
        return PCA(n_components, random_state=self._seed).fit(expression)

    def _transform(self, pca: PCA, cells: Cells) -> np.ndarray:
        """Components of the cells, in blocks that fit into memory when dense."""
        starts = range(0, len(cells), DENSE_CELLS)
        blocks = (cells.log_expression[start : start + DENSE_CELLS] for start in starts)
        return np.vstack([pca.transform(self._dense(block)) for block in blocks])

    @cached_property
    def _pca(self) -> PCA:
        return self._fit(self.reference)

    @cached_property
    def reference_components(self) -> np.ndarray:
        """The reference in its own principal components, cells x components."""
        return self.project(self.reference)

    @cached_property
    def markers(self) -> np.ndarray:
        """Indices of the top five markers of each type of the reference."""
        return top_markers(self.reference.log_expression, self.reference.types)

    def project(self, cells: Cells) -> np.ndarray:
        """The cells in the principal components of the reference, cells x components."""
        return self._transform(self._pca, cells)

    def project_together(self, first: Cells, second: Cells, *others: Cells) -> tuple[np.ndarray, ...]:
        """All sets in principal components fitted to the first two."""
        pca = self._fit(first, second)
        return tuple(self._transform(pca, cells) for cells in (first, second, *others))


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two sets of cells, and what the metrics compute on, each computed when it is first needed."""

    real: Cells
    synthetic: Cells
    space: Space
    has_train: bool  # whether the reference of the space is the training cells instead of the real cells
    seed: int

    @cached_property
    def components(self) -> tuple[np.ndarray, np.ndarray]:
        """Both sets in components of the training cells, or without these in joint ones: its own spread a set wider."""
        if not self.has_train:
            return self.joint_components
        return self.space.project(self.real), self.space.project(self.synthetic)

    @cached_property
    def joint_components(self) -> tuple[np.ndarray, np.ndarray]:
        """Both sets in principal components fitted to both."""
        real, synthetic = self.space.project_together(self.real, self.synthetic)
        return real, synthetic

    @property
    def attacked_components(self) -> tuple[np.ndarray, ...]:
        """As many training as real cells, real and synthetic cells, in components fitted to the first two."""
        members = self.space.reference.subsample(len(self.real), np.random.default_rng(self.seed))
        return self.space.project_together(members, self.real, self.synthetic)

    @property
    def labeled_reference(self) -> tuple[np.ndarray, np.ndarray]:
        """Components and types of the training cells, or without these of the real cells."""
        if self.has_train:
            return self.space.reference_components, self.space.reference.types
        return self.components[0], self.real.types

    @cached_property
    def markers(self) -> tuple[np.ndarray, np.ndarray]:
        """Log-normalized expression of the reference's markers in both sets."""
        real, synthetic = (x.log_expression[:, self.space.markers].toarray() for x in (self.real, self.synthetic))
        return real, synthetic


def same_size(sets: Sequence[Cells], rng: np.random.Generator) -> list[Cells]:
    """All sets subsampled to the size of the smallest."""
    if (size := min(len(cells) for cells in sets)) < _MIN_CELLS:
        raise ValueError(
            f"there are {size} cells to compare; give {_MIN_CELLS} in synthetic, floor and (half of) real."
        )
    return [cells.subsample(size, rng) for cells in sets]


def compare(cells: Mapping[str, Cells], seed: int) -> tuple[Comparison, Comparison]:
    """Synthetic cells, and other real cells in their place, each next to as many real cells."""
    rng = np.random.default_rng(seed)
    first, second = cells["real"], cells.get("floor")
    if second is None:
        first, second = (cells["real"].take(half) for half in halves(len(first), rng, first.labels))
    space = Space(cells.get("train", first), seed)
    first, synthetic, second = same_size([first, cells["synthetic"], second], rng)
    has_train = "train" in cells
    return Comparison(first, synthetic, space, has_train, seed), Comparison(first, second, space, has_train, seed)
