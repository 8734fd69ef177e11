"""The augmentation experiment: its methods, its runs and its gains."""

import random

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score

from activa.experiments import augmentation, augmentation_gain, rare_types, trainings
from activa.experiments.rare_types import METHODS, gaussian

QUICK = {"labels_key": "cell_type", "keep": (6, 2), "n_generated": 30, "seeds": 2, "n_trees": 20, "max_epochs": 1}
RESULTS = ["label", "kept", "seed", "method", "f1", "precision", "recall"]


@pytest.fixture(scope="module")
def finished(adata):
    """The table of all methods."""
    return augmentation(adata, **QUICK)


def rows_of(cells):
    return {tuple(row) for row in cells.counts.toarray()}


def test_a_row_for_every_seed_number_and_method(finished):
    table = finished
    assert list(table.columns) == [*RESULTS, "seconds"]
    assert (table["label"] == "T").all()
    expected = [(seed, kept, method) for seed in (0, 1) for kept in (6, 2) for method in METHODS]
    assert list(table[["seed", "kept", "method"]].itertuples(index=False, name=None)) == expected
    assert table[["f1", "precision", "recall"]].stack().between(0, 1).all()
    assert (table.loc[table["method"] == "activa", "seconds"] > 0.01).all()


def test_the_seed_repeats_bit_by_bit_and_nothing_is_changed(adata, finished):
    before = adata.copy()
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    again = augmentation(adata, **QUICK | {"seeds": [1], "keep": (2,)})
    assert random.getstate() == states[0] and (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.get_rng_state(), states[2])
    # neither other seeds nor other numbers that are kept make a difference
    table = finished
    first = table[(table["seed"] == 1) & (table["kept"] == 2)].reset_index(drop=True)
    pd.testing.assert_frame_equal(first[RESULTS], again[RESULTS], check_exact=True)
    pd.testing.assert_frame_equal(before.obs, adata.obs)
    pd.testing.assert_frame_equal(before.var, adata.var)
    assert (before.X != adata.X).nnz == 0 and not adata.uns and not adata.obsm


def test_splits_are_clean_and_numbers_nested(adata, runs):
    augmentation(adata, **QUICK | {"methods": ("none",)})
    runs = list(runs)
    assert len(runs) == 4
    n = adata.obs["cell_type"].value_counts()
    for more, fewer in (runs[:2], runs[2:]):
        assert rows_of(fewer.train) < rows_of(more.train)
        assert rows_of(more.test) == rows_of(fewer.test)
        for run in (more, fewer):
            assert not rows_of(run.train) & rows_of(run.test)
            for label in n.index:
                assert (run.test.types == label).sum() == round(0.2 * n[label])
    assert rows_of(runs[0].test) != rows_of(runs[2].test)


def test_scores_are_those_of_a_forest(adata, runs):
    table = augmentation(adata, **QUICK | {"methods": ("none", "oversampling"), "seeds": [3]}).set_index(
        ["kept", "method"]
    )
    for run, kept in zip(runs, (6, 2), strict=True):
        # 40 genes, of which all are among the 2,000 of largest variance
        log = [np.log1p(1e4 * x / x.sum(axis=1, keepdims=True)) for x in
               (run.train.counts.toarray(), run.test.counts.toarray())]  # fmt: skip
        pca = PCA(40, random_state=3).fit(log[0].astype(np.float32))
        train, test = (pca.transform(x.astype(np.float32)) for x in log)
        own = train[run.train.types == "T"]
        more = own[np.random.default_rng(3).integers(len(own), size=30)]
        for method, added in {"none": own[:0], "oversampling": more}.items():
            forest = RandomForestClassifier(20, random_state=3)
            forest.fit(np.vstack([train, added]), np.append(run.train.types, ["T"] * len(added)))
            f1 = f1_score(run.test.types, forest.predict(test), labels=["T"], average=None)[0]
            # float32 components differ in the last digits, by which a cell may move
            assert table.loc[(kept, method), "f1"] == pytest.approx(f1, abs=1e-9)


def test_models_are_trained_on_the_kept_cells_alone(adata, monkeypatch):
    trained = []

    class Spy(trainings.ACTIVA):
        def train(self, *args, **kwargs):
            trained.append(self.adata.copy())
            super().train(*args, **kwargs)

    monkeypatch.setattr(trainings, "ACTIVA", Spy)
    augmentation(adata, **QUICK | {"seeds": 1, "methods": ("activa",)})
    assert len(trained) == 2
    n = adata.obs["cell_type"].value_counts()
    for cells, kept in zip(trained, (6, 2), strict=True):
        found = cells.obs["type"].value_counts()
        assert found["T"] == kept
        for label in ("B", "NK"):
            assert found[label] == n[label] - round(0.2 * n[label])


