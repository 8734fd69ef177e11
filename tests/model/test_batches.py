"""Cells of a batch, or with a covariate, are as recognizable as real ones, and differ by it alone."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from tests_helpers import make_counts, make_model

COVARIATE_GENES = slice(25, 30)


def made(cells):
    """Half of some made cells: the others are held out."""
    adata = make_counts(1_000)
    x = adata.X.toarray()
    x[adata.obs["sex"] == "m", COVARIATE_GENES] *= 8
    adata.X = type(adata.X)(x)
    return adata[cells].copy()


def log_cpk(adata):
    x = adata.X.toarray()
    return np.log1p(1e3 * x / x.sum(1, keepdims=True))


@pytest.fixture(scope="module")
def model():
    setup = {"labels_key": "cell_type", "batch_key": "batch", "categorical_covariate_keys": ["sex"]}
    return make_model(made(slice(500)), epochs=40, setup=setup)


@pytest.mark.parametrize("key", ["batch", "sex"])
def test_generated_cells_are_recognized_as_often_as_real_ones(model, key):
    judge = LogisticRegression(max_iter=2_000, C=0.1).fit(log_cpk(model.adata), model.adata.obs[key])
    real = made(slice(500, None))
    cells = model.generate(
        labels=list(real.obs["cell_type"]),
        batch=list(real.obs["batch"]),
        covariates={"sex": list(real.obs["sex"])},
        seed=0,
    )
    # of the same types, batches and covariates, cell by cell
    assert list(cells.obs["sex"]) == list(real.obs["sex"])
    found, expected = (np.mean(judge.predict(log_cpk(a)) == a.obs[key].to_numpy()) for a in (cells, real))
    assert 0.7 < expected < 1
    assert found == pytest.approx(expected, abs=0.07)


@pytest.mark.parametrize("key, genes", [("batch", slice(20, 25)), ("sex", COVARIATE_GENES)])
def test_the_counterfactual_moves_the_genes_of_what_was_changed(model, key, genes):
    z = model.get_latent_representation()
    fixed = {"z": z, "labels": list(model.adata.obs["cell_type"]), "library_size": 500.0, "seed": 0}
    own = {"batch": "one", "covariates": {"sex": "f"}}
    other = own | ({"batch": "two"} if key == "batch" else {"covariates": {"sex": "m"}})
    rates = [model.generate(expected=True, **fixed, **kwargs).X for kwargs in (own, other)]
    counts = [model.generate(**fixed, **kwargs).X.toarray() for kwargs in (own, other)]
    # a fixed total is shared out: the genes that are left rise or fall together, and keep their parts of the rest
    rest = np.setdiff1d(np.arange(40), np.arange(40)[genes])
    for first, second in (rates, counts):
        assert second[:, genes].sum() > 1.7 * first[:, genes].sum()
        shares = [x[:, rest].sum(0) / x[:, rest].sum() for x in (first, second)]
        np.testing.assert_allclose(shares[1], shares[0], rtol=0.3, atol=0.004)
    again = model.generate(**fixed, **own).X.toarray()
    np.testing.assert_array_equal(again, counts[0])


def test_a_batch_has_the_states_that_its_cells_are_in():
    """One type, in a state that nine of ten cells of one batch are in, and one of ten of the other."""
    adata = make_counts(600)
    rng = np.random.default_rng(1)
    active = rng.random(600) < np.where(adata.obs["batch"] == "one", 0.9, 0.1)
    x = adata.X.toarray()
    x[active, 30:36] = 6 * x[active, 30:36] + 4
    adata.X = type(adata.X)(x)
    model = make_model(adata, epochs=30, setup={"labels_key": None, "batch_key": "batch"})
    state = log_cpk(adata)[:, 30:36].sum(1)
    threshold = (np.percentile(state[active], 1) + np.percentile(state[~active], 99)) / 2
    for batch in ("one", "two"):
        shares = [
            (log_cpk(cells)[:, 30:36].sum(1) > threshold).mean()
            for cells in (adata[adata.obs["batch"] == batch], model.generate(2_000, batch=batch, seed=0))
        ]
        assert shares[1] == pytest.approx(shares[0], abs=0.08)
