"""Cells as people have them: covariates in any unit, columns named twice, counts in another place, depths of a type."""

import re
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from tests_helpers import QUIET, make_counts, make_model

from activa import ACTIVA


def log_normalized() -> ad.AnnData:
    adata = make_counts()
    adata.X = adata.X.multiply(100 / adata.X.sum(axis=1)).log1p().tocsr()
    return adata


# Continuous covariates


@pytest.mark.parametrize(("loc", "scale"), [(2018.0, 2.0), (1.7e9, 1e7), (5e6, 1.0), (0.0, 1e6), (7.0, 0.0)], ids=str)
def test_covariates_of_any_unit_train_and_generate_in_it(loc, scale):
    adata = make_counts()
    adata.obs["year"] = loc + scale * np.random.default_rng(0).normal(size=adata.n_obs)
    model = make_model(adata, setup={"labels_key": "cell_type", "continuous_covariate_keys": ["year"]}, epochs=3)
    made = np.unique(model.generate(50, seed=0).obs["year"])
    np.testing.assert_allclose(
        np.abs(made[:, None] - adata.obs["year"].to_numpy()).min(axis=1), 0, atol=1e-6 * abs(loc)
    )
    asked = model.generate(5, covariates={"year": loc}, seed=0)
    assert (asked.obs["year"] == loc).all() and np.isfinite(asked.X.data).all()


def test_the_unit_of_a_covariate_changes_no_cell():
    cells = []
    for unit in (1.0, 365.25):
        adata = make_counts()
        adata.obs["age"] = adata.obs["age"].round() * unit  # whole numbers stay exact
        model = make_model(adata, setup={"labels_key": "cell_type", "continuous_covariate_keys": ["age"]}, epochs=2)
        cells.append(model.generate(40, covariates={"age": 30 * unit}, expected=True, seed=0).X)
    np.testing.assert_allclose(cells[0], cells[1], rtol=1e-2)


def test_a_covariate_with_an_effect_has_it_in_generated_cells():
    rng = np.random.default_rng(0)
    adata = make_counts(600)
    old = rng.random(adata.n_obs) < 0.5
    adata.obs["year"] = np.where(old, 2000.0, 2020.0)
    x = adata.X.toarray()
    x[old, 30:40] = rng.poisson(4 * x[old, 30:40] + 1)
    adata.X = csr_matrix(x.astype(np.float32))
    model = make_model(adata, setup={"labels_key": "cell_type", "continuous_covariate_keys": ["year"]}, epochs=40)
    shares = []
    for year in (2000.0, 2020.0):
        rates = model.generate(200, covariates={"year": year}, expected=True, seed=0).X
        shares.append(rates[:, 30:40].sum() / rates.sum())
    real = [x[rows][:, 30:40].sum() / x[rows].sum() for rows in (old, ~old)]
    np.testing.assert_allclose(np.log(shares[0] / shares[1]), np.log(real[0] / real[1]), rtol=0.2)


# Columns and genes that cannot be meant


def test_a_column_has_one_role():
    adata = make_counts()
    for keys, words in [
        ({"categorical_covariate_keys": ["sex"], "batch_key": "sex"}, "batch_key and categorical_covariate_keys"),
        (
            {"categorical_covariate_keys": ["age"], "continuous_covariate_keys": ["age"]},
            "categorical_covariate_keys and continuous_covariate_keys",
        ),
        ({"labels_key": "batch", "batch_key": "batch"}, "labels_key and batch_key"),
    ]:
        with pytest.raises(ValueError, match=rf"{words} name the same column"):
            ACTIVA.setup_anndata(adata, **keys)
    assert not [c for c in adata.obs if c.startswith("_scvi")] and "_scvi_uuid" not in adata.uns


def test_columns_of_one_name_are_refused():
    adata = make_counts()
    adata.obs = pd.concat([adata.obs, adata.obs[["sex"]]], axis=1)
    with pytest.raises(ValueError, match=r"batch_key='sex': adata\.obs has 2 columns of this name"):
        ACTIVA.setup_anndata(adata, batch_key="sex")


@pytest.mark.parametrize("values", ["measured", "barcodes"])
def test_a_measurement_or_a_name_is_no_type(values):
    adata = make_counts()
    adata.obs["score"] = np.random.default_rng(0).random(adata.n_obs) if values == "measured" else adata.obs_names
    with pytest.raises(ValueError, match="'score' has 240 types for 240 cells"):
        ACTIVA.setup_anndata(adata, labels_key="score")


def test_labels_that_are_numbers_stay_possible():
    adata = make_counts()
    adata.obs["cluster"] = adata.obs["cell_type"].cat.codes.astype(float)
    ACTIVA.setup_anndata(adata, labels_key="cluster")
    assert ACTIVA(adata).types.tolist() == [0.0, 1.0, 2.0]
    adata.obs.loc[adata.obs_names[0], "cluster"] = np.inf
    with pytest.raises(ValueError, match="infinite"):
        ACTIVA.setup_anndata(adata, labels_key="cluster")