def test_a_method_of_the_caller_adds_what_it_returns(adata, runs):
    asked = []

    def copies(cells, label, n, seed):
        asked.append((label, n, seed))
        return 3 * cells.X[np.resize(np.flatnonzero(cells.obs["type"] == label), n)]

    table = augmentation(adata, methods=("none",), custom={"copies": copies}, **QUICK | {"seeds": [4]})
    assert list(table["method"]) == ["none", "copies"] * 2 and asked == [("T", 30, 4)] * 2
    for run, added in runs.items():
        # the library size makes no difference
        kept = run.space.reference_components[run.train.types == "T"]
        np.testing.assert_allclose(added["copies"], np.resize(kept, (30, kept.shape[1])), atol=1e-3)


def test_every_method_adds_as_many_cells_of_the_type(adata, runs):
    augmentation(adata, **QUICK | {"seeds": 1})
    for run, added in runs.items():
        x = run.space.reference_components
        assert {name: len(cells) for name, cells in added.items()} == {
            name: 0 if name == "none" else 30 for name in METHODS
        }
        kept = x[run.train.types == "T"]
        assert {tuple(row) for row in added["oversampling"]} == {tuple(row) for row in kept}
    between = added["smote"]  # two cells were kept: all points lie between them
    first, second = x[run.train.types == "T"]
    share = (between - first) @ (second - first) / ((second - first) ** 2).sum()
    np.testing.assert_allclose(between, first + share[:, None] * (second - first), atol=1e-4)
    assert share.min() >= -1e-5 and share.max() <= 1 + 1e-5 and np.ptp(share) > 0.5


def test_gaussian_has_the_own_mean_and_the_others_spread():
    rng = np.random.default_rng(0)
    types = np.repeat(["A", "B", "C"], [5, 400, 400])
    x = rng.normal(size=(805, 2)) @ [[1.0, 0.8], [0.0, 0.5]] + np.repeat(
        [[9.0, 9], [0, 0], [50, -50]], [5, 400, 400], axis=0
    )
    points = gaussian(x, types, "A", 20_000, seed=1)
    np.testing.assert_allclose(points.mean(axis=0), x[:5].mean(axis=0), atol=0.03)
    pooled = (np.cov(x[5:405].T) + np.cov(x[405:].T)) / 2
    np.testing.assert_allclose(np.cov(points.T), pooled, atol=0.03)
    assert np.array_equal(points, gaussian(x, types, "A", 20_000, seed=1))


def test_one_kept_cell_has_nothing_between(adata):
    table = augmentation(adata, **QUICK | {"keep": (1,), "seeds": 1, "methods": ["smote", "activa"]}).set_index(
        "method"
    )
    assert np.isnan(table.loc["smote", "f1"]) and not np.isnan(table.loc["activa", "f1"])


def test_shares_are_of_the_training_cells_of_the_type(adata):
    n = (adata.obs["cell_type"] == "B").sum()
    n -= round(0.2 * n)
    table = augmentation(adata, **QUICK | {"label": "B", "keep": (1.0, 0.2, 0.2), "seeds": 1, "methods": ("none",)})
    assert list(table["kept"]) == [n, round(0.2 * n)]
    assert set(table["label"]) == {"B"}


@pytest.mark.parametrize(
    "kwargs, error, match",
    [
        ({"methods": ("none", "magic")}, ValueError, "methods must be one of .* got 'magic'"),
        ({"methods": ()}, ValueError, "methods must name at least one"),
        ({"keep": (5, 500)}, ValueError, "keep must be whole numbers .* got 500"),
        ({"keep": (0,)}, ValueError, "keep must be .* got 0"),
        ({"keep": (0.001,)}, ValueError, "keep must be .* got 0.001"),
        ({"keep": (1.2,)}, ValueError, "keep must be .* got 1.2"),
        ({"keep": ()}, ValueError, "keep must name at least one"),
        ({"label": "Mast"}, ValueError, "label must be a type .* got 'Mast'"),
        ({"labels_key": "kind"}, KeyError, "kind"),
        ({"layer": "raw"}, KeyError, "raw"),
        ({"test_fraction": 1.0}, ValueError, "test_fraction"),
        ({"n_generated": 0}, ValueError, "n_generated"),
        ({"n_trees": 0}, ValueError, "n_trees"),
        ({"max_epochs": 0}, ValueError, "max_epochs"),
        ({"seeds": 0}, ValueError, "seeds must name at least one"),
        ({"seeds": [-1]}, ValueError, "seed"),
    ],
)
def test_bad_input_is_refused_before_any_work(adata, monkeypatch, kwargs, error, match):
    monkeypatch.setattr(rare_types, "AugmentationRun", None)
    with pytest.raises(error, match=match):
        augmentation(adata, **QUICK | kwargs)


