"""What is learned of donors is what made donors were given, and simulated donors have it again."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from tests_helpers import make_counts

from activa import simulate
from activa.simulate import Donors


def made(variance: float, shared: float, *, n_donors: int = 12, n_cells: int = 150, n_genes: int = 400, seed: int = 0):
    """Cells of two types of donors whose log expression varies as given; cells vary within donors, too."""
    rng = np.random.default_rng(seed)
    mean = rng.lognormal(0, 1, (2, n_genes))
    common = rng.normal(size=(n_donors, 1, n_genes)) * shared**0.5
    own = rng.normal(size=(n_donors, 2, n_genes)) * (1 - shared) ** 0.5
    rates = mean * np.exp((common + own) * variance**0.5)
    donor, label = (a.ravel() for a in np.meshgrid(np.arange(n_donors), np.arange(2), indexing="ij"))
    donor, label = np.repeat(donor, n_cells), np.repeat(label, n_cells)
    depth = rng.lognormal(0, 0.3, len(donor)) * np.exp(rng.normal(size=n_donors) * 0.4)[donor]
    x = rng.poisson(rates[donor, label] * rng.gamma(2, 0.5, (len(donor), n_genes)) * depth[:, None])
    obs = pd.DataFrame(
        {"donor": donor.astype(str), "cell_type": np.array(["a", "b"])[label]}, index=np.arange(len(donor)).astype(str)
    )
    return ad.AnnData(csr_matrix(x.astype(np.float32)), obs=obs)


def learn(cells: ad.AnnData) -> Donors:
    return Donors.learn(cells, donor_key="donor", labels_key="cell_type", n=12)


@pytest.mark.parametrize("variance", [0.05, 0.3])
@pytest.mark.parametrize("shared", [0.0, 0.7])
def test_variance_and_its_shared_part_are_learned(variance, shared):
    found = learn(made(variance, shared))
    assert found.variance.mean() == pytest.approx(variance, rel=0.2)
    assert found.shared == pytest.approx(shared, abs=0.1)
    assert found.library_spread == pytest.approx(0.4, rel=0.5)  # of twelve draws


def test_donors_who_do_not_differ_have_no_variance():
    found = learn(made(0.0, 0.5))
    assert found.variance.mean() < 0.005


def test_variances_of_genes_are_shrunk_and_not_lost():
    few, many = (learn(made(0.2, 0.5, n_cells=n)) for n in (15, 150))
    assert few.variance.std() < 0.2 and many.variance.std() > 0
    assert few.variance.mean() == pytest.approx(0.2, rel=0.3)


def test_composition_is_learned():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([6.0, 14.0], size=40)
    donor = np.repeat(np.arange(40), 100)
    label = np.array(["a", "b"])[(rng.random(4000) > p[donor, 0]).astype(int)]
    obs = pd.DataFrame({"donor": donor.astype(str), "cell_type": label}, index=np.arange(4000).astype(str))
    cells = ad.AnnData(csr_matrix(rng.poisson(2.0, (4000, 5)).astype(np.float32)), obs=obs)
    assert learn(cells).concentration == pytest.approx(20, rel=0.5)
    cells.obs["cell_type"] = np.tile(["a", "b"], 2000)
    assert learn(cells).concentration is None


def test_simulated_donors_vary_as_asked(wide):
    asked = Donors(12, variance=0.2, shared=0.6, library_spread=0.4)
    labels = {"B": 150, "T": 150}
    cells = simulate.experiment(wide, conditions={"a": []}, donors=asked, labels=labels, batch="one", seed=0)
    found = learn(cells)
    assert found.variance.mean() == pytest.approx(0.2, rel=0.2)
    assert found.shared == pytest.approx(0.6, abs=0.15)
    assert found.library_spread == pytest.approx(0.4, rel=0.5)
    plain = simulate.experiment(wide, labels=labels, conditions={"a": []}, batch="one", seed=0)
    # expected counts over donors are those of the model
    many = simulate.experiment(
        wide, conditions={"a": []}, donors=Donors(200, variance=0.2), labels="T", n=5, batch="one", rates=True, seed=1
    )
    none = simulate.experiment(wide, conditions={"a": []}, labels="T", n=1000, batch="one", rates=True, seed=1)
    assert many.layers["rates"].sum() == pytest.approx(none.layers["rates"].sum(), rel=0.03)
    assert "donor" not in plain.obs


def test_learned_variances_are_of_the_genes_by_name(wide):
    variance = pd.Series(np.linspace(0, 0.3, 1000), index=wide.adata.var_names)[::-1]
    assert Donors(2, variance).of_genes(wide.sampler.genes) == pytest.approx(np.linspace(0, 0.3, 1000))


def test_what_cannot_be_learned_is_refused():
    cells = make_counts()
    cells.obs["donor"] = "one"
    with pytest.raises(ValueError, match="two donors"):
        learn(cells)
    with pytest.raises(KeyError):
        Donors.learn(cells, donor_key="nobody", labels_key="cell_type", n=2)
    cells.obs["donor"] = np.arange(cells.n_obs).astype(str)
    with pytest.raises(ValueError, match="10 cells"):
        learn(cells)
    cells.X = cells.X * 0.5
    with pytest.raises(ValueError, match="counts"):
        learn(cells)
