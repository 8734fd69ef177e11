"""Memory grows as the sparse cells do, far below what they would take dense."""

import sys

import pytest
from faults.memory import peaks


@pytest.mark.skipif(sys.platform != "linux", reason="getrusage counts in other units")
def test_no_dense_copy_of_the_cells():
    n_cells, n_genes = 20_000, 4_000
    found = peaks(n_cells, n_genes, epochs=1)
    dense = n_cells * n_genes * 4 / 2**20
    assert found["generating"] - found["cells"] < 2 * dense
