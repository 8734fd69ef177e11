import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix, random_array
from sklearn.decomposition import PCA

from activa.data import Cells, log_normalize
from activa.metrics import evaluate, space
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


def test_evaluate_comes_near_its_exact_figures_with_components_of_fewer_cells(make, monkeypatch):
    names = ["mmd", "wasserstein", "label_fidelity", "copy_ratio"]
    sets = {"train": make(400, seed=2), "floor": make(300, seed=4), "labels_key": "cell_type", "metrics": names}
    real, synthetic = make(300, seed=0), make(300, seed=3)
    exact = evaluate(real, synthetic, **sets)
    monkeypatch.setattr(space, "MAX_FITTED", 200)
    found = evaluate(real, synthetic, **sets)
    pd.testing.assert_frame_equal(found, evaluate(real, synthetic, **sets))
    assert (found.value != exact.value).any()
    # these components see less of 200 cells' noise than those of 400, in the floor as in the value
    for column in ("value", "floor"):
        difference = (found[column] - exact[column]).abs()
        assert difference["mmd"] < 0.003
        assert difference["label_fidelity"] < 0.03
        assert difference["copy_ratio"] < 0.05
    ratio = (found.value / found.floor - exact.value / exact.floor)["wasserstein"]
    assert abs(ratio) < 0.02
