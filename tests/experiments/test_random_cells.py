"""Random cells, in memory and in files."""

import anndata as ad
import numpy as np
import pytest

from activa.experiments.random_cells import bytes_in_memory, random_cells


@pytest.mark.parametrize("library_size", [None, 20_000])
def test_cells_in_a_file_are_those_in_memory(tmp_path, library_size):
    shape = {"n_genes": 50, "density": 0.3, "library_size": library_size, "seed": 1, "n_rows": 40}
    made = random_cells(110, **shape)
    path = tmp_path / "cells.h5ad"
    backed = random_cells(110, path=path, **shape)
    assert backed.isbacked
    backed.file.close()
    written = ad.read_h5ad(path)
    assert made.shape == (110, 50)
    assert (made.X.getnnz(axis=1) == 15).all()
    np.testing.assert_array_equal(made.X.toarray(), written.X.toarray())
    assert list(made.obs["type"]) == list(written.obs["type"])
    assert list(made.var_names) == list(written.var_names)
    if library_size is None:
        assert set(np.unique(made.X.data)) == set(range(1, 11))
    else:
        np.testing.assert_allclose(made.X.sum(axis=1), library_size, rtol=1e-5)
    # 32 bits would end at 2^31 entries
    assert ad.read_h5ad(path, backed="r").X.group["indptr"].dtype == np.int64
    # no part repeats another
    assert len(np.unique(made.X.toarray(), axis=0)) == 110
    assert (made.X != random_cells(110, **shape | {"seed": 2}).X).nnz


def test_bytes_are_those_of_the_matrix():
    made = random_cells(100, n_genes=50, density=0.3, library_size=None, seed=0).X
    held = made.data.nbytes + made.indices.nbytes + made.indptr.nbytes
    assert bytes_in_memory(100, 50, 0.3) == pytest.approx(held, rel=0.05)
