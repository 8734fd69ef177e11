import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array
from sklearn.decomposition import PCA

from activa.data import Cells, log_normalize
from activa.metrics import space
from activa.metrics.space import Space


@pytest.fixture
def wide():
    """More genes than are dense at once in a few cells."""
    counts = random_array((3000, 1000), density=0.05, format="csr", rng=np.random.default_rng(0), dtype=np.float32)
    return Cells(csr_matrix(counts), None, None)


def test_cells_are_projected_without_all_of_them_dense(wide, peak_mib, monkeypatch):
    monkeypatch.setattr(space, "MAX_FITTED", 300)
    fitted = Space(wide, seed=0)
    whole = fitted.project(wide)
    monkeypatch.setattr(space, "DENSE_CELLS", 200)
    np.testing.assert_allclose(fitted.project(wide), whole, atol=1e-4)
    assert peak_mib(lambda: fitted.project(wide)) < 3000 * 1000 * 4 / 2**20 / 2
    assert peak_mib(lambda: fitted.project_together(wide, wide)) < 3000 * 1000 * 4 / 2**20


def test_components_are_fitted_on_so_many_cells_of_each_type(make, monkeypatch):
    train = make(400, seed=2)
    cells = Cells(log_normalize(train.X), train.X, np.asarray(train.obs["cell_type"], dtype=str))
    monkeypatch.setattr(space, "MAX_FITTED", 100)
    seen = []
    fit = PCA.fit
    monkeypatch.setattr(PCA, "fit", lambda self, x: seen.append(x) or fit(self, x))
    Space(cells, seed=0).project(cells)
    Space(cells, seed=0).project_together(cells, cells)
    assert [len(x) for x in seen] == [100, 100]
    b_cells = cells.log_expression[cells.labels == "B"].toarray()
    assert sum((b_cells == row).all(axis=1).any() for row in seen[0]) == 40  # 40% of them
