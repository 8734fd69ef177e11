import numpy as np
from scipy.sparse import csr_matrix
from scipy.stats import wasserstein_distance


def library_size_distance(real: np.ndarray | csr_matrix, synthetic: np.ndarray | csr_matrix) -> float:
    """Distance between the distributions of log library size, a cell's total count.

    The 1-Wasserstein distance of log1p of the totals (natural log): 0.1 is as if every cell had 10% more counts.

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
    Library size is one of the cell-level properties that benchmarks of simulators compare (Crowell et al. 2023,
    doi:10.1186/s13059-023-02904-1).

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(5, (100, 500))
    >>> round(library_size_distance(counts, 2 * counts), 3)  # log 2
    0.693
    """
    real_sizes, synthetic_sizes = (np.asarray(x.sum(axis=1), dtype=np.float64).ravel() for x in (real, synthetic))
    return float(wasserstein_distance(np.log1p(real_sizes), np.log1p(synthetic_sizes)))
