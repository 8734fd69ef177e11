"""Requests: what is asked for is planned as asked, and what does not fit is refused."""

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_helpers import make_counts, make_model

from activa.request import Request


def plan(model, **request):
    sampler = model.sampler
    return Request(seed=0, **request).plan(sampler.design, sampler.module)


def table(batches=("one", "two"), **rows) -> pd.DataFrame:
    """A table of types and batches, a row for each type."""
    return pd.concat(
        [pd.DataFrame({b: [n] for b, n in zip(batches, row, strict=True)}, [t]) for t, row in rows.items()]
    )


def types_of(model, planned) -> dict:
    return pd.Series(model.types[planned.label]).value_counts().to_dict()


def test_n_is_filled_up_with_the_other_types_in_training_proportions(model):
    found = types_of(model, plan(model, n=100, labels={"B": 50}))
    sizes = dict(zip(model.types, model.design.type_sizes, strict=True))
    assert found["B"] == 50 and sum(found.values()) == 100
    assert abs(found["T"] - 50 * sizes["T"] / (sizes["T"] + sizes["NK"])) <= 0.5
    assert types_of(model, plan(model, n=5, labels={"T": 5})) == {"T": 5}


@pytest.mark.parametrize("labels", [{"B": 50}, {"B": 3, "NK": 3, "T": 3}])
def test_counts_that_do_not_fit_n_are_refused(model, labels):
    with pytest.raises(ValueError, match="leave n out"):
        plan(model, n=10, labels=labels)


def test_proportions_are_as_close_as_integers_come(model):
    planned = plan(model, n=97)
    share = np.bincount(planned.label, minlength=3) - 97 * model.design.type_sizes / model.design.type_sizes.sum()
    assert (np.abs(share) < 1).all() and len(planned) == 97


def test_batches_occur_as_they_do_within_the_type(model):
    table = model.design.table
    planned = plan(model, n=4000, labels="NK")
    rows = table[table["_activa_label"] == list(model.types).index("NK")].set_index("_activa_batch")["_activa_n"]
    found = np.bincount(planned.design[:, 0].astype(int), minlength=2) / 4000
    np.testing.assert_allclose(found, rows.reindex(range(2), fill_value=0) / rows.sum(), atol=0.04)


