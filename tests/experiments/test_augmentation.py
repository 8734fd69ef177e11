import random

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score
from tests_helpers import make_counts

from activa.experiments import _augmentation as module
from activa.experiments import _augmentation_run as run_module
from activa.experiments import augmentation, augmentation_gain
from activa.experiments._augmentation_controls import ScviPosterior, gaussian

QUICK = {
    "labels_key": "cell_type", "keep": (6, 2), "n_generated": 30, "seeds": 2, "n_trees": 20, "max_epochs": 1,
    "scvi_max_epochs": 1,
}  # fmt: skip
CHEAP = ("none", "oversampling", "smote", "gaussian")
RESULTS = ["label", "kept", "seed", "method", "f1", "precision", "recall"]


@pytest.fixture(scope="module")
def adata():
    cells = make_counts(160)
    cells.obs_names = [f"cell_{i}" for i in range(cells.n_obs)]
    return cells


@pytest.fixture(scope="module")
def finished(adata, tmp_path_factory):
    """A run of everything: its file and its table."""
    path = tmp_path_factory.mktemp("augmentation") / "results.csv"
    return path, augmentation(adata, path=path, **QUICK)


@pytest.fixture
def no_models(monkeypatch):
    """Fails a test that trains a model."""

    def fail(*args, **kwargs):
        raise AssertionError("a model was made")

    monkeypatch.setattr(run_module, "ACTIVA", fail)
    monkeypatch.setattr(run_module, "ScviPosterior", fail)


@pytest.fixture
def runs(monkeypatch):
    """What each run was given, and what each method added."""
    seen = []

    class Spy(run_module.AugmentationRun):
        def __init__(self, train, test, *args):
            super().__init__(train, test, *args)
            self.train, self.test, self.added = train, test, {}
            seen.append(self)

        def _added(self, method, x, max_epochs):
            self.x, self.added[method] = x, super()._added(method, x, max_epochs)
            return self.added[method]

    monkeypatch.setattr(module, "AugmentationRun", Spy)
    return seen


def rows_of(cells):
    return {tuple(row) for row in cells.counts.toarray()}


def test_a_row_for_every_seed_number_and_method(finished):
    _, table = finished
    assert list(table.columns) == [*RESULTS, "seconds"]
    assert (table["label"] == "T").all()
    expected = [(seed, kept, method) for seed in (0, 1) for kept in (6, 2) for method in module.METHODS]
    assert list(table[["seed", "kept", "method"]].itertuples(index=False, name=None)) == expected
    assert table[["f1", "precision", "recall"]].stack().between(0, 1).all()
    # both levels of scVI took its training
    assert (table.loc[table["method"].isin(["activa", "scvi_counts", "scvi_rates"]), "seconds"] > 0.01).all()


def test_the_seed_repeats_bit_by_bit_and_nothing_is_changed(adata, finished):
    before = adata.copy()
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    again = augmentation(adata, **QUICK | {"seeds": [1], "keep": (2,)})
    assert random.getstate() == states[0] and (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.get_rng_state(), states[2])
    # neither other seeds nor other numbers that are kept make a difference
    _, table = finished
    first = table[(table["seed"] == 1) & (table["kept"] == 2)].reset_index(drop=True)
    pd.testing.assert_frame_equal(first[RESULTS], again[RESULTS], check_exact=True)
    pd.testing.assert_frame_equal(before.obs, adata.obs)
    pd.testing.assert_frame_equal(before.var, adata.var)
    assert (before.X != adata.X).nnz == 0 and not adata.uns and not adata.obsm


def test_models_are_trained_on_the_kept_cells_alone(adata, monkeypatch):
    trained = []

    class Spy(run_module.ACTIVA):
        def train(self, *args, **kwargs):
            trained.append(self.adata.copy())
            super().train(*args, **kwargs)

    monkeypatch.setattr(run_module, "ACTIVA", Spy)
    monkeypatch.setattr(ScviPosterior, "__init__", lambda self, adata, *_: trained.append(adata.copy()))
    monkeypatch.setattr(ScviPosterior, "counts", lambda self, cells: csr_matrix((len(cells), adata.n_vars)))
    monkeypatch.setattr(ScviPosterior, "rates", lambda self, cells: csr_matrix((len(cells), adata.n_vars)))
    # one scVI for two methods
    augmentation(adata, **QUICK | {"seeds": 1, "methods": ("activa", "scvi_counts", "scvi_rates")})
    assert len(trained) == 4
    n = adata.obs["cell_type"].value_counts()
    for cells, kept in zip(trained, (6, 6, 2, 2), strict=True):
        found = cells.obs["type"].value_counts()
        assert found["T"] == kept
        for label in ("B", "NK"):
            assert found[label] == n[label] - round(0.2 * n[label])


def test_splits_are_clean_and_numbers_nested(adata, runs):
    augmentation(adata, **QUICK | {"methods": ("none",)})
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


