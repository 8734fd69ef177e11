"""Sets and tables that several files plot."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from tests_helpers import make_counts

from activa import experiments

NAMES = ["correlation_discrepancy", "dropout_curve", "manifold", "marker_expression", "rf_detection"]


@pytest.fixture(scope="module")
def sets():
    """Real and synthetic cells."""
    real, synthetic = make_counts(150, seed=1), make_counts(120, seed=2)
    # in another order, as it may be
    return real, synthetic[:, ::-1].copy()


@pytest.fixture(scope="module")
def forty():
    """Two sets of forty types with long names, which have marker genes."""
    made = []
    for seed, n_cells in enumerate((120, 80)):
        labels = np.arange(n_cells) % 40
        rate = np.where(np.arange(80) // 2 == labels[:, None], 9, 0.5)
        adata = ad.AnnData(csr_matrix(np.random.default_rng(seed).poisson(rate).astype(np.float32)))
        adata.obs["cell_type"] = pd.Categorical([f"a rather long type name {label:02}" for label in labels])
        made.append(adata)
    return made


@pytest.fixture(scope="module")
def tables():
    """Tables of the experiments that train nothing."""
    adata = make_counts(180)
    real, *others = (adata[i::3].copy() for i in range(3))
    sets = dict(zip(["ACTIVA", "held out"], others, strict=True))
    arguments = {name: {"labels_key": "cell_type"} for name in NAMES} | {"dropout_curve": {}}
    arguments["rf_detection"]["n_trees"] = 20
    arguments["manifold"]["genes"] = ["gene_3"]
    return {name: getattr(experiments, name)(real, sets, **arguments[name]) for name in NAMES}
