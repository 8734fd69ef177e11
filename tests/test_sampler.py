import random

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import issparse
from tests_helpers import make_counts, make_model


def dense(adata: ad.AnnData) -> np.ndarray:
    return adata.X.toarray()


def test_counts_are_whole_and_labeled_as_asked(model):
    cells = model.generate(labels={"T": 30, "B": 0, "NK": 12}, seed=0)
    assert issparse(cells.X) and cells.X.format == "csr" and cells.X.dtype == np.float32
    assert (cells.X.data == np.round(cells.X.data)).all() and (cells.X.data > 0).all()
    assert cells.obs["cell_type"].value_counts().to_dict() == {"T": 30, "NK": 12, "B": 0}
    assert list(cells.obs["cell_type"].cat.categories) == ["B", "NK", "T"]
    pd.testing.assert_frame_equal(cells.var, model.adata.var)
    assert cells.obs_names.is_unique
    assert cells.uns["activa"]["seed"] == 0


@pytest.mark.parametrize("labels, n", [("T", 7), (["T", "B", "T"], None), (("NK",), 1)])
def test_labels_as_one_type_or_a_sequence(model, labels, n):
    cells = model.generate(n, labels=labels, seed=0)
    assert list(cells.obs["cell_type"]) == (["T"] * 7 if labels == "T" else list(labels))


def test_the_composition_of_other_cells(model):
    counts = model.adata.obs["cell_type"].value_counts()
    assert model.generate(labels=counts, seed=0).obs["cell_type"].value_counts().to_dict() == counts.to_dict()


@pytest.mark.parametrize("kind", ["int", "bool", "ordered"])
def test_labels_of_other_kinds(kind):
    adata = make_counts()
    codes = adata.obs["cell_type"].cat.codes.to_numpy()
    adata.obs["kind"] = {
        "int": codes * 10,
        "bool": codes > 1,
        "ordered": pd.Categorical(codes.astype(str), categories=["2", "0", "unused", "1"], ordered=True),
    }[kind]
    model = make_model(adata, epochs=2, setup={"labels_key": "kind"})
    one = adata.obs["kind"].iloc[0]
    assert set(model.generate(5, labels=one, seed=0).obs["kind"]) == {one}
    share = model.generate(240, seed=0).obs["kind"].value_counts()
    for value, n in adata.obs["kind"].value_counts().items():
        assert share[value] == n
    more = model.augment(5, seed=0)
    if kind == "ordered":
        assert more.obs["kind"].cat.ordered
        with pytest.raises(KeyError, match="unused"):
            model.generate(labels={"unused": 2})


def test_types_come_in_training_proportions(model):
    found = model.generate(1_000, seed=0).obs["cell_type"].value_counts(normalize=True)
    expected = model.adata.obs["cell_type"].value_counts(normalize=True)
    assert (found - expected[found.index]).abs().max() < 0.002


