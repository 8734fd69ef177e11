import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from tests_helpers import make_counts, make_model

from activa.module import OutlierNegativeBinomial
from activa.seeds import seeded

SETUP = {"labels_key": "cell_type", "batch_key": "batch"}
DEEP = {"architecture": "deep"}
REAL_VALUED = ("normal", "mse")
LIKELIHOODS = ["nb-outlier", "nb", *REAL_VALUED]


@pytest.fixture(scope="module", params=LIKELIHOODS)
def model(request):
    adata = make_counts()
    if request.param in REAL_VALUED:
        adata.X = csr_matrix(np.log1p(adata.X.toarray()))
    return make_model(adata, epochs=40, setup=SETUP, gene_likelihood=request.param)


@pytest.fixture(scope="module")
def short():
    return {
        "nb-outlier": make_model(epochs=2, setup=SETUP),
        "nb": make_model(epochs=2, setup=SETUP, gene_likelihood="nb", **DEEP),
    }


def test_normalized_expression(model):
    cells = model.get_normalized_expression(n_samples=4)
    assert list(cells.index) == list(model.adata.obs_names) and list(cells.columns) == list(model.adata.var_names)
    samples = model.get_normalized_expression(n_samples=3, return_mean=False, indices=[4, 9], gene_list=["gene_3"])
    assert samples.shape == (3, 2, 1)
    of = {b: model.get_normalized_expression(transform_batch=b, n_samples=20) for b in ("one", "two")}
    both = model.get_normalized_expression(transform_batch=["one", "two"], n_samples=20)
    np.testing.assert_allclose(both.mean(), (of["one"].mean() + of["two"].mean()) / 2, rtol=0.05)
    assert (of["two"].iloc[:, 20:25].mean() > 1.3 * of["one"].iloc[:, 20:25].mean()).all()
    if model.module.is_count:
        np.testing.assert_allclose(cells.sum(axis=1), 1, rtol=1e-4)
        np.testing.assert_allclose(model.get_normalized_expression(library_size=1e4).sum(axis=1), 1e4, rtol=1e-4)
        observed = np.asarray(model.adata.X.sum(1)).ravel()
        np.testing.assert_allclose(
            model.get_normalized_expression(library_size="latent").sum(axis=1), observed, rtol=1e-4
        )
    else:
        values = model.get_normalized_expression(n_samples=20).mean()
        np.testing.assert_allclose(values, model.adata.X.toarray().mean(0), atol=0.2)
        with pytest.raises(ValueError, match=f"library_size.*{model.module.gene_likelihood}"):
            model.get_normalized_expression(library_size=1e4)


def test_likelihood_parameters_are_those_of_the_distribution(model):
    with seeded(0):
        found = model.get_likelihood_parameters(batch_size=100)
    with seeded(0):
        px = [
            model.module.forward(minibatch, compute_loss=False)[1]["px"]
            for minibatch in model._make_data_loader(adata=model.adata, batch_size=100)
        ]
    n, g = model.adata.shape
    assert all(value.shape == (n, g) and np.isfinite(value).all() for value in found.values())
    p = {name: value.astype(float) for name, value in found.items()}
    mean, variance = p["mean"], p["mean"]
    if "dispersions" in p:
        variance = mean + mean**2 / p["dispersions"]
    if "outlier_share" in p:
        names = ("mean", "dispersions", "outlier_share", "outlier_mean", "outlier_dispersions")
        rebuilt = OutlierNegativeBinomial(*(torch.as_tensor(p[name]) for name in names))
        x = torch.as_tensor(model.adata.X.toarray()).double()
        log_p = torch.cat([d.log_prob(x[100 * i : 100 * i + 100].float()) for i, d in enumerate(px)])
        torch.testing.assert_close(rebuilt.log_prob(x).float(), log_p.detach(), rtol=1e-3, atol=1e-3)
        assert (rebuilt.outlier_mean > rebuilt.mu + 1).all()
        mean, variance = rebuilt.mean.numpy(), rebuilt.variance.numpy()
    if "scale" in p:
        variance = p["scale"] ** 2
    np.testing.assert_allclose(torch.cat([d.mean for d in px]).detach(), mean, rtol=1e-4)
    np.testing.assert_allclose(torch.cat([d.variance.expand_as(d.mean) for d in px]).detach(), variance, rtol=1e-3)
    names = {
        "nb": {"dispersions"},
        "nb-outlier": {"dispersions", "outlier_share", "outlier_mean", "outlier_dispersions"},
        "normal": {"scale"},
        "mse": {"scale"},
    }
    assert set(found) == names[model.module.gene_likelihood] | {"mean"}
    several = model.get_likelihood_parameters(n_samples=3, indices=[1, 2])
    averaged = model.get_likelihood_parameters(n_samples=3, indices=[1, 2], give_mean=True)
    assert all(value.shape == (3, 2, g) for value in several.values())
    assert all(value.shape == (2, g) for value in averaged.values())


def test_feature_correlations(model):
    for kind in ("spearman", "pearson"):
        found = model.get_feature_correlation_matrix(correlation_type=kind, n_samples=5)
        assert list(found.index) == list(found.columns) == list(model.adata.var_names)
        values = found.to_numpy()
        np.testing.assert_allclose(values, values.T, atol=1e-6)
        np.testing.assert_allclose(np.diag(values), 1, atol=1e-6)
        # genes of one type go together, and against those of another
        own = values[10:15, 10:15][np.triu_indices(5, 1)].mean()
        assert own > 0.15 and own > values[10:15, :5].mean() + 0.2
    one = model.get_feature_correlation_matrix(n_samples=1, transform_batch=["one"])
    assert one.shape == (40, 40)