@pytest.mark.parametrize(
    "kwargs, error, match",
    [
        ({}, ValueError, "n must be the number"),
        ({"n": 0}, ValueError, "n must be at least 1"),
        ({"n": -3}, ValueError, "n must be at least 1"),
        ({"n": 2.5}, TypeError, "n must be"),
        ({"n": True}, TypeError, "n must be"),
        ({"n": 5, "labels": {"T": 6}}, ValueError, "leave n out"),
        ({"labels": {"T": 0}}, ValueError, "requests no cell"),
        ({"labels": {"T": -1}}, ValueError, r"labels\['T'\]"),
        ({"labels": {"T": 1.5}}, TypeError, r"labels\['T'\]"),
        ({"labels": {"Mast": 3}}, KeyError, "Mast"),
        ({"labels": "Mast", "n": 3}, KeyError, "Mast"),
        ({"labels": "T"}, ValueError, "n must be the number"),
        ({"labels": []}, ValueError, "at least one"),
        ({"labels": ["T"], "n": 3}, ValueError, "1 entries"),
        ({"n": 3, "batch": "three"}, KeyError, "three"),
        ({"n": 3, "batch": ["one"]}, ValueError, "batch"),
        ({"n": 3, "library_size": 0}, ValueError, "library_size"),
        ({"n": 3, "library_size": [1.0, 2.0]}, ValueError, "library_size"),
        ({"n": 3, "z": np.zeros((3, 2))}, ValueError, "z must"),
        ({"n": 3, "min_confidence": 1.0}, ValueError, "min_confidence"),
        ({"n": 3, "min_confidence": 0.5, "expected": True}, ValueError, "expected"),
        ({"n": 3, "batch_size": 0}, ValueError, "batch_size"),
        ({"n": 3, "seed": -1}, ValueError, "seed"),
        ({"n": 3, "seed": "a"}, TypeError, "seed"),
        ({"n": 3, "labels_key": 3}, TypeError, "labels_key"),
        ({"n": 3, "labels_key": "batch"}, ValueError, "labels_key='batch'"),
        ({"n": 3, "library_size": "big"}, ValueError, "library_size"),
        ({"n": 3, "covariates": "big"}, TypeError, "covariates"),
        ({"n": 3, "min_confidence": "big"}, TypeError, "min_confidence"),
        ({"labels": table(T=[1, 1]), "batch": "one"}, ValueError, "leave batch out"),
        ({"labels": table(T=[1, 1]), "n": 3}, ValueError, "leave n out"),
        ({"labels": table(T=[1, -1])}, ValueError, "no negative number"),
        ({"labels": table(T=[0, 0])}, ValueError, "labels must request 1"),
        ({"labels": table(T=[2**40, 0])}, ValueError, "labels must request 1"),
        ({"labels": table(T=[2**63 - 1, 2**63 - 1], B=[5, 0])}, ValueError, "labels must request 1"),
        ({"labels": table(T=[1.0, 0])}, TypeError, "labels must hold whole"),
        ({"labels": table(T=[True, False])}, TypeError, "labels must hold whole"),
        ({"labels": table(T=[None, 1])}, TypeError, "labels must hold whole"),
        ({"labels": table(T=["1", 1])}, TypeError, "labels must hold whole"),
        ({"labels": table(T=pd.array([None, 1], dtype="Int64"))}, TypeError, "labels must hold whole"),
        ({"labels": table(Mast=[1, 1])}, KeyError, "Mast"),
        ({"labels": table(("one", "three"), T=[1, 1])}, KeyError, "three"),
    ],
)
def test_bad_arguments_say_what_is_wrong(model, kwargs, error, match):
    kwargs = dict(kwargs)
    for method in (model.generate, model.generate_batches, model.augment):
        with pytest.raises(error, match=match):
            method(**kwargs)


def test_an_argument_that_does_not_exist_is_named(model):
    for method in (model.generate, model.generate_batches, model.augment):
        with pytest.raises(TypeError, match="cells_of"):
            method(3, cells_of="T")


def test_a_table_of_types_and_batches_is_the_composition_of_other_cells(model):
    obs = model.adata.obs
    asked = pd.crosstab(obs["cell_type"], obs["batch"])
    cells = model.generate(labels=asked, seed=0)
    found = pd.crosstab(cells.obs["cell_type"], cells.obs["batch"])
    pd.testing.assert_frame_equal(found, asked)
    types = [t for t in asked.index for b in asked for _ in range(asked.loc[t, b])]
    batches = [b for t in asked.index for b in asked for _ in range(asked.loc[t, b])]
    one_by_one = model.generate(labels=types, batch=batches, seed=0)
    assert (cells.X != one_by_one.X).nnz == 0
    pd.testing.assert_frame_equal(cells.obs, one_by_one.obs)
    again = model.generate(len(types), labels=asked.reset_index(drop=False).set_index("cell_type"), seed=0)
    assert (cells.X != again.X).nnz == 0


def test_a_table_may_have_zeros_and_any_order(model):
    cells = model.generate(labels=table(("two", "one"), T=[2, 0], B=[0, 3], Mast=[0, 0]), seed=0)
    assert list(zip(cells.obs["cell_type"], cells.obs["batch"], strict=True)) == [("T", "two")] * 2 + [("B", "one")] * 3


def test_a_table_needs_batches():
    model = make_model(epochs=1)
    with pytest.raises(ValueError, match="labels is a table of types and batches, but no batch_key"):
        model.generate(labels=table(T=[1, 1]))


def make_incomplete(**setup):
    """A model of three types in two batches, whose NK cells are in the first only."""
    adata = make_counts()
    adata.obs.loc[adata.obs["cell_type"] == "NK", "batch"] = "one"
    return make_model(adata, epochs=3, setup={"labels_key": "cell_type", "batch_key": "batch"} | setup)


@pytest.fixture(scope="module")
def incomplete():
    return make_incomplete()


UNSEEN = r"No training cell had .*: NK in two\. Their 7 cells"
ASKED = {"labels": table(B=[3, 4], NK=[5, 7], T=[6, 2])}