@pytest.mark.parametrize("name", ["", "_index", "a/b"])
def test_columns_that_no_file_can_have_are_refused(name):
    adata = make_counts()
    adata.obs[name] = adata.obs["cell_type"]
    with pytest.raises(ValueError, match="AnnData files have no column of this name"):
        ACTIVA.setup_anndata(adata, labels_key=name)


def test_repeated_genes_are_refused_at_set_up():
    adata = make_counts()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata.var_names = ["gene_1", *adata.var_names[1:]]
    with pytest.raises(ValueError, match=r"1 that are repeated, such as 'gene_1': call adata\.var_names_make_unique"):
        ACTIVA.setup_anndata(adata, labels_key="cell_type")


# Counts in another place


def test_the_error_names_the_layer_with_counts_and_it_can_be_used():
    adata = log_normalized()
    adata.layers["scaled"] = -1.0 * adata.X
    adata.layers["counts"] = make_counts().X
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    with pytest.raises(ValueError, match=r"layers\['counts'\] has counts, give layer='counts' in setup_anndata"):
        ACTIVA(adata)
    ACTIVA.setup_anndata(adata, layer="counts", labels_key="cell_type")
    model = ACTIVA(adata, n_hidden=(8,), n_latent=2)
    model.train(1, **QUIET)
    assert (model.generate(5, seed=0).layers["counts"].data % 1 == 0).all()


def test_the_error_names_raw_counts_and_they_can_be_used():
    adata = log_normalized()
    adata.raw = make_counts()
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    with pytest.raises(ValueError, match=re.escape("adata.raw has counts, use adata.raw.to_adata()")):
        ACTIVA(adata)
    counts = adata.raw.to_adata()
    ACTIVA.setup_anndata(counts, labels_key="cell_type")
    ACTIVA(counts, n_hidden=(8,), n_latent=2)


def test_layers_without_counts_are_not_named():
    adata = log_normalized()
    adata.layers["more"], adata.layers["none"] = adata.X.copy(), csr_matrix(adata.shape)
    adata.raw = adata
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    with pytest.raises(ValueError, match="give counts as layer= in setup_anndata, or use gene_likelihood='normal'"):
        ACTIVA(adata)


# Library sizes


def test_library_sizes_stay_within_what_the_type_and_batch_show():
    adata = make_counts(400)
    model = make_model(adata, setup={"labels_key": "cell_type", "batch_key": "batch"}, epochs=3)
    made = model.generate(20_000, latents=True, seed=0).obs
    adata.obs["total"] = np.log(np.asarray(adata.X.sum(axis=1)).ravel())
    spread = adata.obs["total"].std(ddof=0)
    outside = 0
    for (name, batch), own in adata.obs.groupby(["cell_type", "batch"], observed=True)["total"]:
        cells = made[(made["cell_type"] == name) & (made["batch"] == batch)]
        log_library, reach = np.log(cells["library_size"]), 2 * spread / np.sqrt(len(own))
        assert log_library.min() >= max(own.min() - reach, adata.obs["total"].min()) - 1e-4
        assert log_library.max() <= min(own.max() + reach, adata.obs["total"].max()) + 1e-4
        outside += len(log_library) - log_library.nunique()
    assert outside < 0.01 * len(made)  # mirrored, not heaped up at the bounds


def test_a_type_that_is_new_in_a_batch_can_have_the_depth_of_the_batch():
    adata = make_counts(400)
    adata = adata[(adata.obs["cell_type"] != "NK") | (adata.obs["batch"] == "one")].copy()
    deep = (adata.obs["batch"] == "two").to_numpy()
    x = adata.X.toarray()
    x[deep] *= 10
    adata.X = csr_matrix(x)
    model = make_model(adata, setup={"labels_key": "cell_type", "batch_key": "batch"}, epochs=30)
    with pytest.warns(UserWarning, match="NK in two"):
        made = model.generate(100, labels="NK", batch="two", seed=0)
    own = adata.X[(adata.obs["cell_type"] == "NK").to_numpy()].sum(axis=1)
    assert np.median(np.asarray(made.X.sum(axis=1))) > own.max()


def test_queries_of_another_depth_generate_it():
    reference = make_counts()
    model = make_model(reference, setup={"labels_key": "cell_type", "batch_key": "batch"})
    query = make_counts(seed=1)
    query.X = query.X * 30
    query.obs["batch"] = "deep"
    both = ACTIVA.load_query_data(query, model)
    bounds, known = both.module.library_bounds, model.module.library_bounds
    np.testing.assert_array_equal(bounds[..., :2], known)
    totals = np.log(np.asarray(query.X.sum(axis=1)))
    assert bounds[1, :, 2].max() == pytest.approx(totals.max(), rel=1e-5) and (bounds[1, :, 2] > known.max()).all()


