import numpy as np
from scipy.sparse import csr_matrix
from scipy.stats import wasserstein_distance


def genes_per_cell_distance(real: np.ndarray | csr_matrix, synthetic: np.ndarray | csr_matrix) -> float:
    """Distance between the distributions of the log number of genes detected in a cell.

    The 1-Wasserstein distance of log1p of the numbers of genes with a count (natural log): 0.1 is as if every cell had
    10% more genes.

    Parameters
    ----------
    real, synthetic
        Counts, cells x genes, dense or CSR; the number of cells may differ.

    Returns
    -------
    The distance, 0 or more; 0 is best, and two finite sets of real cells stand a little above it.

    Raises
    ------
    ValueError
        If a set has no cells.

    References
    ----------
    As for :func:`library_size_distance`; the share of genes detected is another of the properties compared there.

    Examples
    --------
    >>> counts = np.ones((10, 8), dtype=int)
    >>> round(genes_per_cell_distance(counts, counts[:, :4]), 3)  # log(9 / 5)
    0.588
    """
    real_genes, synthetic_genes = (np.asarray((x > 0).sum(axis=1)).ravel() for x in (real, synthetic))
    return float(wasserstein_distance(np.log1p(real_genes), np.log1p(synthetic_genes)))
