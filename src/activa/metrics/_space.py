from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.utils.sparsefuncs import mean_variance_axis

from activa.data import Cells, subsample

from ._correlation import top_markers

N_GENES = 2000
N_COMPONENTS = 50
MAX_FITTED = 20_000
"""Most cells that principal components are fitted on."""
_DENSE_CELLS = 10_000


def variable_genes(log_expression: csr_matrix, n_genes: int = N_GENES) -> np.ndarray:
    """Sorted indices of the genes of largest variance."""
    variance = mean_variance_axis(log_expression, axis=0)[1]
    if not variance.any():
        msg = "no gene varies among the real (or training) cells; there is nothing to compare."
        raise ValueError(msg)
    return np.sort(np.argsort(-variance, kind="stable")[:n_genes])


class Space:
    """The 2,000 genes of largest variance in a reference, its 50 principal components and its markers.

    All sets are projected with the mean of the cells that the components were fitted on subtracted; each set's own
    mean would hide a shift between them. With fewer cells or genes there are fewer components. They are fitted on
    20,000 cells at most, drawn in the proportions of the types, and where they are fitted on two sets, on 10,000 of
    each.
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
        """The cells in these components, no more of them dense at a time than memory is sure to hold."""
        starts = range(0, len(cells), _DENSE_CELLS)
        blocks = (cells.log_expression[start : start + _DENSE_CELLS] for start in starts)
        return np.vstack([pca.transform(self._dense(block)) for block in blocks])

    @cached_property
    def _pca(self) -> PCA:
        return self._fit(self.reference)

    @cached_property
    def reference_components(self) -> np.ndarray:
        """The reference in its own principal components."""
        return self.project(self.reference)

    @cached_property
    def markers(self) -> np.ndarray:
        """The top five markers of each type of the reference."""
        return top_markers(self.reference.log_expression, self.reference.types)

    def project(self, cells: Cells) -> np.ndarray:
        """The cells in the reference's components."""
        return self._transform(self._pca, cells)

    def project_together(self, first: Cells, second: Cells, *others: Cells) -> tuple[np.ndarray, ...]:
        """All sets in components fitted on the first two."""
        pca = self._fit(first, second)
        return tuple(self._transform(pca, cells) for cells in (first, second, *others))
