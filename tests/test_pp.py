import numpy as np
import pytest
from tests_helpers import make_counts

from activa import pp


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("layer", [None, "counts"])
def test_cells_are_scaled_to_the_same_sum(log, layer):
    adata = make_counts(30)
    adata.layers["counts"] = adata.X.copy()
    counts = adata.X.toarray()
    scaled = pp.scale_library(adata, 20_000, log=log, layer=layer, copy=True)
    expected = counts / counts.sum(axis=1, keepdims=True) * 20_000
    found = (scaled.X if layer is None else scaled.layers[layer]).toarray()
    np.testing.assert_allclose(found, np.log1p(expected) if log else expected, rtol=1e-5)
    other = scaled.layers["counts"] if layer is None else scaled.X
    assert (other.toarray() == counts).all() and (adata.X.toarray() == counts).all()
    assert pp.scale_library(adata, 20_000, log=log, layer=layer) is None
    np.testing.assert_array_equal((adata.X if layer is None else adata.layers[layer]).toarray(), found)


def test_bad_scaling():
    with pytest.raises(ValueError, match="target_sum"):
        pp.scale_library(make_counts(10), 0)
    with pytest.raises(KeyError, match="layer"):
        pp.scale_library(make_counts(10), layer="none")


def test_genes_go_before_cells():
    adata = make_counts(20)
    counts = adata.X.toarray()
    counts[:, :3] = 0
    counts[0] = 0
    counts[0, :12] = 1  # twelve genes, of which the first three are in this cell alone
    adata.X = counts
    left = pp.filter_low(adata, copy=True)
    genes = (counts > 0).sum(axis=0) >= 3
    cells = (counts[:, genes] > 0).sum(axis=1) >= 10
    assert not cells[0] and not genes[:3].any()
    np.testing.assert_array_equal(left.X, counts[cells][:, genes])
    assert adata.shape == counts.shape
    assert pp.filter_low(adata) is None
    np.testing.assert_array_equal(adata.X, left.X)
    with pytest.raises(ValueError, match="min_genes=1000"):
        pp.filter_low(adata, min_genes=1000)
    assert adata.shape == left.shape
