"""Genes whose mean expression differs between real and generated cells of a type."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix
from tqdm.auto import tqdm

from activa.data import Cells
from activa.experiments._sets import REAL, Synthetic, read
from activa.optional import import_optional

_MIN_COUNTS = 10


def differential_state(
    real: AnnData,
    synthetic: Synthetic,
    *,
    labels_key: str,
    n_replicates: int = 5,
    min_cells: int = 20,
    alpha: float = 0.05,
    layer: str | None = None,
    normalized: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Test each gene of each type for a difference between real and generated cells, by pseudobulk.

    Of each type as many real as generated cells, all of the fewer, are split at random into pseudo-replicates. Their counts
    are summed, and DESeq2 tests the sums (Wald test, Benjamini-Hochberg within the type). The replicates are no
    individuals: they differ by sampling alone, so that the more cells, the smaller the differences that are found.

    Parameters
    ----------
    real, synthetic, layer
        As of :func:`activa.experiments.rf_detection`.
    labels_key
        Column of ``obs`` with the types, in every set.
    n_replicates
        Pseudo-replicates of each set and type.
    min_cells
        Types with fewer cells than this, real or in the set, are left out of it.
    alpha
        Adjusted p below which a gene is in a differential state.
    normalized
        All sets hold log1p of counts scaled to 10,000 a cell: what is summed is then the scaled counts, and the sums are
        rounded.
    seed
        Seed of the draw and the split. A set's results do not depend on the other sets.

    Returns
    -------
    A row a set, type and gene: ``set``, ``type``, ``gene``, ``cells`` (of the type, drawn from either side),
    ``log2_fold_change`` (generated over real), ``p``, ``p_adjusted``, and ``differential``. Genes with fewer than 10 counts
    in a type, real and generated together, are not tested and have no row. Where DESeq2 gives no p (an outlier among
    the replicates) or no adjusted p (too few counts for any power), it is NaN and the gene is not differential. The share
    of genes that are not is the paper's; 100% is best, and a second held-out set tells what chance leaves of it.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`activa.experiments.rf_detection`; if ``n_replicates``, ``min_cells`` or ``alpha`` is out of range, no type
        has enough cells in any set, or all cells of a replicate are empty.
    ImportError
        Without PyDESeq2, which the ``experiments`` extra installs.

    References
    ----------
    Figure S10 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095; Crowell et al. 2020,
    doi:10.1038/s41467-020-19894-4 (differential state); Muzellec et al. 2023, doi:10.1093/bioinformatics/btad547
    (PyDESeq2).

    Examples
    --------
    >>> table = differential_state(held_out, {"ACTIVA": synthetic, "held out": floor}, labels_key="cell_type")
    >>> 1 - table.groupby(["set", "type"])["differential"].mean()
    >>> activa.pl.differential_state(table)
    """
    if n_replicates < 2:
        raise ValueError(f"n_replicates must be at least 2, for replicates to vary, got {n_replicates}.")
    if min_cells < n_replicates:
        raise ValueError(
            f"min_cells must be at least n_replicates={n_replicates}, a cell for each, got {min_cells}: raise it."
        )
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, got {alpha}.")
    import_optional("pydeseq2", "differential_state", extra="experiments")
    cells = read(real, synthetic, labels_key=labels_key, layer=layer, normalized=normalized)
    types = [str(label) for label in np.unique(cells[REAL].types)]
    n_cells = {
        (name, label): min((cells[REAL].types == label).sum(), (of.types == label).sum())
        for name, of in cells.items()
        if name != REAL
        for label in types
    }
    tested = {pair: n for pair, n in n_cells.items() if n >= min_cells}
    if not tested:
        raise ValueError(f"No type has {min_cells} cells both real and in a set: lower min_cells or give more cells.")
    genes = real.var_names.astype(str).to_numpy()
    tables = []
    for (name, label), n in tqdm(tested.items(), desc="Differential state", unit="type", delay=5, leave=False):
        rng = np.random.default_rng([seed, types.index(label)])
        sums = np.vstack([_pseudobulk(cells[key], label, n, n_replicates, rng) for key in (REAL, name)])
        if (empty := sums.sum(axis=1) == 0).any():
            raise ValueError(
                f"{REAL if empty.argmax() < n_replicates else name} has a pseudo-replicate of {label!r} without counts: "
                "remove its empty cells."
            )
        enough = sums.sum(axis=0) >= _MIN_COUNTS
        if not enough.any():
            raise ValueError(f"No gene has {_MIN_COUNTS} counts in {n} cells of {label!r}: raise min_cells.")
        table = pd.DataFrame({"set": name, "type": label, "gene": genes[enough], "cells": n})
        columns = ["log2_fold_change", "p", "p_adjusted"]
        table[columns] = _deseq2(sums[:, enough], alpha)
        tables.append(table.assign(differential=table["p_adjusted"] < alpha))
    return pd.concat(tables, ignore_index=True)


def _pseudobulk(cells: Cells, label: str, n: int, n_replicates: int, rng: np.random.Generator) -> np.ndarray:
    """Summed counts of ``n`` cells of a type in random parts, ``(n_replicates, n_genes)``, whole."""
    of_type = cells.take(rng.permutation(np.flatnonzero(cells.types == label))[:n])
    counts = of_type.log_expression.expm1() if of_type.counts is None else of_type.counts
    parts = csr_matrix((np.ones(n), (np.arange(n) % n_replicates, np.arange(n))), shape=(n_replicates, n))
    return np.rint((parts @ counts.astype(np.float64)).toarray()).astype(int)


def _deseq2(sums: np.ndarray, alpha: float) -> np.ndarray:
    """log2 fold change of the second half of the rows over the first, p and adjusted p: ``(n_genes, 3)``."""
    dds, ds, inference = (
        import_optional(f"pydeseq2.{module}", "differential_state", extra="experiments")
        for module in ("dds", "ds", "default_inference")
    )
    names = [str(i) for i in range(len(sums))]
    condition = np.repeat(["real", "synthetic"], len(sums) // 2)
    # Processes cost more than they gain: a type takes seconds.
    one_cpu = inference.DefaultInference(n_cpus=1)
    with warnings.catch_warnings():
        # They are about pandas to come, and fits that fall back on a simpler form; a user can do nothing about either.
        warnings.simplefilter("ignore")
        data = dds.DeseqDataSet(
            counts=pd.DataFrame(sums, index=names, columns=[f"gene{i}" for i in range(sums.shape[1])]),
            metadata=pd.DataFrame({"condition": condition}, index=names),
            design="~condition",
            # The ratio needs a gene that no replicate lacks.
            size_factors_fit_type="ratio" if (sums > 0).all(axis=0).any() else "poscounts",
            inference=one_cpu,
            quiet=True,
        )
        data.deseq2()
        test = ds.DeseqStats(
            data, contrast=["condition", "synthetic", "real"], alpha=alpha, inference=one_cpu, quiet=True
        )
        test.summary()
    return test.results_df[["log2FoldChange", "pvalue", "padj"]].to_numpy()
