"""Type by type: scores of the model's classifier, and genes whose expression differs from that of real cells."""

from __future__ import annotations

import warnings
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix
from sklearn.metrics import classification_report

from activa.arguments import check_integers, check_numbers
from activa.data import Cells, check_sets
from activa.experiments.comparisons import REAL, Synthetic, read_sets
from activa.optional import import_optional
from activa.pl.output import documented
from activa.progress import progress

if TYPE_CHECKING:
    from activa.model import ACTIVA

_SUMMARIES = {"accuracy": "accuracy", "macro avg": "macro average", "weighted avg": "weighted average"}
_COLUMNS = {"precision": "precision", "recall": "recall", "f1-score": "f1", "support": "cells"}
_MIN_COUNTS = 10


@documented
def classifier_report(model: ACTIVA, train: AnnData, test: AnnData, *, labels_key: str) -> pd.DataFrame:
    """Precision, recall and F1 of the model's ACTINN classifier, type by type, on training and on test cells.

    Parameters
    ----------
    model, train, test, labels_key
        A trained model; its training cells and held-out cells, with the model's genes and counts; and the column of
        ``obs`` with the types. Errors are those of :meth:`activa.ACTIVA.predict`, or a KeyError or ValueError without
        types.

    Returns
    -------
    One row per set and type, and one each for ``"accuracy"``, ``"macro average"`` (types count equally) and ``"weighted
    average"`` (cells count equally): ``set`` (``"train"`` or ``"test"``), ``type``, ``precision``, ``recall``, ``f1``
    (from 0 to 1; in the accuracy's row ``f1`` is the accuracy, the others are NaN) and ``cells``. A predicted type
    without cells has a row of zeros, which counts in the macro average; a type never predicted has precision 0.
    {reference}

    Examples
    --------
    >>> classifier_report(model, train, held_out, labels_key="cell_type")  # doctest: +SKIP
    """
    sets, tables = {"train": train, "test": test}, []
    for name, adata in sets.items():
        # one at a time: predict checks that the genes are the model's
        check_sets({name: adata}, labels_key, None)
    for name, adata in sets.items():
        labels, predicted = (np.asarray(x, dtype=str) for x in (adata.obs[labels_key], model.predict(adata)))
        report = classification_report(labels, predicted, output_dict=True, zero_division=0)
        report["accuracy"] = {"f1-score": report["accuracy"], "support": len(labels)}
        table = pd.DataFrame.from_dict(report, orient="index", columns=list(_COLUMNS)).rename(columns=_COLUMNS)
        tables.append(table.rename(index=_SUMMARIES).rename_axis("type").reset_index().assign(set=name))
    table = pd.concat(tables, ignore_index=True).astype({"cells": int})
    return table[["set", "type", *_COLUMNS.values()]]