@pytest.mark.parametrize("mode", ["vanilla", "change"])
def test_genes_made_different_are_found(model, mode):
    with seeded(0):
        table = model.differential_expression(groupby="cell_type", group1="B", group2="T", mode=mode, silent=True)
    score = "bayes_factor" if mode == "vanilla" else "lfc_mean"
    top = table[score].sort_values(ascending=False).index[:5]
    assert len(set(top) & {f"gene_{i}" for i in range(5)}) >= 4
    bottom = (
        table["lfc_mean"].nsmallest(5).index
        if mode == "change"
        else table["scale1"].sub(table["scale2"]).nsmallest(5).index
    )
    assert len(set(bottom) & {f"gene_{i}" for i in range(10, 15)}) >= 4
    if mode == "change" and model.module.is_count:
        # they were made eightfold, and shares of the library are that, a little less
        assert 2 < table["lfc_mean"][[f"gene_{i}" for i in range(5)]].mean() < 4


def test_batches_are_no_difference_where_they_are_corrected_for(model):
    with seeded(0):
        table = model.differential_expression(
            groupby="batch", group1="two", group2="one", batch_correction=True, batchid1=["one"], batchid2=["one"],
            mode="change", silent=True,
        )  # fmt: skip
        plain = model.differential_expression(groupby="batch", group1="two", group2="one", mode="change", silent=True)
    made = [f"gene_{i}" for i in range(20, 25)]
    assert plain["lfc_mean"][made].mean() > 2 * table["lfc_mean"][made].abs().mean()


def test_abundances(model):
    # a sample of B cells and one of T cells
    model.adata.obs["sample"] = pd.Categorical(np.where(model.adata.obs["cell_type"] == "B", "rich", "poor"))
    with warnings.catch_warnings():
        # scvi-tools 1.5.1 gives itself a batch size that it does not use
        warnings.filterwarnings("ignore", "(?s).*redundant", UserWarning)
        model.differential_abundance(sample_key="sample")
    found = model.adata.obsm.pop("da_log_probs")
    assert list(found.index) == list(model.adata.obs_names) and set(found.columns) == {"rich", "poor"}
    richer = found["rich"] > found["poor"]
    assert (richer == (model.adata.obs.pop("sample") == "rich")).mean() > 0.85


def test_the_aggregated_posterior_is_of_latents(model):
    n, n_latent = model.adata.n_obs, model.module.n_latent
    mean, variance = model.get_latent_representation(return_dist=True)
    assert mean.shape == variance.shape == (n, n_latent) and (variance > 0).all()
    posterior = model.get_aggregated_posterior(dof=None)
    assert posterior.event_shape == (n_latent,) and posterior.batch_shape == ()
    z = torch.as_tensor(mean[:7])
    components = torch.distributions.Normal(torch.as_tensor(mean), torch.as_tensor(variance).sqrt())
    expected = components.log_prob(z[:, None]).sum(-1).logsumexp(-1) - np.log(n)
    torch.testing.assert_close(posterior.log_prob(z), expected, rtol=1e-3, atol=1e-3)
    drawn = posterior.sample((3_000,)).numpy()
    np.testing.assert_allclose(drawn.mean(0), mean.mean(0), atol=0.15)


def test_bounds_of_the_likelihood(model):
    elbo, error = model.get_elbo(return_mean=False), model.get_reconstruction_error(return_mean=False)
    assert elbo.shape == error["reconstruction_loss"].shape == (model.adata.n_obs,)
    marginal = model.get_marginal_ll(n_mc_samples=60, n_mc_samples_per_pass=20, return_mean=False)
    assert marginal.shape == elbo.shape and marginal.mean() > elbo.mean()
    assert float(model.get_marginal_ll(n_mc_samples=60)) == pytest.approx(float(marginal.mean()), rel=0.02)
    assert (elbo + error["reconstruction_loss"]).mean() < 1  # the rest of the bound is minus a divergence


def test_predictive_samples_are_of_the_batch_asked_for(model):
    one, two = (model.posterior_predictive_sample(n_samples=3, transform_batch=[b]).todense() for b in ("one", "two"))
    assert one.shape == (*model.adata.shape, 3)
    assert two[:, 20:25].mean() > 1.3 * one[:, 20:25].mean()
    real = model.adata.X.toarray()
    np.testing.assert_allclose(model.posterior_predictive_sample().todense().mean(), real.mean(), rtol=0.2)


def test_importance_weights_where_they_are_defined(short):
    with seeded(0):
        found = short["nb"].get_normalized_expression(
            indices=np.arange(20),
            n_samples_overall=50,
            weights="importance",
            return_numpy=True,
            n_mc_samples=20,
            n_mc_samples_per_pass=10,
        )
    assert found.shape == (50, 40)
    for call in (
        lambda m: m.get_normalized_expression(weights="importance", n_samples_overall=10),
        lambda m: m.differential_expression(groupby="cell_type", group1="B", weights="importance", silent=True),
    ):
        with pytest.raises(ValueError, match="weights='importance'.*nb-outlier.*uniform"):
            call(short["nb-outlier"])
