"""Correlations between marker genes, in real and in generated cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from activa.experiments._sets import REAL, Synthetic, read
from activa.metrics.correlation import correlation_discrepancy as discrepancy
from activa.metrics.correlation import markers_of_types, pearson


def correlation_discrepancy(
    real: AnnData,
    synthetic: Synthetic,
    *,
    labels_key: str,
    layer: str | None = None,
    normalized: bool = False,
    n_markers: int = 5,
) -> pd.DataFrame:
    """Pearson correlations of marker genes in each set of cells, and their distance from those of real cells.

    Parameters
    ----------
    real, synthetic, layer, normalized
        As of :func:`activa.experiments.rf_detection`.
    labels_key
        Column of ``obs`` with the types, in every set. The markers are those of the real cells' types.
    n_markers
        Markers of each type (:func:`activa.metrics.top_markers`).

    Returns
    -------
    A row a pair of genes (both ways) and set, real cells among them: ``set``, ``gene``, ``other_gene`` (ordered by the
    type that they mark), ``correlation``, and of the set as a whole ``discrepancy``, the 1-norm of the difference of its
    matrix from the real one (:func:`activa.metrics.correlation_discrepancy`), 0 for real cells.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`activa.experiments.rf_detection`; if there are fewer than two types.

    References
    ----------
    Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> table = correlation_discrepancy(held_out, {"ACTIVA": synthetic}, labels_key="cell_type")
    >>> table.groupby("set")["discrepancy"].first()
    >>> activa.pl.correlation_discrepancy(table)
    """
    cells = read(real, synthetic, labels_key=labels_key, layer=layer, normalized=normalized)
    of_types = markers_of_types(cells[REAL].log_expression, cells[REAL].types, n_markers)
    # a gene that marks two types stands with the first
    markers = list(dict.fromkeys(gene for genes in of_types.values() for gene in genes))
    genes = real.var_names[markers].astype(str).to_numpy()
    expression = {name: of.log_expression[:, markers].toarray().astype(float) for name, of in cells.items()}
    tables = [
        pd.DataFrame(
            {
                "set": name,
                "gene": np.repeat(genes, len(genes)),
                "other_gene": np.tile(genes, len(genes)),
                "correlation": pearson(x).ravel(),
                "discrepancy": discrepancy(expression[REAL], x, norm="one"),
            }
        )
        for name, x in expression.items()
    ]
    return pd.concat(tables, ignore_index=True)