def test_every_method_adds_as_many_cells_of_the_type(adata, runs):
    augmentation(adata, **QUICK | {"seeds": 1})
    for run in runs:
        assert {name: len(x) for name, x in run.added.items()} == {
            name: 0 if name == "none" else 30 for name in module.METHODS
        }
        kept = run.x[run.train.types == "T"]
        assert {tuple(row) for row in run.added["oversampling"]} == {tuple(row) for row in kept}
    between = runs[1].added["smote"]  # two were kept: all lie on the line from one to the other
    first, second = runs[1].x[runs[1].train.types == "T"]
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


def test_a_finished_run_is_read(adata, finished, no_models):
    path, table = finished
    written = path.read_text()
    again = augmentation(adata, path=path, **QUICK)
    pd.testing.assert_frame_equal(table, again, check_exact=True)
    some = augmentation(adata, path=path, **QUICK | {"methods": ["smote", "activa"], "seeds": [1]})
    assert list(some["method"]) == ["smote", "activa"] * 2
    assert path.read_text() == written
    pd.testing.assert_frame_equal(pd.read_csv(path, skiprows=1), table)


def test_an_interrupted_run_goes_on_where_it_was(adata, finished, tmp_path, monkeypatch):
    _, table = finished
    path = tmp_path / "results.csv"
    made = []

    class Interrupted(run_module.ACTIVA):
        def __init__(self, *args, **kwargs):
            made.append(1)
            if len(made) == 3:
                raise KeyboardInterrupt
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(run_module, "ACTIVA", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        augmentation(adata, path=path, **QUICK)
    assert len(pd.read_csv(path, skiprows=1)) == 15
    assert [p.name for p in tmp_path.iterdir()] == ["results.csv"]
    again = augmentation(adata, path=path, **QUICK)
    assert len(made) == 5
    pd.testing.assert_frame_equal(table[RESULTS], again[RESULTS], check_exact=True)


def test_a_file_of_something_else_is_refused(adata, finished, tmp_path, no_models):
    path, _ = finished
    other = adata.copy()
    other.X = adata.X.copy()
    other.X.data[0] += 1
    with pytest.raises(ValueError, match=r"other settings \(data="):
        augmentation(other, path=path, **QUICK)
    with pytest.raises(ValueError, match=r"other settings \(n_trees=20 there, 30 here\)"):
        augmentation(adata, path=path, **QUICK | {"n_trees": 30})
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="no file of this experiment"):
        augmentation(adata, path=tmp_path / "other.csv", **QUICK)
    with pytest.raises(ValueError, match="folder that is not there"):
        augmentation(adata, path=tmp_path / "none" / "results.csv", **QUICK)


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
        ({"methods": ("none", "magic")}, ValueError, "methods .'magic'. are unknown"),
        ({"methods": ()}, ValueError, "methods must name at least one"),
        ({"keep": (5, 500)}, ValueError, "keep=500 of the"),
        ({"keep": (0,)}, ValueError, "keep=0 of the"),
        ({"keep": (0.001,)}, ValueError, "keep=0.001 of the"),
        ({"keep": (1.2,)}, ValueError, "keep=1.2 of the"),
        ({"keep": ()}, ValueError, "keep must name at least one"),
        ({"label": "Mast"}, ValueError, "label='Mast' is no type"),
        ({"labels_key": "kind"}, KeyError, "kind"),
        ({"layer": "raw"}, KeyError, "raw"),
        ({"test_fraction": 1.0}, ValueError, "test_fraction"),
        ({"n_generated": 0}, ValueError, "n_generated"),
        ({"n_trees": 0}, ValueError, "n_trees"),
        ({"scvi_max_epochs": 0}, ValueError, "scvi_max_epochs"),
        ({"seeds": 0}, ValueError, "seeds must name at least one"),
        ({"seeds": [-1]}, ValueError, "seed"),
    ],
)
def test_bad_input_is_refused_before_any_work(adata, monkeypatch, kwargs, error, match):
    monkeypatch.setattr(module, "AugmentationRun", None)
    with pytest.raises(error, match=match):
        augmentation(adata, **QUICK | kwargs)


def test_bad_cells_are_refused_before_any_work(adata, monkeypatch):
    monkeypatch.setattr(module, "AugmentationRun", None)
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
    with pytest.raises(ValueError, match="1 cells without counts"):
        augmentation(empty, **QUICK)


def test_scvi_rates_have_no_noise_of_counting(adata):
    posterior = ScviPosterior(adata.copy(), max_epochs=2, seed=0)
    cells = np.repeat([0, 1], 200)
    rates, counts = (np.expm1(of(cells).toarray()) for of in (posterior.rates, posterior.counts))
    for x in (rates, counts):
        np.testing.assert_allclose(x.sum(axis=1), 1e4, rtol=1e-3)
    assert (rates > 0).all() and (counts == 0).mean() > 0.05
    assert rates[:200].std(axis=0).mean() < 0.5 * counts[:200].std(axis=0).mean()
    # from the posterior of the cell, not its mean
    assert len(np.unique(rates[:200], axis=0)) == 200


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
    _, table = finished
    with pytest.raises(ValueError, match="table lacks .'f1'."):
        augmentation_gain(table.drop(columns="f1"))
    with pytest.raises(ValueError, match="several rows"):
        augmentation_gain(pd.concat([table, table]))
