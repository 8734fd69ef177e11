import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from tests_helpers import QUIET, make_counts, make_model

from activa import ACTIVA
from activa.model._components import choose_cells, fit_mixtures, principal_components


def start_of(adata, n_latent=4, **kwargs):
    y = adata.obs["cell_type"].cat.codes.to_numpy()
    settings = {
        "n_latent": n_latent,
        "n_labels": 3,
        "n_components": 2,
        "with_offsets": True,
        "counts": True,
        "seed": 0,
    } | kwargs
    return principal_components(adata.X, y, **settings), y


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
    start, y = start_of(adata, with_offsets=with_offsets, counts=False)
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


def test_mixtures_find_the_groups_of_a_type():
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(-3, 0.5, size=(300, 2)), rng.normal(3, 1.0, size=(100, 2)), rng.normal(size=(1, 2))])
    y = np.repeat([0, 1], [400, 1])
    loc, scale, weight = fit_mixtures(z, y, 3, 2, rng)
    order = loc[0, :, 0].argsort()
    np.testing.assert_allclose(loc[0][order].numpy(), [[-3, -3], [3, 3]], atol=0.3)
    np.testing.assert_allclose(scale[0][order].numpy(), [[0.5, 0.5], [1, 1]], rtol=0.2)
    np.testing.assert_allclose(weight[0][order].numpy(), [0.75, 0.25], atol=0.02)
    # a single cell has no spread of its own, and a label without cells keeps N(0, I)
    assert (scale[1] > 0.7).all() and (loc[2] == 0).all() and (scale[2] == 1).all()
    np.testing.assert_allclose(weight.sum(-1).numpy(), 1, rtol=1e-6)


def test_rare_types_are_looked_at_whole():
    y = np.repeat([0, 1], [20_000, 25])
    cells = choose_cells(y, np.random.default_rng(0), 1_000)
    assert (y[cells] == 1).sum() == 25 and (y[cells] == 0).sum() == pytest.approx(1_000, abs=10)


def test_the_penalty_is_the_weights_negative_log_prior():
    model = make_model(epochs=1, loading_scale=0.2, offset_scale=0.5)
    curve = model.module.generator.curve[-1].weight.detach()
    assert curve.abs().max() > 0
    module = model.module
    w, start = module.generator.mean.weight.detach(), module.generator.prior_mean
    loadings = torch.distributions.Normal(0, 0.2).log_prob(w[:, :5]) - torch.distributions.Normal(0, 0.2).log_prob(
        torch.zeros(())
    )
    offsets = torch.distributions.Normal(start[:, 5:], 0.5).log_prob(w[:, 5:]) - torch.distributions.Normal(
        0, 0.5
    ).log_prob(torch.zeros(()))
    bends = (curve / 0.1).square().sum() / 2
    expected = -(loadings.sum() + offsets.sum() - bends) / model.adata.n_obs
    torch.testing.assert_close(module.generator.penalty().detach(), expected, rtol=1e-4, atol=1e-6)
    assert float(make_model(epochs=1, generator="deep").module.generator.penalty()) == 0


def test_the_prior_is_fitted_to_the_cells_latents():
    model = make_model(epochs=3)
    z = model.get_latent_representation()
    y = model.adata.obs["cell_type"].cat.codes.to_numpy()
    for label in range(3):
        drawn = model.module.prior.distribution(torch.full((4_000,), label)).sample().numpy()
        np.testing.assert_allclose(drawn.mean(0), z[y == label].mean(0), atol=0.25)


@pytest.mark.parametrize("types", [["a", "b", "c"], ["a", "c"], ["a"]])
def test_the_gate_starts_as_a_logistic_regression(types):
    adata = make_counts()
    adata.obs["cell_type"] = np.random.default_rng(0).choice(types, size=adata.n_obs)
    y = adata.obs["cell_type"].map({"a": 0, "b": 1, "c": 2}).to_numpy()
    start = principal_components(
        adata.X, y, n_latent=4, n_labels=3, n_components=2, with_offsets=True, counts=True, seed=0
    )
    x = adata.X.toarray()
    scores = (torch.as_tensor(np.log1p(x / x.sum(1, keepdims=True) * 1e4)).float() - start.center) @ start.projection.T
    found = (scores @ start.gate_weight.T + start.gate_bias).softmax(-1).numpy()
    expected = np.zeros((adata.n_obs, 3))
    if len(types) > 1:
        expected[:, np.unique(y)] = LogisticRegression(max_iter=1_000).fit(scores, y).predict_proba(scores)
    else:
        expected[:, 0] = 1
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("counts", [True, False])
def test_batches_start_at_what_tells_them_apart_within_types(counts):
    """One batch has more of one type, and its own expression of five genes: offsets show these, and no type's genes."""
    adata = make_counts(n_cells=4_000)
    rng = np.random.default_rng(1)
    batch = (rng.random(adata.n_obs) < np.where(adata.obs["cell_type"] == "T", 0.8, 0.3)).astype(int)
    x = rng.poisson(
        np.where(batch[:, None] & np.isin(np.arange(40), range(30, 35)), 8.0, 2.0) * (adata.X.toarray() + 1)
    )
    adata.X = csr_matrix(x if counts else np.log1p(x), dtype=np.float32)
    start, y = start_of(adata, batch=batch, n_batch=3, counts=counts)
    found = (start.batch_offsets[1] - start.batch_offsets[0]).numpy()
    x = adata.X.toarray()
    within = []
    for label in range(3):
        means = [x[(y == label) & (batch == b)].mean(0) for b in (0, 1)]
        if counts:
            means = [np.log(mean / mean.sum()) for mean in means]
        within.append(means[1] - means[0])
    np.testing.assert_allclose(found, np.mean(within, 0), atol=0.12 if counts else 0.06)
    assert (start.batch_offsets[2] == 0).all()  # a batch without a cell
    assert (start_of(adata)[0].batch_offsets == 0).all()