@pytest.mark.parametrize("kwargs", [{}, {"min_confidence": 0.0}, {"expected": True}])
def test_a_seed_repeats_whatever_the_batch_size(model, kwargs):
    n = 600 if "min_confidence" not in kwargs else 300
    first = model.generate(n, seed=3, **kwargs)
    again = model.generate(n, seed=3, batch_size=1, **kwargs)
    chunks = list(model.generate_batches(n, seed=3, batch_size=100, **kwargs))
    assert [c.n_obs for c in chunks] == [256] * (n // 256) + [n % 256]
    joined = ad.concat(chunks)
    for other in (again, joined):
        a, b = (x if kwargs.get("expected") else x.toarray() for x in (first.X, other.X))
        np.testing.assert_array_equal(a, b)
        assert list(first.obs["cell_type"]) == list(other.obs["cell_type"])
        assert list(first.obs_names) == list(other.obs_names)
    other_seed = model.generate(n, seed=4, **kwargs)
    assert (first.X != other_seed.X).sum() > 0


def test_without_a_seed_the_cells_can_still_be_made_again(model):
    first, second = model.generate(20), model.generate(20)
    assert (first.X != second.X).nnz
    again = model.generate(20, seed=first.uns["activa"]["seed"])
    np.testing.assert_array_equal(dense(first), dense(again))


def test_nothing_else_is_touched(model):
    before = model.adata.copy()
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    parameters = {k: v.clone() for k, v in model.module.state_dict().items()}
    model.generate(50, seed=0, min_confidence=0.0)
    model.augment(20, seed=0)
    model.predict()
    assert random.getstate() == states[0] and (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.get_rng_state(), states[2])
    assert all(torch.equal(v, parameters[k]) for k, v in model.module.state_dict().items())
    pd.testing.assert_frame_equal(before.obs, model.adata.obs)
    assert (before.X != model.adata.X).nnz == 0 and set(before.uns) == set(model.adata.uns)


def test_cells_resemble_their_type(model):
    real = model.adata
    cells = model.generate(labels={"B": 300, "T": 300}, seed=0)
    for i, name in ((0, "B"), (2, "T")):
        own = slice(5 * i, 5 * i + 5)
        synthetic = dense(cells)[cells.obs["cell_type"] == name].mean(0)
        measured = dense(real)[real.obs["cell_type"] == name].mean(0)
        other = dense(real)[real.obs["cell_type"] != name].mean(0)
        assert np.abs(synthetic - measured)[own].mean() < 0.5 * np.abs(other - measured)[own].mean()


def test_batches_are_drawn_as_they_occur_and_can_be_chosen(model):
    one, two = (model.generate(400, batch=b, seed=0) for b in ("one", "two"))
    assert set(one.obs["batch"]) == {"one"} and set(two.obs["batch"]) == {"two"}
    assert dense(two)[:, 20:25].mean() > 2 * dense(one)[:, 20:25].mean()
    share = (model.generate(1_000, seed=0).obs["batch"] == "one").mean()
    assert share == pytest.approx((model.adata.obs["batch"] == "one").mean(), abs=0.08)
    mixed = model.generate(labels=["B", "B"], batch=["two", "one"], seed=0)
    assert list(mixed.obs["batch"]) == ["two", "one"]


def test_library_sizes_can_be_chosen(model):
    cells = model.generate(200, library_size=5_000.0, expected=True, seed=0)
    np.testing.assert_allclose(cells.X.sum(1), 5_000, rtol=1e-4)
    each = model.generate(2, library_size=[10.0, 1_000.0], expected=True, seed=0)
    np.testing.assert_allclose(each.X.sum(1), [10, 1_000], rtol=1e-4)
    drawn = model.generate(500, seed=0).X.sum(1)
    assert np.mean(drawn) == pytest.approx(model.adata.X.sum(1).mean(), rel=0.15)


def test_expected_is_the_mean_of_what_is_sampled(model):
    z = np.tile(model.get_latent_representation()[:1], (2_000, 1))
    kwargs = {"labels": "T", "z": z, "batch": "one", "library_size": 300.0}
    rates = model.generate(2_000, expected=True, seed=0, **kwargs).X
    assert isinstance(rates, np.ndarray) and (rates[0] == rates[1]).all()
    np.testing.assert_allclose(dense(model.generate(2_000, seed=0, **kwargs)).mean(0), rates[0], rtol=0.2, atol=0.2)


def test_min_confidence_keeps_cells_that_the_classifier_is_sure_of(model):
    cells = model.generate(labels={"B": 60, "T": 60}, min_confidence=0.6, seed=0)
    probabilities = model.predict(cells, soft=True)
    asked = probabilities.to_numpy()[np.arange(120), cells.obs["cell_type"].cat.codes]
    assert (asked >= 0.6 - 1e-5).all()
    argmax = model.generate(labels={"NK": 40}, min_confidence=0, seed=0)
    assert set(model.predict(argmax)) == {"NK"}
    with pytest.raises(RuntimeError, match=r"min_confidence=0.999.*%"):
        model.generate(labels={"NK": 40}, min_confidence=0.9999999, seed=0)


def test_a_layer_goes_in_and_comes_out():
    adata = make_counts()
    adata.layers["counts"] = adata.X.copy()
    adata.X = np.log1p(adata.X.toarray())
    model = make_model(adata, epochs=2, setup={"layer": "counts", "labels_key": "cell_type"})
    cells = model.generate(10, seed=0)
    assert (cells.X != cells.layers["counts"]).nnz == 0
    more = model.augment(10, seed=0)
    np.testing.assert_array_equal(dense(more)[: adata.n_obs], adata.layers["counts"].toarray())
    assert (more.X != more.layers["counts"]).nnz == 0


def test_without_labels_one_type_stands_for_all():
    model = make_model(epochs=2, setup={})
    cells = model.generate(12, seed=0)
    assert cells.n_obs == 12 and not list(cells.obs.columns)
    assert set(model.generate(3, labels_key="kind", seed=0).obs["kind"]) == {"all"}


def test_labels_key_names_the_column(model):
    assert list(model.generate(3, labels_key="kind", seed=0).obs.columns) == ["kind", "batch"]


def test_unlabeled_cells_are_never_generated_as_a_type():
    adata = make_counts()
    adata.obs["cell_type"] = adata.obs["cell_type"].cat.rename_categories({"NK": "unknown"})
    model = make_model(adata, epochs=3, setup={"labels_key": "cell_type", "unlabeled_category": "unknown"})
    assert list(model.types) == ["B", "T"]
    assert set(model.generate(200, seed=0).obs["cell_type"]) == {"B", "T"}
    assert set(model.predict()) <= {"B", "T"}
    with pytest.raises(KeyError, match="unknown"):
        model.generate(labels={"unknown": 3})


def test_covariates_and_size_factors():
    adata = make_counts()
    adata.obs["donor"] = adata.obs["batch"]
    adata.obs["batch"] = adata.obs["sex"]  # a covariate may have any name
    setup = {
        "labels_key": "cell_type", "batch_key": "donor", "size_factor_key": "depth",
        "categorical_covariate_keys": ["sex", "batch"], "continuous_covariate_keys": ["age"],
    }  # fmt: skip
    model = make_model(adata, epochs=3, setup=setup)
    both = model.generate(30, batch="two", covariates={"batch": "m"}, seed=0).obs
    assert set(both["donor"]) == {"two"} and set(both["batch"]) == {"m"}
    cells = model.generate(50, covariates={"sex": "f", "age": 40.0}, seed=0)
    assert set(cells.obs["sex"]) == {"f"} and set(cells.obs["age"]) == {40.0}
    drawn = model.generate(300, seed=0).obs
    assert set(drawn["sex"]) == {"f", "m"} and drawn["age"].between(20, 80).all()
    half, whole = (model.generate(40, seed=0, library_size=f, expected=True).X.sum() for f in (0.5, 1.0))
    assert whole == pytest.approx(2 * half, rel=1e-4)
    with pytest.raises(KeyError, match="weight"):
        model.generate(5, covariates={"weight": 1.0})
    with pytest.raises(KeyError, match="x"):
        model.generate(5, covariates={"sex": "x"})


def test_what_is_written_reads_back(model, tmp_path):
    cells = model.generate(20, seed=0)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    cells.write_zarr(tmp_path / "cells.zarr")
    for read in (ad.read_h5ad(tmp_path / "cells.h5ad"), ad.read_zarr(tmp_path / "cells.zarr")):
        np.testing.assert_array_equal(dense(read), dense(cells))
        assert read.uns["activa"]["version"] == cells.uns["activa"]["version"]
        assert list(read.obs["cell_type"]) == list(cells.obs["cell_type"])