@documented
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

    Equally many real and generated cells of each type, as many as the fewer, are split at random into
    pseudo-replicates. DESeq2 (PyDESeq2, doi:10.1093/bioinformatics/btad547, an ImportError without the ``experiments``
    extra) tests the sums of their counts (Wald test, Benjamini-Hochberg within the type), as for differential states
    (doi:10.1038/s41467-020-19894-4). The replicates are not individuals: they differ by sampling alone, so more cells
    make smaller differences significant. Values that are ``normalized`` are summed and rounded.

    {parameters, compared, labels_key, layer, normalized}
    n_replicates, min_cells, alpha, seed
        Pseudo-replicates per set and type; the fewest cells of a type, in both sets, to test it; the adjusted p below
        which a gene is in a differential state; and the seed of the split, on which other sets have no effect.

    Returns
    -------
    One row per set, type and gene: ``set``, ``type``, ``gene``, ``cells`` (of the type on either side),
    ``log2_fold_change`` (generated over real), ``p``, ``p_adjusted`` and ``differential``. Genes with fewer than 10
    counts in a type, real and generated together, have no row. If DESeq2 gives no p (an outlier among the replicates)
    or no adjusted p (too few counts), it is NaN and the gene is not differential. The paper reports the share of genes
    that are not differential (figure S10): 100% is best, and a second held-out set shows the effect of chance.
    {errors, reference, example}
    """
    check_integers(least=2, n_replicates=n_replicates)
    check_integers(least=n_replicates, min_cells=min_cells)
    check_numbers(above=0, below=1, alpha=alpha)
    import_optional("pydeseq2", "differential_state", extra="experiments")
    cells = read_sets(real, synthetic, labels_key=labels_key, layer=layer, normalized=normalized)
    genes = real.var_names.astype(str).to_numpy()
    n_cells = {name: pd.Series(of.types).value_counts() for name, of in cells.items()}
    pairs = list(product(list(cells)[1:], enumerate(sorted(n_cells[REAL].index))))
    tables = []
    for name, (i, label) in progress(pairs, desc="Differential state", unit="type", delay=5):
        n = int(min(n_cells[REAL][label], n_cells[name].get(label, 0)))
        if n < min_cells:
            continue
        rng = np.random.default_rng([seed, i])
        sums = np.vstack([pseudobulk(key, cells[key], label, n, n_replicates, rng) for key in (REAL, name)])
        enough = sums.sum(axis=0) >= _MIN_COUNTS
        if not enough.any():
            raise ValueError(f"No gene has {_MIN_COUNTS} counts in {n} cells of {label!r}: raise min_cells.")
        table = pd.DataFrame({"set": name, "type": label, "gene": genes[enough], "cells": n})
        table[["log2_fold_change", "p", "p_adjusted"]] = deseq2(sums[:, enough], alpha)
        tables.append(table.assign(differential=table["p_adjusted"] < alpha))
    if not tables:
        raise ValueError(f"No type has min_cells={min_cells} cells both real and in a set: lower it.")
    return pd.concat(tables, ignore_index=True)


def pseudobulk(name: str, cells: Cells, label: str, n: int, n_replicates: int, rng: np.random.Generator) -> np.ndarray:
    """Whole summed counts of ``n`` cells of a type in random parts, ``(n_replicates, n_genes)``."""
    of_type = cells.take(rng.permutation(np.flatnonzero(cells.types == label))[:n])
    counts = of_type.log_expression.expm1() if of_type.counts is None else of_type.counts
    parts = csr_matrix((np.ones(n), (np.arange(n) % n_replicates, np.arange(n))), shape=(n_replicates, n))
    sums = np.rint((parts @ counts.astype(np.float64)).toarray()).astype(int)
    if not sums.any(axis=1).all():
        raise ValueError(f"{name} has a pseudo-replicate of {label!r} without counts: remove its empty cells.")
    return sums


def deseq2(sums: np.ndarray, alpha: float) -> np.ndarray:
    """log2 fold change of the second half of the rows over the first, p and adjusted p, ``(n_genes, 3)``."""
    dds, ds, inference = (
        import_optional(f"pydeseq2.{module}", "differential_state", extra="experiments")
        for module in ("dds", "ds", "default_inference")
    )
    counts = pd.DataFrame(sums).rename(index=str, columns="gene{}".format)
    metadata = pd.DataFrame({"condition": np.repeat(["real", "synthetic"], len(sums) // 2)}, index=counts.index)
    # a type takes seconds: more processes cost more than they gain
    settings = {"inference": inference.DefaultInference(n_cpus=1), "quiet": True}
    with warnings.catch_warnings():
        # on future pandas, and on fits that fall back on a simpler form
        warnings.simplefilter("ignore")
        # "ratio" needs a gene with counts in every replicate
        fit = {"size_factors_fit_type": "ratio" if (sums > 0).all(axis=0).any() else "poscounts"}
        data = dds.DeseqDataSet(counts=counts, metadata=metadata, design="~condition", **fit, **settings)
        data.deseq2()
        test = ds.DeseqStats(data, contrast=["condition", "synthetic", "real"], alpha=alpha, **settings)
        test.summary()
    return test.results_df[["log2FoldChange", "pvalue", "padj"]].to_numpy()
