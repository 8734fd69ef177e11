"""Rows of a table of parameters, one a cell."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import embedding


def rows(table: Tensor, index: Tensor) -> Tensor:
    """``table[index]``, whose gradient is summed in the same order each time.

    That of indexing is summed by several threads as they come, so that a seed would not give the same weights.
    """
    return embedding(index, table.flatten(1)).unflatten(1, table.shape[1:])
