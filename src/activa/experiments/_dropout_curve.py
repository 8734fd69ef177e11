"""How often genes are not detected, against their mean expression."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from activa.experiments._sets import Synthetic, read
from activa.metrics.count_properties import fit_dropout, gene_summary


def dropout_curve(
    real: AnnData,
    synthetic: Synthetic,
    *,
    layer: str | None = None,
    normalized: bool = False,
) -> pd.DataFrame:
    """Dropout rate and mean expression of each gene, and the binomial regression of one on the other.

    The regression (logit link) is of a gene's share of cells without counts on the log10 of its mean, where each cell is
    scaled to 10,000 counts so that sets of other library sizes can be compared. Genes without any count in a set are left
    out of it.

    Parameters
    ----------
    real, synthetic, layer, normalized
        As of :func:`activa.experiments.rf_detection`.

    Returns
    -------
    A row a gene and set: ``set`` (``"real"`` or a name), ``gene``, ``mean`` (counts of 10,000), ``dropout`` (share of cells
    without it), the regression's ``fit`` there, and its pointwise 95% confidence band, ``lower`` to ``upper``.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`activa.experiments.rf_detection`; if a set has fewer than two genes with counts.

    References
    ----------
    Figure S9 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> table = dropout_curve(held_out, {"ACTIVA": synthetic})
    >>> activa.pl.dropout_curve(table)
    """
    tables = []
    for name, of in read(real, synthetic, labels_key=None, layer=layer, normalized=normalized).items():
        scaled = of.log_expression.copy()
        scaled.data = np.expm1(scaled.data)
        expressed, log_mean, zeros = gene_summary(scaled)
        if len(log_mean) < 2:
            raise ValueError(f"{name} has counts of {len(log_mean)} gene(s); a curve needs at least 2.")
        fit, design = fit_dropout(log_mean, zeros, len(of))
        band = fit.get_prediction(design).summary_frame(alpha=0.05)
        tables.append(
            pd.DataFrame(
                {
                    "set": name,
                    "gene": real.var_names[expressed].astype(str),
                    "mean": 10**log_mean,
                    "dropout": zeros / len(of),
                    "fit": band["mean"].to_numpy(),
                    "lower": band["mean_ci_lower"].to_numpy(),
                    "upper": band["mean_ci_upper"].to_numpy(),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)
