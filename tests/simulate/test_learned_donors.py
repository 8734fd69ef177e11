"""The whole chain of donors: cells, what is learned of their donors, a model of the cells, and new donors from it."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from tests_helpers import make_model

from activa import simulate
from activa.simulate import Donors

N_DONORS, N_GENES, N_CELLS = 10, 100, 80


def real_cells(variance: np.ndarray) -> ad.AnnData:
    """Cells of two types of donors, whose log expression varies as given; half of it is common to both types."""
    rng = np.random.default_rng(5)
    common, own = rng.normal(size=(N_DONORS, 1, N_GENES)), rng.normal(size=(N_DONORS, 2, N_GENES))
    rates = rng.lognormal(0.5, 1, (2, N_GENES)) * np.exp((common + own) * (variance / 2) ** 0.5)
    donor = np.repeat(np.arange(N_DONORS), 2 * N_CELLS)
    label = np.tile(np.repeat([0, 1], N_CELLS), N_DONORS)
    depth = rng.lognormal(0, 0.3, (len(donor), 1))
    x = rng.poisson(rates[donor, label] * rng.gamma(2, 0.5, (len(donor), N_GENES)) * depth).astype(np.float32)
    obs = pd.DataFrame({"who": donor.astype(str), "cell_type": np.array(["a", "b"])[label]})
    obs.index = obs.index.astype(str)
    return ad.AnnData(csr_matrix(x), obs=obs, var=pd.DataFrame(index=[f"gene_{i}" for i in range(N_GENES)]))


@pytest.mark.parametrize("batch_key", [None, "who"])
def test_new_donors_vary_as_the_real_ones_do(batch_key):
    variance = np.repeat([0.05, 0.3], N_GENES // 2)
    cells = real_cells(variance)
    real = Donors.learn(cells, donor_key="who", labels_key="cell_type", n=N_DONORS)
    assert real.variance.mean() == pytest.approx(variance.mean(), rel=0.2)
    assert real.variance.iloc[N_GENES // 2 :].mean() > 2 * real.variance.iloc[: N_GENES // 2].mean()

    model = make_model(cells, epochs=4, setup={"labels_key": "cell_type", "batch_key": batch_key})

    def measured(donors: Donors) -> Donors:
        labels = {"a": N_CELLS, "b": N_CELLS}
        new = simulate.experiment(model, conditions={"all": []}, donors=donors, labels=labels, seed=1)
        return Donors.learn(new, donor_key="donor", labels_key="cell_type", n=N_DONORS)

    new = measured(real)
    assert new.variance.mean() == pytest.approx(real.variance.mean(), rel=0.2)
    assert np.corrcoef(new.variance, real.variance)[0, 1] > 0.5
    # the model adds no variance between donors of its own
    assert measured(Donors(N_DONORS, variance=0.0)).variance.mean() < 0.005