def test_bad_cells_are_refused_before_any_work(adata, monkeypatch):
    monkeypatch.setattr(rare_types, "AugmentationRun", None)
    with pytest.raises(TypeError, match="adata must be an AnnData"):
        augmentation(adata.X, **QUICK)
    with pytest.raises(ValueError, match="at least two types"):
        augmentation(adata[adata.obs["cell_type"] == "T"], **QUICK)
    logs, empty = adata.copy(), adata.copy()
    logs.X = adata.X.log1p()
    with pytest.raises(ValueError, match="not whole"):
        augmentation(logs, **QUICK)
    counts = adata.X.toarray()
    counts[3] = 0
    empty.X = csr_matrix(counts)
    with pytest.raises(ValueError, match="no empty cells, got 1"):
        augmentation(empty, **QUICK)


def test_gains_are_paired():
    f1 = {("none", 0): 0.1, ("none", 1): 0.5, ("activa", 0): 0.5, ("activa", 1): 0.8, ("oversampling", 0): 0.4,
          ("oversampling", 1): 0.6}  # fmt: skip
    rows = [
        {"method": method, "seed": seed, "kept": kept, "f1": value + (0.1 if kept == 9 and method == "activa" else 0)}
        for (method, seed), value in f1.items()
        for kept in (5, 9)
    ]
    gain = augmentation_gain(pd.DataFrame(rows)).set_index(["method", "reference", "kept"])
    assert list(gain.index) == [
        ("activa", "none", 9), ("activa", "none", 5), ("activa", "none", pd.NA),
        ("oversampling", "none", 9), ("oversampling", "none", 5), ("oversampling", "none", pd.NA),
        ("activa", "oversampling", 9), ("activa", "oversampling", 5), ("activa", "oversampling", pd.NA),
    ]  # fmt: skip
    found = gain.reset_index().fillna({"kept": 0}).set_index(["method", "reference", "kept"])
    # gains 0.4 and 0.3: mean 0.35, standard error 0.05, t of one degree of freedom 12.7062
    one = found.loc[("activa", "none", 5)]
    np.testing.assert_allclose(
        one[["gain", "lower", "upper"]].astype(float), 0.35 + 0.635310 * np.array([0, -1, 1]), 1e-4
    )
    assert found.loc[("activa", "none", 9), "gain"] == pytest.approx(0.45)
    # over all, two seeds and not four runs
    assert found.loc[("activa", "none", 0), "gain"] == pytest.approx(0.4)
    assert found.loc[("activa", "none", 0), "upper"] == pytest.approx(0.4 + 0.635310, rel=1e-4)
    assert found.loc[("activa", "oversampling", 5), "gain"] == pytest.approx(0.15)
    assert (found["seeds"] == 2).all()


def test_gains_of_one_seed_or_none_have_no_interval():
    rows = [
        (method, 0, kept, f1) for method, f1 in (("none", 0.2), ("smote", np.nan), ("activa", 0.6)) for kept in (1,)
    ]
    gain = augmentation_gain(pd.DataFrame(rows, columns=["method", "seed", "kept", "f1"])).set_index("method")
    assert gain.loc["activa", "gain"].tolist() == pytest.approx([0.4, 0.4])
    assert gain[["lower", "upper"]].isna().all(axis=None)
    assert gain.loc["smote", "seeds"] == 0 and np.isnan(gain.loc["smote", "gain"])


def test_gains_need_the_experiments_table(finished):
    table = finished
    with pytest.raises(ValueError, match="table lacks .'f1'."):
        augmentation_gain(table.drop(columns="f1"))
    with pytest.raises(ValueError, match="several rows"):
        augmentation_gain(pd.concat([table, table]))
