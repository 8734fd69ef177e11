"""The genes, principal components and markers in which sets of cells are compared."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.utils.sparsefuncs import mean_variance_axis

from activa.data import Cells, subsample
from activa.metrics.differential import largest_types
from activa.metrics.fidelity import top_markers

N_GENES = 2000
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

    def fit(self, *sets: Cells) -> PCA:
        """Principal components of all sets together."""
        rng = np.random.default_rng(self._seed)
        size = MAX_FITTED // len(sets)
        fitted = (cells.log_expression[subsample(len(cells), size, rng, cells.labels)] for cells in sets)
        expression = np.vstack([self._dense(log_expression) for log_expression in fitted])
        n_components = min(N_COMPONENTS, len(expression) - 1, expression.shape[1])
        return PCA(n_components, random_state=self._seed).fit(expression)

    def transform(self, pca: PCA, cells: Cells) -> np.ndarray:
        """Components of the cells, in blocks that fit into memory when dense."""
        starts = range(0, len(cells), DENSE_CELLS)
        blocks = (cells.log_expression[start : start + DENSE_CELLS] for start in starts)
        return np.vstack([pca.transform(self._dense(block)) for block in blocks])

    @cached_property
    def _pca(self) -> PCA:
        return self.fit(self.reference)

    @cached_property
    def reference_components(self) -> np.ndarray:
        """The reference in its own principal components, cells x components."""
        return self.project(self.reference)

    @cached_property
    def largest_types(self) -> list[str]:
        """The two types of the reference with most cells."""
        return largest_types(self.reference.types)

    @cached_property
    def markers(self) -> np.ndarray:
        """Indices of the top five markers of each type of the reference."""
        return top_markers(self.reference.log_expression, self.reference.types)

    def project(self, cells: Cells) -> np.ndarray:
        """The cells in the principal components of the reference, cells x components."""
        return self.transform(self._pca, cells)

    def project_together(self, first: Cells, second: Cells, *others: Cells) -> tuple[np.ndarray, ...]:
        """All sets in principal components fitted to the first two."""
        pca = self.fit(first, second)
        return tuple(self.transform(pca, cells) for cells in (first, second, *others))
