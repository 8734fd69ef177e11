"""Generated and augmented cells are AnnData like any other: written, joined, analyzed and trained on."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from tests_helpers import make_counts, make_model

from activa import ACTIVA


@pytest.fixture(scope="module")
def layered() -> ACTIVA:
    """A model of counts in a layer, with an ordered covariate."""
    adata = make_counts()
    adata.layers["counts"] = adata.X.copy()
    adata.X = adata.X.copy().log1p()
    adata.obs["sex"] = adata.obs["sex"].cat.reorder_categories(["m", "f"], ordered=True)
    setup = {
        "layer": "counts", "labels_key": "cell_type", "batch_key": "batch",
        "categorical_covariate_keys": ["sex"], "continuous_covariate_keys": ["age"],
    }  # fmt: skip
    return make_model(adata, epochs=3, setup=setup)


@pytest.mark.parametrize("method", ["generate", "augment"])
@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_what_is_written_reads_back_equal(layered, tmp_path, method, kind):
    cells = getattr(layered, method)(labels={"T": 20, "NK": 4}, seed=0)
    expected = cells.copy()
    path = tmp_path / f"cells.{kind}"
    getattr(cells, f"write_{kind}")(path)
    read = getattr(ad, f"read_{kind}")(path)
    pd.testing.assert_frame_equal(read.obs, expected.obs)
    assert (read.X != expected.X).nnz == 0 and (read.layers["counts"] != expected.layers["counts"]).nnz == 0
    assert read.obs["cell_type"].cat.categories.tolist() == ["B", "NK", "T"]
    origin, written = (dict(c.uns["activa"]) for c in (read, expected))
    settings, other = origin.pop("settings"), written.pop("settings")
    assert origin == written and set(settings) == set(other)
    assert all(np.array_equal(settings[name], value) for name, value in other.items())


@pytest.mark.parametrize("method", ["generate", "augment"])
def test_no_bookkeeping_of_scvi_tools_comes_along(layered, method):
    cells = getattr(layered, method)(30, seed=0)
    keys = [*cells.obs, *cells.var, *cells.uns, *cells.obsm, *cells.layers]
    assert not [key for key in keys if "_scvi" in str(key)]


def test_real_and_synthetic_cells_can_be_joined(layered):
    real, synthetic = layered.adata, layered.generate(30, seed=0)
    joined = ad.concat([real, synthetic], join="outer", keys=["real", "synthetic"], label="origin")
    assert joined.shape == (270, 40)
    assert (joined.layers["counts"][240:] != synthetic.X).nnz == 0
    assert joined.obs["cell_type"].isin(["B", "NK", "T"]).all()


def test_an_analysis_runs_on_augmented_cells(layered):
    cells = layered.augment(60, seed=0)
    before = cells.layers["counts"].copy()
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    sc.pp.pca(cells, n_comps=5)
    # the Gaussian kernel: umap's compiles for longer than all of this takes
    sc.pp.neighbors(cells, n_neighbors=5, method="gauss")
    assert cells.obsm["X_pca"].shape == (300, 5) and cells.obsp["connectivities"].shape == (300, 300)
    assert (cells.layers["counts"] != before).nnz == 0


@pytest.mark.parametrize(
    "setup", [{}, {"layer": "counts", "batch_key": "batch", "categorical_covariate_keys": ["sex"]}]
)
def test_augmented_cells_can_be_trained_on(layered, setup):
    cells = layered.augment(labels={"NK": 40}, seed=0)
    model = make_model(cells, epochs=1, setup={"labels_key": "cell_type", **setup})
    assert model.generate(labels={"NK": 5}, seed=0).n_obs == 5
    # and asked for which cells were real
    by_origin = make_model(layered.augment(9, seed=0), epochs=1, setup={"labels_key": "origin"})
    assert list(by_origin.types) == ["real", "synthetic"]
