"""Facts of cells that benchmarks of simulators compare: depth, genes, concentration, effective library size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from scipy.stats import rankdata

_FAMILIES = {"mitochondrial": ("MT-", "mt-"), "ribosomal": ("RPS", "RPL", "Rps", "Rpl")}
_MIN_FAMILY = 3  # a single gene that happens to have such a name is no family
_TRIM_RATIO, _TRIM_LEVEL = 0.3, 0.05


def stored_counts(counts: np.ndarray | csr_matrix) -> csr_matrix:
    """Copy of the counts as float64 that stores no zeros, so that what is stored is what was detected."""
    x = csr_matrix(counts, dtype=np.float64, copy=True)
    x.eliminate_zeros()
    return x


def cell_profiles(counts: np.ndarray | csr_matrix, var_names: Sequence[str] | None = None) -> pd.DataFrame:
    """Facts of each cell of cells x genes counts, from the counts of this cell alone.

    The columns are those that quality control of single cells starts from (McCarthy et al. 2017,
    doi:10.1093/bioinformatics/btw777) and that benchmarks of simulators compare (Crowell et al. 2023,
    doi:10.1186/s13059-023-02904-1). An empty cell has zeros.

    Parameters
    ----------
    counts
        Counts, cells x genes.
    var_names
        Names of the genes, from which families of genes are known.

    Returns
    -------
    pandas.DataFrame
        One row per cell: ``log_counts`` and ``genes`` (log1p of the total count and of the number of detected genes),
        ``largest_share`` (share of the counts that the largest gene has), ``ones_share`` (share of ones among the
        non-zero counts), ``concentration`` (sum of the squared shares of genes), and, where at least three genes are
        named so, ``mitochondrial_share`` (MT- or mt-) and ``ribosomal_share`` (RPS, RPL, Rps or Rpl).

    Raises
    ------
    ValueError
        If ``var_names`` has not one name per gene.

    Examples
    --------
    >>> cell_profiles(np.array([[3, 1, 0, 0], [0, 0, 0, 0]])).round(3)
       log_counts  genes  largest_share  ones_share  concentration
    0       1.609  1.099           0.75         0.5          0.625
    1       0.000  0.000           0.00         0.0          0.000
    """
    x = stored_counts(counts)
    n_cells, n_genes = x.shape
    if var_names is not None and len(var_names) != n_genes:
        raise ValueError(f"var_names must hold one name per gene ({n_genes}), got {len(var_names)}.")

    def sums(values: np.ndarray) -> np.ndarray:
        return np.asarray(csr_matrix((values, x.indices, x.indptr), shape=x.shape).sum(axis=1)).ravel()

    detected = np.diff(x.indptr)
    totals = sums(x.data)
    # Whatever is divided by the counts of an empty cell is 0 itself.
    per_count = 1 / np.where(totals == 0, 1, totals)
    largest = x.max(axis=1).toarray().ravel() if n_genes else np.zeros(n_cells)
    profiles = {
        "log_counts": np.log1p(totals),
        "genes": np.log1p(detected),
        "largest_share": largest * per_count,
        "ones_share": sums((x.data == 1).astype(np.float64)) / np.maximum(detected, 1),
        "concentration": sums(x.data**2) * per_count**2,
    }
    names = () if var_names is None else var_names
    for family, prefixes in _FAMILIES.items():
        members = np.array([str(name).startswith(prefixes) for name in names], dtype=bool)
        if members.sum() >= _MIN_FAMILY:
            profiles[f"{family}_share"] = x @ members.astype(np.float64) * per_count
    return pd.DataFrame(profiles)


def effective_library_size(counts: np.ndarray | csr_matrix) -> np.ndarray:
    """Effective library size of each cell: its total count times its TMM factor; 0 for an empty cell.

    The factors are trimmed means of M values (Robinson and Oshlack 2010, doi:10.1186/gb-2010-11-3-r25) as edgeR's
    calcNormFactors computes them, with geometric mean 1. The reference is the cell with the largest sum of square roots
    of counts, which is edgeR's choice if most cells detect less than a quarter of the genes. Python packages serve bulk
    samples: rnanorm 2.2.0 divides by 0 if a cell is so sparse, then takes the first cell as its reference, and needs
    four times as long (0.4 s for 500 cells x 2,000 genes); conorm 1.2.0 fails with numpy 2.4 and later.

    Examples
    --------
    >>> counts = np.array([[20, 20, 20, 20], [20, 20, 20, 940]])  # one gene takes most counts of the second cell
    >>> effective_library_size(counts).round(1).tolist()
    [282.8, 282.8]
    """
    x = stored_counts(counts)
    sizes = np.asarray(x.sum(axis=1)).ravel()
    if not sizes.any():
        return sizes
    reference = x[[int(np.argmax(x.sqrt().sum(axis=1)))]].toarray().ravel()
    x = x[:, reference > 0]
    expected = reference[reference > 0][x.indices]
    share, reference_share = x.data / np.repeat(sizes, np.diff(x.indptr)), expected / reference.sum()
    ratio, level = np.log2(share / reference_share), np.log2(share * reference_share) / 2
    with np.errstate(divide="ignore"):
        weight = 1 / ((1 - share) / x.data + (1 - reference_share) / expected)
    factors = np.ones(len(sizes))
    for cell, (start, stop) in enumerate(zip(x.indptr[:-1], x.indptr[1:], strict=True)):
        genes = slice(start, stop)
        kept = np.isfinite(weight[genes])
        for values, trim in ((ratio[genes], _TRIM_RATIO), (level[genes], _TRIM_LEVEL)):
            # Ranks and not quantiles: small counts have many ties, of which edgeR keeps all or none.
            n_trimmed, ranks = np.floor((stop - start) * trim), rankdata(values)
            kept &= (ranks >= n_trimmed + 1) & (ranks <= stop - start - n_trimmed)
        if kept.any():
            factors[cell] = 2 ** np.average(ratio[genes][kept], weights=weight[genes][kept])
    return sizes * factors / np.exp(np.log(factors[sizes > 0]).mean())
