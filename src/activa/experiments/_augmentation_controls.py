"""What augmentation by ACTIVA is compared with: copies, points between cells, a Gaussian, and scVI's posterior."""

from __future__ import annotations

import warnings

import numpy as np
from anndata import AnnData
from scipy.sparse import csr_matrix
from scvi.model import SCVI

from activa.data import TARGET_SUM, log_normalize
from activa.optional import import_optional
from activa.scvi_private import split_seed
from activa.seeds import seeded

_NEIGHBOURS = 5


def oversampled(components: np.ndarray, n: int, seed: int) -> np.ndarray:
    """``n`` of the cells, drawn with replacement: nothing new."""
    return components[np.random.default_rng(seed).integers(len(components), size=n)]


def smote(components: np.ndarray, types: np.ndarray, label: str, n: int, seed: int) -> np.ndarray:
    """``n`` points between cells of the type and their neighbors in it (five, or as many as there are).

    Chawla et al. 2002, doi:10.1613/jair.953. Needs two cells of the type.
    """
    over_sampling = import_optional("imblearn.over_sampling", "method 'smote'", extra="experiments")
    n_cells = int((types == label).sum())
    sampler = over_sampling.SMOTE(
        sampling_strategy={label: n_cells + n}, k_neighbors=min(_NEIGHBOURS, n_cells - 1), random_state=seed
    )
    return sampler.fit_resample(components, types)[0][len(components) :]


def gaussian(components: np.ndarray, types: np.ndarray, label: str, n: int, seed: int) -> np.ndarray:
    """``n`` points around the mean of the type's cells, spread as the cells of other types are around theirs."""
    own = types == label
    others, codes = components[~own], np.unique(types[~own], return_inverse=True)[1]
    means = np.stack([others[codes == code].mean(axis=0) for code in range(codes.max() + 1)])
    covariance = np.cov(others - means[codes], rowvar=False)
    rng = np.random.default_rng(seed)
    # few cells leave a covariance that is singular, up to rounding
    return rng.multivariate_normal(components[own].mean(axis=0), covariance, size=n, check_valid="ignore")


class ScviPosterior:
    """scVI with its default settings, trained on all the cells that ACTIVA is trained on.

    Parameters
    ----------
    adata
        Cells x genes of counts; registered here.
    max_epochs
        Epochs; scvi-tools' default for None.
    seed
        Of weights, training and draws.
    """

    def __init__(self, adata: AnnData, max_epochs: int | None, seed: int) -> None:
        self._seed = seed
        with seeded(seed), split_seed(seed), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
            SCVI.setup_anndata(adata)
            self._model = SCVI(adata)
            # Cells held out would be some of the few that there are; a step's losses are not looked at.
            self._model.train(max_epochs, train_size=1.0, enable_progress_bar=False, log_every_n_steps=1)

    def counts(self, cells: np.ndarray) -> csr_matrix:
        """Counts drawn from the posterior predictive of these cells, log-normalized."""
        with seeded(self._seed):
            drawn = self._model.posterior_predictive_sample(indices=cells)
        return log_normalize(csr_matrix(drawn.to_scipy_sparse()))

    def rates(self, cells: np.ndarray) -> csr_matrix:
        """Rates at latents drawn from the posterior of these cells, without the noise of counting, log-normalized."""
        with seeded(self._seed):
            rates = self._model.get_normalized_expression(indices=cells, library_size=TARGET_SUM, return_numpy=True)
        return csr_matrix(np.log1p(rates))
