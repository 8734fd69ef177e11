from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from tests_helpers import QUIET, make_counts, make_model

from activa import ACTIVA
from activa.model.start import StartCells, count_offsets, gene_moments, mean_offsets, principal_components

DEEP = {"architecture": "deep"}


def start_of(adata, with_offsets=True, **kwargs):
    y = adata.obs["cell_type"].cat.codes.to_numpy().astype(int)
    settings = {"n_latent": 4, "n_labels": 3, "n_batch": 1, "n_prior_components": 2, "is_count": True} | kwargs
    cells = StartCells(adata.X, y, np.ones(len(y)), np.zeros(len(y), int))
    module = SimpleNamespace(gate=torch.nn.Identity() if with_offsets else None, **settings)
    return principal_components(cells, module, seed=0), y


def test_the_projection_gives_whitened_principal_components():
    adata = make_counts()
    start, _ = start_of(adata)
    x = adata.X.toarray()
    x = np.log1p(x / x.sum(1, keepdims=True) * 1e4)
    scores = (torch.as_tensor(x).float() - start.center) @ start.projection.T
    theirs = PCA(4, whiten=True, svd_solver="full").fit_transform(x)
    for ours, other in zip(scores.numpy().T, theirs.T, strict=True):
        assert abs(np.corrcoef(ours, other)[0, 1]) > 0.999
    np.testing.assert_allclose(scores.std(0), 1, rtol=1e-2)


def test_types_start_at_their_own_expression():
    """At the mean of its latents a type's expression is its share of counts, before anything is learnt."""
    adata = make_counts(n_cells=3_000)
    start, y = start_of(adata)
    x = adata.X.toarray()
    scores = (torch.as_tensor(np.log1p(x / x.sum(1, keepdims=True) * 1e4)).float() - start.center) @ start.projection.T
    overall = torch.as_tensor(np.log(x.sum(0) / x.sum())).float()
    for label in range(3):
        torch.testing.assert_close(start.label_means[label], scores[y == label].mean(0), rtol=1e-3, atol=1e-3)
        logits = overall + start.offsets[label]
        share = x[y == label].sum(0) / x[y == label].sum()
        np.testing.assert_allclose(logits.softmax(-1), share, rtol=0.02, atol=1e-4)


@pytest.mark.parametrize("with_offsets", [True, False])
def test_loadings_leave_to_offsets_what_differs_between_types(with_offsets):
    adata = make_counts()
    start, y = start_of(adata, with_offsets=with_offsets, is_count=False)
    x = adata.X.toarray()
    scores = (torch.as_tensor(x).float() - start.center).numpy() @ start.projection.numpy().T
    if with_offsets:
        means = np.stack([x[y == label].mean(0) for label in range(3)])
        np.testing.assert_allclose(start.offsets, means - x.mean(0), rtol=1e-3, atol=1e-4)
        scores = scores - np.stack([scores[y == label].mean(0) for label in range(3)])[y]
        x = x - means[y]
    else:
        assert start.offsets is None and (start.label_means == 0).all()
    counts = adata.X.toarray().sum(0)
    fit = Ridge(0.1 * len(y), fit_intercept=False).fit(scores, x)
    np.testing.assert_allclose(
        start.loadings, 0.5 * fit.coef_ * (counts / (counts + 100))[:, None], rtol=1e-2, atol=1e-4
    )


def test_few_cells_and_more_latents_than_genes():
    adata = make_counts(n_cells=12, n_genes=8)
    start, _ = start_of(adata, n_latent=20)
    assert start.projection.shape == (20, 8) and all(torch.isfinite(torch.as_tensor(part)).all() for part in start)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    model = ACTIVA(adata, n_latent=20)
    model.train(max_epochs=2, batch_size=4, **QUIET)
    assert model.generate(5).shape == (5, 8)


def test_the_penalty_is_the_weights_negative_log_prior():
    """Loadings and the curve have priors around zero, offsets around where they started."""
    model = make_model(epochs=1)
    generator = model.module.generator
    w, start, curve = generator.mean.weight.detach(), generator.prior_mean, generator.curve[-1].weight.detach()
    assert curve.abs().max() > 0

    def log_prior(values, mean, scale):
        prior = torch.distributions.Normal(mean, scale)
        return (prior.log_prob(values) - prior.log_prob(prior.mean)).sum()

    zero = torch.zeros(())
    n = model.module.n_latent
    terms = log_prior(w[:, :n], zero, 0.05), log_prior(w[:, n:], start[:, n:], 0.3), log_prior(curve, zero, 0.1)
    torch.testing.assert_close(generator.penalty().detach(), -sum(terms) / model.adata.n_obs, rtol=1e-4, atol=1e-6)
    assert float(make_model(epochs=1, **DEEP).module.generator.penalty()) == 0


