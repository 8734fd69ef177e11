import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

N_GENES = 60


def simulate_donors(donors, n_cells: int, seed: int) -> ad.AnnData:
    """Counts of donors who each have a profile of their own, which their name alone decides."""
    rng = np.random.default_rng(seed)
    law = np.random.default_rng(5).gamma(1.0, size=N_GENES)
    blocks, names = [], []
    for donor in donors:
        profile = law * np.random.default_rng([7, donor]).lognormal(0, 0.7, size=N_GENES)
        rate = profile / profile.sum() * rng.lognormal(6, 0.3, size=(n_cells, 1))
        blocks.append(rng.poisson(rate))
        names += [f"donor {donor}"] * n_cells
    obs = pd.DataFrame({"donor": pd.Categorical(names)}, index=[f"cell {i}" for i in range(len(names))])
    var = pd.DataFrame(index=[f"gene{i}" for i in range(N_GENES)])
    return ad.AnnData(csr_matrix(np.vstack(blocks), dtype=np.float32), obs=obs, var=var)


def copies(train: ad.AnnData, seed: int) -> ad.AnnData:
    """The generator that remembers all: training cells, each once, in another order."""
    made = train[np.random.default_rng(seed).permutation(train.n_obs)].copy()
    made.obs_names = [f"made {i}" for i in range(made.n_obs)]
    return made


@pytest.fixture
def make_donors():
    return simulate_donors


@pytest.fixture
def memorize():
    return copies
