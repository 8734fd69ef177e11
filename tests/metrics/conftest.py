import tracemalloc

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from activa.metrics import detection

N_GENES = 120
TYPES = ("B", "NK", "T")


def simulate(n_cells: int, seed: int, dispersion: float = 2.0) -> ad.AnnData:
    """Negative binomial counts of three types, with unequal library sizes and a few genes never expressed."""
    profile = np.random.default_rng(1).gamma(0.5, size=(len(TYPES), N_GENES))
    profile[:, :4] = 0
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n_cells) % 10 // 4)  # 40%, 40%, 20%
    rate = profile[labels] / profile.sum(axis=1)[labels, None] * rng.lognormal(6, 0.3, n_cells)[:, None]
    counts = rng.poisson(rate * rng.gamma(dispersion, 1 / dispersion, size=rate.shape))
    obs = pd.DataFrame({"cell_type": pd.Categorical(np.array(TYPES)[labels])}, index=np.arange(n_cells).astype(str))
    var = pd.DataFrame(index=[f"gene{i}" for i in range(N_GENES)])
    return ad.AnnData(csr_matrix(counts, dtype=np.float32), obs=obs, var=var)


@pytest.fixture
def small_forests(monkeypatch):
    """Forests of ten trees, for tests that are not of what a forest finds."""
    monkeypatch.setattr(detection.forest, "__defaults__", (10,))


@pytest.fixture
def make():
    return simulate


@pytest.fixture
def real():
    return simulate(160, seed=0)


@pytest.fixture
def synthetic():
    return simulate(90, seed=1)


@pytest.fixture
def train():
    return simulate(200, seed=2)


@pytest.fixture
def cells():
    """Two sets of cells from one distribution: cells x 8 features."""
    first, second = np.random.default_rng(0).normal(size=(2, 150, 8))
    return first, second


@pytest.fixture
def points():
    """Training, held-out and fresh cells from one distribution: cells x 6 features."""
    train, held_out, fresh = np.random.default_rng(0).normal(size=(3, 200, 6))
    return train, held_out, fresh


@pytest.fixture
def peak_mib():
    """Measures the largest memory in MiB that Python and NumPy allocate during a call."""

    def measure(function) -> float:
        tracemalloc.start()
        try:
            function()
            return tracemalloc.get_traced_memory()[1] / 2**20
        finally:
            tracemalloc.stop()

    return measure
