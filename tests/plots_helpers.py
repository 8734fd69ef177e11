"""What tests of plots read from counts and from Axes."""

import numpy as np
from matplotlib.colors import to_hex
from scipy.sparse import csr_matrix

REAL, SYNTHETIC = "#0072b2", "#e69f00"


def in_order(sets):
    """Dense counts of both, with the genes of the first."""
    return [adata[:, sets[0].var_names].X.toarray() for adata in sets]


def without_counts(adata, cells, genes):
    """A copy, with zeros for these cells and genes."""
    adata, counts = adata.copy(), adata.X.toarray()
    counts[cells, genes] = 0
    adata.X = csr_matrix(counts)
    return adata


def points(ax, color):
    """All points of a color, sorted."""
    drawn = [np.asarray(c.get_offsets()) for c in ax.collections if to_hex(c.get_facecolor()[0]) == color]
    return np.array(sorted(map(tuple, np.concatenate(drawn))))