def test_the_prior_is_fitted_to_the_cells_latents():
    model = make_model(epochs=3)
    z = model.get_latent_representation()
    y = model.adata.obs["cell_type"].cat.codes.to_numpy()
    for label in range(3):
        drawn = model.module.prior.distribution(torch.full((4_000,), label)).sample().numpy()
        np.testing.assert_allclose(drawn.mean(0), z[y == label].mean(0), atol=0.25)


@pytest.mark.parametrize("is_count", [True, False])
def test_moments_are_those_that_the_cells_were_made_with(is_count):
    rng = np.random.default_rng(0)
    library, p = rng.uniform(500, 1500, size=20_000), np.array([0.01, 0.05, 0.2])
    rates = library[:, None] * p
    x = rng.poisson(rates * rng.gamma(20.0, 1 / 20, size=rates.shape)).astype(float)
    if not is_count:
        first, second = gene_moments(csr_matrix(x), library, is_count=False)
        np.testing.assert_allclose(first, x.mean(0), rtol=1e-5)
        np.testing.assert_allclose(second, x.std(0), rtol=1e-4)
        return
    share, theta = gene_moments(csr_matrix(x), library, is_count=True)
    np.testing.assert_allclose(share, p * (x.sum() / library.sum() / p.sum()), rtol=0.1)
    np.testing.assert_allclose(theta, 20.0, rtol=0.25)


def test_a_model_starts_at_its_cells_mean_expression():
    adata = make_counts()
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    share = np.asarray(adata.X.sum(0)).ravel() / adata.X.sum()
    np.testing.assert_allclose(ACTIVA(adata).module.generator.mean.bias.softmax(0).detach(), share, rtol=1e-4)


@pytest.mark.parametrize("is_count", [True, False])
def test_offsets_of_batches_are_differences_within_types(is_count):
    """One batch has more cells of one type and its own expression of five genes: its offsets show only the latter."""
    adata = make_counts(n_cells=4_000)
    y = adata.obs["cell_type"].cat.codes.to_numpy().astype(int)
    rng = np.random.default_rng(1)
    batch = (rng.random(adata.n_obs) < np.where(adata.obs["cell_type"] == "T", 0.8, 0.3)).astype(int)
    own = batch[:, None] & np.isin(np.arange(40), range(30, 35))
    x = rng.poisson(np.where(own, 8.0, 2.0) * (adata.X.toarray() + 1)).astype(float)
    x = x if is_count else np.log1p(x)
    fit = count_offsets if is_count else mean_offsets
    _, batches = fit(csr_matrix(x), y, batch, 3, 3)
    within = []
    for label in range(3):
        means = [x[(y == label) & (batch == b)].mean(0) for b in (0, 1)]
        if is_count:
            means = [np.log(mean / mean.sum()) for mean in means]
        within.append(means[1] - means[0])
    np.testing.assert_allclose(batches[1] - batches[0], np.mean(within, 0), atol=0.12 if is_count else 0.06)
    assert (batches[2] == 0).all()  # a batch without cells
    assert (fit(csr_matrix(x), y, np.zeros_like(y), 3, 1)[1] == 0).all()


def test_fitted_counts_match_those_of_types_and_batches():
    """The property that defines iterative proportional fitting, up to the shrinkage of few counts."""
    adata = make_counts(n_cells=4_000)
    y, batch = (adata.obs[key].cat.codes.to_numpy().astype(int) for key in ("cell_type", "batch"))
    x = adata.X.toarray().astype(float)
    types, batches = count_offsets(csr_matrix(x), y, batch, 3, 2)
    totals = np.zeros((3, 2))
    np.add.at(totals, (y, batch), x.sum(1))
    fitted = totals[..., None] * (x.sum(0) / x.sum()) * np.exp(types[:, None] + batches)
    for axis, codes, n in ((1, y, 3), (0, batch, 2)):
        observed = np.stack([x[codes == code].sum(0) for code in range(n)])
        np.testing.assert_allclose(fitted.sum(axis), observed, rtol=0.05, atol=10)
