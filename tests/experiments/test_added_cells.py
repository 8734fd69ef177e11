"""What the methods of the augmentation experiment add."""

import numpy as np

from activa.data import Cells, log_normalize
from activa.experiments import added_cells, augmentation
from activa.experiments.added_cells import METHODS, AugmentationRun, gaussian, posterior

QUICK = {
    "labels_key": "cell_type", "keep": (6, 2), "n_generated": 30, "seeds": 2, "n_trees": 20, "max_epochs": 1,
    "scvi_max_epochs": 1,
}  # fmt: skip


def test_models_are_trained_on_the_kept_cells_alone(adata, monkeypatch):
    trained = []

    class Spy(added_cells.ACTIVA):
        def train(self, *args, **kwargs):
            trained.append(self.adata.copy())
            super().train(*args, **kwargs)

    monkeypatch.setattr(added_cells, "ACTIVA", Spy)
    train_scvi = added_cells.SCVI.train

    def spy(self, *args, **kwargs):
        trained.append(self.adata.copy())
        train_scvi(self, *args, **kwargs)

    monkeypatch.setattr(added_cells.SCVI, "train", spy)
    # one scVI for two methods
    augmentation(adata, **QUICK | {"seeds": 1, "methods": ("activa", "scvi_counts", "scvi_rates")})
    assert len(trained) == 4
    n = adata.obs["cell_type"].value_counts()
    for cells, kept in zip(trained, (6, 6, 2, 2), strict=True):
        found = cells.obs["type"].value_counts()
        assert found["T"] == kept
        for label in ("B", "NK"):
            assert found[label] == n[label] - round(0.2 * n[label])


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


def test_scvi_rates_have_no_noise_of_counting(adata):
    types = adata.obs["cell_type"].to_numpy(dtype=str)
    train = Cells(log_normalize(adata.X), adata.X, types)
    run = AugmentationRun(train, train, adata.var_names, "T", 400, 0, scvi_max_epochs=2)
    cells = np.repeat([0, 1], 200)
    rates, counts = (
        np.expm1(posterior(run.scvi[0], cells, method, 0).toarray()) for method in ("scvi_rates", "scvi_counts")
    )
    for x in (rates, counts):
        np.testing.assert_allclose(x.sum(axis=1), 1e4, rtol=1e-3)
    assert (rates > 0).all() and (counts == 0).mean() > 0.05
    assert rates[:200].std(axis=0).mean() < 0.5 * counts[:200].std(axis=0).mean()
    # from the posterior of the cell, not its mean
    assert len(np.unique(rates[:200], axis=0)) == 200
