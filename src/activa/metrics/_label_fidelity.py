import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression

from ._checks import as_labels, as_pair


def label_fidelity(
    real: ArrayLike, real_labels: ArrayLike, synthetic: ArrayLike, synthetic_labels: ArrayLike, *, seed: int = 0
) -> float:
    """Share of synthetic cells whose type an independent classifier recognizes.

    The classifier is a logistic regression (C = 10, features over the largest standard deviation among them) trained
    on real cells; it shares nothing with the model that made the cells. Held-out real cells give the floor, and that
    is where a perfect generator stands: above it, types are purer than they are; below it, cells are not what they
    are called.

    Parameters
    ----------
    real
        Cells x features that the classifier is trained on; :func:`~activa.metrics.evaluate` gives 50 principal
        components of the training cells, or without them of the real cells that it compares with.
    real_labels
        Types of ``real``.
    synthetic
        Cells x features to recognize.
    synthetic_labels
        Types that were asked for. Those that ``real`` lacks count as not recognized.
    seed
        Seed of the classifier.

    Returns
    -------
    The accuracy, between 0 and 1; NaN if ``real_labels`` name one type only.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values, or labels are not one a cell.

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


def recognize(real: np.ndarray, real_labels: np.ndarray, cells: np.ndarray, seed: int) -> np.ndarray:
    """Types of cells by the classifier of :func:`label_fidelity`, trained on real ones of two types at least."""
    # One scale for all features: the solver is slow without any, and one for each would raise the components of noise.
    scale = real.std(axis=0).max() or 1.0
    classifier = LogisticRegression(C=10, max_iter=5000, random_state=seed).fit(real / scale, real_labels)
    return classifier.predict(cells / scale)
