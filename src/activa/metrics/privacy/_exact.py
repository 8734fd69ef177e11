from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix


def _rows(values: Any) -> Iterator[bytes]:
    """What is not zero in each cell, as bytes."""
    matrix = csr_matrix(values, dtype=np.float32, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    where, data = matrix.indices.astype(np.int64), matrix.data
    for start, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        yield where[start:end].tobytes() + data[start:end].tobytes()


def exact_copies(train: Any, synthetic: Any) -> float:
    """Share of synthetic cells whose values in all genes are those of a training cell.

    Parameters
    ----------
    train, synthetic
        Cells x genes of counts, dense or sparse.

    Returns
    -------
    The share. 0 is best, except with few genes or few counts, where new real cells can coincide with old ones too.

    Raises
    ------
    ValueError
        If the sets differ in the number of genes, or there is no synthetic cell.

    Examples
    --------
    >>> exact_copies([[1, 0], [0, 2]], [[0, 2], [1, 1]])
    0.5
    """
    train, synthetic = csr_matrix(train), csr_matrix(synthetic)
    if train.shape[1] != synthetic.shape[1]:
        msg = f"train has {train.shape[1]} genes and synthetic {synthetic.shape[1]}; give the same ones, in one order."
        raise ValueError(msg)
    if not synthetic.shape[0]:
        msg = "synthetic has no cell."
        raise ValueError(msg)
    known = set(_rows(train))
    return float(np.mean([row in known for row in _rows(synthetic)]))
