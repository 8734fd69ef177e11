import numpy as np
from numpy.typing import ArrayLike
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score

from ._checks import as_labels, as_pair


def tstr_f1(
    real: ArrayLike,
    real_labels: ArrayLike,
    synthetic: ArrayLike,
    synthetic_labels: ArrayLike,
    *,
    n_trees: int = 500,
    seed: int = 0,
) -> float:
    """Train on synthetic cells, test on real ones: macro F1 of a random forest.

    Low if types are missing, mixed up or lack variety. The floor is the same forest trained on as many real cells.

    Parameters
    ----------
    real, real_labels
        Cells x features and their types to test on, never seen by the generator.
    synthetic, synthetic_labels
        Cells x features and their types to train on; :func:`~activa.metrics.evaluate` gives 50 principal components
        fitted on real cells for both.
    n_trees
        Trees of the forest (Gini, ``sqrt(n_features)`` a split).
    seed
        Seed of the forest.

    Returns
    -------
    The mean F1 over the types of ``real``, between 0 and 1; a type that is never predicted counts 0.

    Raises
    ------
    ValueError
        If the sets differ in features, hold non-finite values, or labels are not one a cell.

    References
    ----------
    Esteban et al. 2017, arXiv:1706.02633 (train on synthetic, test on real).

    Examples
    --------
    >>> cells = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> tstr_f1(cells, ["B", "B", "T", "T"], cells + 0.01, ["B", "B", "T", "T"], n_trees=50)
    1.0
    """
    real, synthetic = as_pair(real, synthetic, min_cells=1)
    real_labels = as_labels("real_labels", real_labels, len(real))
    synthetic_labels = as_labels("synthetic_labels", synthetic_labels, len(synthetic))
    forest = RandomForestClassifier(n_trees, criterion="gini", max_features="sqrt", random_state=seed, n_jobs=-1)
    predicted = forest.fit(synthetic, synthetic_labels).predict(real)
    types = np.unique(real_labels)
    return float(f1_score(real_labels, predicted, labels=types, average="macro", zero_division=0))