def test_one_cell_of_a_type_leaves_its_depth_some_room():
    adata = make_counts()
    adata.obs["cell_type"] = adata.obs["cell_type"].cat.add_categories("rare")
    adata.obs.loc[adata.obs_names[0], "cell_type"] = "rare"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Category 3 .* has fewer than 3 cells")  # by scvi-tools
        model = make_model(adata, epochs=2)
    made = model.generate(200, labels="rare", latents=True, seed=0).obs["library_size"]
    totals = np.log(np.asarray(adata.X.sum(axis=1)).ravel())
    assert np.abs(np.log(made) - totals[0]).max() <= 2 * totals.std() + 1e-4 and made.nunique() > 150


# What generated cells keep


def looking() -> ad.AnnData:
    adata = make_counts()
    order = ["T", "B", "NK"]
    adata.obs["cell_type"] = adata.obs["cell_type"].cat.reorder_categories(order, ordered=True)
    adata.uns["cell_type_colors"] = np.array(["#111111", "#222222", "#333333"])
    adata.uns["batch_colors"] = ["red", "blue"]
    adata.uns["sex_colors"] = ["of another length"]
    return adata


def test_order_and_colors_of_categories_are_kept(tmp_path):
    setup = {"labels_key": "cell_type", "batch_key": "batch", "categorical_covariate_keys": ["sex"]}
    model = make_model(looking(), setup=setup, epochs=1)
    model.export(tmp_path / "model")
    model.save(str(tmp_path / "saved"))
    made = [
        model.generate(9, seed=0),
        ACTIVA.from_export(tmp_path / "model").generate(9, seed=0),
        ACTIVA.load(str(tmp_path / "saved"), adata=looking()).generate(9, seed=0),
        model.augment(9, seed=0),
    ]
    model.generate_zarr(tmp_path / "cells.zarr", 9, seed=0)
    made.append(ad.read_zarr(tmp_path / "cells.zarr"))
    for cells in made:
        assert cells.obs["cell_type"].cat.ordered and list(cells.obs["cell_type"].cat.categories) == ["T", "B", "NK"]
        assert not cells.obs["batch"].cat.ordered
        assert list(cells.uns["cell_type_colors"]) == ["#111111", "#222222", "#333333"]
        assert list(cells.uns["batch_colors"]) == ["red", "blue"]
    assert "sex_colors" not in made[0].uns
    assert list(model.generate(3, labels_key="type", seed=0).uns["type_colors"])[0] == "#111111"


def test_colors_follow_the_types_where_the_unlabeled_category_moves():
    setup = {"labels_key": "cell_type", "unlabeled_category": "T"}
    model = make_model(looking(), setup=setup, epochs=1)
    assert model.types.tolist() == ["NK", "B"]  # the order of scvi-tools
    made = model.generate(3, seed=0)
    assert made.uns["cell_type_colors"].tolist() == ["#333333", "#222222"] and not made.obs["cell_type"].cat.ordered


def test_a_query_keeps_the_colors_that_still_fit():
    setup = {"labels_key": "cell_type", "batch_key": "batch"}
    model = make_model(looking(), setup=setup, epochs=1)
    query = make_counts(seed=1)
    query.obs["batch"] = "new"
    colors = ACTIVA.load_query_data(query, model).design.colors
    assert list(colors) == ["cell_type"]


def test_names_of_generated_cells_are_unique_across_calls():
    model, other = make_model(epochs=1), make_model(epochs=2)
    calls = [
        model.generate(5, seed=0),
        model.generate(5, seed=1),
        model.generate(6, seed=0),
        model.generate(labels={"T": 5}, seed=0),
        model.generate(labels={"B": 5}, seed=0),
        model.generate(5, library_size=100, seed=0),
        model.generate(5),
        model.generate(5),
        other.generate(5, seed=0),
    ]
    names = pd.Index(np.concatenate([cells.obs_names for cells in calls]))
    assert names.is_unique and names.str.startswith("synthetic_").all()
    assert ad.concat(calls).obs_names.is_unique
    again, rates = model.generate(5, seed=0), model.generate(5, seed=0, expected=True)
    assert list(again.obs_names) == list(rates.obs_names) == list(calls[0].obs_names)
    chunks = list(model.generate_batches(600, batch_size=256, seed=0))
    assert list(ad.concat(chunks).obs_names) == list(model.generate(600, seed=0).obs_names)


def test_latents_grow_with_the_types_unless_they_are_given():
    adata = make_counts(600)
    adata.obs["many"] = pd.Categorical([f"t{i % 60}" for i in range(adata.n_obs)])
    ACTIVA.setup_anndata(adata, labels_key="many")
    assert ACTIVA(adata).settings.n_latent == 20
    assert ACTIVA(adata, n_latent=16).settings.n_latent == 16
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    assert ACTIVA(adata).settings.n_latent == 16
