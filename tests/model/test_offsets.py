import numpy as np
import pytest
from scipy.sparse import csr_matrix
from tests_helpers import make_counts

from activa.model.offsets import count_offsets, mean_offsets


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
