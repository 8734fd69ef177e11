import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

from activa.datasets import pbmc68k_reduced


@pytest.fixture(scope="module")
def adata() -> ad.AnnData:
    return pbmc68k_reduced()


@pytest.fixture
def bundled() -> ad.AnnData:
    return sc.datasets.pbmc68k_reduced()


def test_counts_are_whole_float32_csr(adata: ad.AnnData) -> None:
    assert isinstance(adata.X, sparse.csr_matrix)
    assert adata.X.dtype == np.float32
    assert adata.X.has_canonical_format
    assert adata.X.data.min() == 1
    np.testing.assert_array_equal(adata.X.data, np.rint(adata.X.data))


def test_normalizing_the_counts_gives_scanpys_values(adata: ad.AnnData, bundled: ad.AnnData) -> None:
    # n_counts is each cell's total over all its genes, which the counts were not recovered from
    library_size = bundled.obs["n_counts"].to_numpy(np.float64)[:, None]
    expected = np.log1p(adata.X.toarray() / library_size * 1e4)
    # scanpy's values are kept to three decimals
    np.testing.assert_allclose(bundled.raw.X.toarray(), expected, rtol=0, atol=6e-4)


def test_genes_and_cells_keep_scanpys_order(adata: ad.AnnData, bundled: ad.AnnData) -> None:
    assert adata.shape == (700, 765)
    assert list(adata.var_names) == list(bundled.raw.var_names)
    assert list(adata.obs_names) == list(bundled.obs_names)
    assert adata.var_names.is_unique
    assert adata.obs_names.is_unique


def test_cell_types_are_the_sorted_populations(adata: ad.AnnData, bundled: ad.AnnData) -> None:
    assert isinstance(adata.obs["cell_type"].dtype, pd.CategoricalDtype)
    assert adata.obs["cell_type"].astype(str).tolist() == bundled.obs["bulk_labels"].astype(str).tolist()
    assert adata.obs["cell_type"].value_counts().min() == 8
    # markers of two types, in cells of those types and elsewhere
    for gene, cell_type in {"CD79A": "CD19+ B", "NKG7": "CD56+ NK"}.items():
        expression = adata[:, gene].X.toarray().ravel()
        of_type = (adata.obs["cell_type"] == cell_type).to_numpy()
        assert expression[of_type].mean() > 3 * expression[~of_type].mean()


def test_each_call_gives_a_fresh_copy(adata: ad.AnnData) -> None:
    other = pbmc68k_reduced()
    other.X.data[:] = 0
    assert adata.X.data.min() == 1


def test_other_values_in_scanpys_copy_are_an_error(bundled: ad.AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled.raw.X.data *= 0.9
    monkeypatch.setattr(sc.datasets, "pbmc68k_reduced", lambda: bundled)
    with pytest.raises(RuntimeError, match="cannot be recovered"):
        pbmc68k_reduced()