@pytest.mark.parametrize("kind", ["table", "per cell", "one batch"])
def test_what_no_training_cell_was_is_told(incomplete, kind):
    obs = incomplete.adata.obs
    known = pd.crosstab(obs["cell_type"], obs["batch"]) > 0
    types, batches = ["NK", "T"] * 7 + ["NK"], ["two", "two"] * 7 + ["one"]
    asked = {
        "table": ASKED,
        "per cell": {"labels": types, "batch": batches},
        "one batch": {"labels": {"T": 4, "NK": 7}},
    }[kind]
    with pytest.warns(UserWarning, match=UNSEEN) as warned:
        cells = incomplete.generate(**asked, **({"batch": "two"} if kind == "one batch" else {}), seed=0)
    assert len(warned) == 1 and warned[0].filename == __file__
    expected = [bool(known.loc[t, b]) for t, b in zip(cells.obs["cell_type"], cells.obs["batch"], strict=True)]
    assert cells.obs["seen"].dtype == bool and cells.obs["seen"].tolist() == expected
    assert expected.count(False) == 7


def test_what_was_seen_is_told_without_a_warning_and_only_where_batches_are_asked_for(incomplete):
    assert incomplete.generate(20, labels={"T": 20}, batch="two", seed=0).obs["seen"].all()
    assert "seen" not in incomplete.generate(50, seed=0).obs


def test_every_way_of_generating_tells_it_once(incomplete, tmp_path):
    with pytest.warns(UserWarning, match=UNSEEN) as warned:
        cells = incomplete.generate(**ASKED, seed=0)
        chunks = incomplete.generate_batches(**ASKED, seed=0, batch_size=1)
        joined = ad.concat(list(chunks))
        incomplete.generate_zarr(tmp_path / "cells.zarr", **ASKED, seed=0)
        augmented = incomplete.augment(**ASKED, seed=0)
    told = [w.filename for w in warned if str(w.message).startswith("No training cell")]
    assert told == [__file__] * 4
    written = ad.read_zarr(tmp_path / "cells.zarr")
    for others in (joined, written, augmented[augmented.obs["origin"] == "synthetic"]):
        assert others.obs["seen"].dtype == bool and others.obs["seen"].tolist() == cells.obs["seen"].tolist()
    assert augmented.obs["seen"].dtype == bool and augmented.obs["seen"][: incomplete.adata.n_obs].all()
    augmented.write_h5ad(tmp_path / "augmented.h5ad")
    assert "seen" not in incomplete.adata.obs


def test_columns_of_that_name_are_not_overwritten(tmp_path):
    adata = make_counts()
    adata.obs["seen"] = adata.obs["batch"]
    model = make_model(adata, epochs=1, setup={"labels_key": "cell_type", "batch_key": "seen"})
    assert set(model.generate(20, seed=0).obs) == {"cell_type", "seen"}
    with pytest.raises(ValueError, match=r"obs\['seen'\]"):
        model.generate(5, batch="one", seed=0)
    model = make_model(adata, epochs=1, setup={"labels_key": "cell_type", "batch_key": "batch"})
    model.augment(5, seed=0)
    adata.obs["library_size"] = 1.0
    with pytest.raises(ValueError, match=r"augment writes obs\['library_size'\]"):
        model.augment(5, latents=True)
    for request in ({"n": 5, "batch": "one"}, ASKED):
        with pytest.raises(ValueError, match=r"augment writes obs\['seen'\]"):
            model.augment(**request)


def test_many_unseen_combinations_are_counted():
    adata = make_counts()
    adata.obs["batch"] = np.where(adata.obs["cell_type"] == "T", "t" + adata.obs["sex"].astype(str), "one")
    adata.obs["batch"] = np.where(np.arange(240) < 60, [f"b{i % 20}" for i in range(240)], adata.obs["batch"])
    adata.obs.loc[adata.obs_names[:60], "cell_type"] = "B"
    model = make_model(adata, epochs=1, setup={"labels_key": "cell_type", "batch_key": "batch"})
    with pytest.warns(UserWarning, match=r"T in b17 and 10 more. Their 20 cells"):
        model.generate(labels="T", n=20, batch=[f"b{i}" for i in range(20)], seed=0)


@pytest.mark.parametrize("asked", [ASKED, {"n": 300}, {"n": 9, "library_size": 70.0, "labels": "B"}])
def test_latents_and_library_sizes_give_the_rates_again(incomplete, asked):
    with warnings.catch_warnings(action="ignore"):
        told = incomplete.generate(**asked, expected=True, latents=True, seed=4)
        rates = incomplete.generate(**asked, expected=True, seed=4)
        counts, told_counts = (incomplete.generate(**asked, latents=flag, seed=4) for flag in (False, True))
        given = {
            "labels": list(told.obs["cell_type"]),
            "batch": list(told.obs["batch"]),
            "z": told.obsm["latent"],
            "library_size": told.obs["library_size"].to_numpy(),
        }
        again = incomplete.generate(**given, expected=True, seed=9)
    np.testing.assert_array_equal(told.X, rates.X)
    np.testing.assert_array_equal(again.X, rates.X)
    np.testing.assert_allclose(told.X.sum(1), told.obs["library_size"], rtol=1e-4)
    # counts are those of the same cells, and whether one asks changes nothing
    assert (counts.X != told_counts.X).nnz == 0 and "library_size" not in counts.obs and not len(counts.obsm)
    np.testing.assert_array_equal(told_counts.obsm["latent"], told.obsm["latent"])
    np.testing.assert_array_equal(told_counts.obs["library_size"], told.obs["library_size"])
    assert told.obsm["latent"].shape == (told.n_obs, 5) and told.obsm["latent"].dtype == np.float32


def test_counts_are_of_the_library_sizes_told(incomplete):
    cells = incomplete.generate(2_000, latents=True, seed=0)
    total = np.asarray(cells.X.sum(1)).ravel()
    assert np.corrcoef(total, cells.obs["library_size"])[0, 1] > 0.7
    assert total.sum() == pytest.approx(cells.obs["library_size"].sum(), rel=0.03)


def test_latents_are_written_and_augmented(incomplete, tmp_path):
    cells = incomplete.augment(30, latents=True, seed=0)
    assert np.isnan(cells.obsm["latent"][:240]).all() and np.isfinite(cells.obsm["latent"][240:]).all()
    cells.write_h5ad(tmp_path / "cells.h5ad")
    read = ad.read_h5ad(tmp_path / "cells.h5ad")
    np.testing.assert_array_equal(read.obsm["latent"], cells.obsm["latent"])
    np.testing.assert_array_equal(read.obs["library_size"], cells.obs["library_size"])


def test_latents_of_values_and_of_models_that_filter():
    adata = make_counts()
    deep = make_model(adata, epochs=1, architecture="deep")
    with pytest.raises(ValueError, match="latents=True .* min_confidence=0.0"):
        deep.generate(5, latents=True)
    told = deep.generate(5, latents=True, expected=True, seed=0)
    given = {"labels": list(told.obs["cell_type"]), "z": told.obsm["latent"], "library_size": told.obs["library_size"]}
    np.testing.assert_array_equal(deep.generate(**given, expected=True).X, told.X)
    normal = make_counts()
    normal.X = normal.X.log1p()
    cells = make_model(normal, epochs=1, gene_likelihood="normal").generate(5, latents=True, seed=0)
    assert "library_size" not in cells.obs and cells.obsm["latent"].shape == (5, 5)
    named = make_counts()
    named.obs["library_size"] = named.obs["age"]
    model = make_model(named, epochs=1, setup={"continuous_covariate_keys": ["library_size"]})
    with pytest.raises(ValueError, match="library_size"):
        model.generate(5, latents=True)


def test_latents_are_asked_for_by_generate_alone(model):
    with pytest.raises(ValueError, match="latents=True .* min_confidence=0.5"):
        model.generate(5, latents=True, min_confidence=0.5)
    with pytest.raises(TypeError, match="latents"):
        model.generate(5, latents=1)
    with pytest.raises(TypeError, match="latents"):
        model.generate_batches(5, latents=True)
