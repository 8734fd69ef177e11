"""Expression of marker genes, in real and in generated cells."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from anndata import AnnData

from activa.experiments._sets import REAL, Synthetic, read
from activa.metrics.correlation import markers_of_types


def marker_expression(
    real: AnnData,
    synthetic: Synthetic,
    *,
    labels_key: str,
    types: Sequence[str] | None = None,
    layer: str | None = None,
    normalized: bool = False,
    n_markers: int = 5,
) -> pd.DataFrame:
    """Log expression of each type's top markers in the cells of that type.

    Parameters
    ----------
    real, synthetic, layer, normalized
        As of :func:`activa.experiments.rf_detection`.
    labels_key
        Column of ``obs`` with the types, in every set. The markers are those of the real cells' types.
    types
        Types to look at; by default the two with the most real cells.
    n_markers
        Markers of each type (:func:`activa.metrics.top_markers`).

    Returns
    -------
    A row a cell and gene: ``set`` (``"real"`` or a name), ``type``, ``gene`` (best marker first) and ``expression``, log1p
    of counts scaled to 10,000 a cell.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`activa.experiments.rf_detection`; if there are fewer than two types, or fewer than two real cells of one
        that is asked for.

    References
    ----------
    Figure S11 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> table = marker_expression(held_out, synthetic, labels_key="cell_type")
    >>> activa.pl.marker_expression(table)
    """
    cells = read(real, synthetic, labels_key=labels_key, layer=layer, normalized=normalized)
    markers = markers_of_types(cells[REAL].log_expression, cells[REAL].types, n_markers)
    if types is None:
        largest = pd.Series(cells[REAL].types).value_counts().index
        types = [label for label in largest if label in markers][:2]
    types = [str(label) for label in types]
    if unknown := [label for label in types if label not in markers]:
        raise ValueError(f"types {unknown} have fewer than two real cells; choose from {list(markers)}.")
    tables = []
    for label in types:
        for name, of in cells.items():
            x = of.log_expression[of.types == label][:, markers[label]].toarray()
            wide = pd.DataFrame(x, columns=real.var_names[markers[label]].astype(str))
            tables.append(wide.melt(var_name="gene", value_name="expression").assign(set=name, type=label))
    return pd.concat(tables, ignore_index=True)[["set", "type", "gene", "expression"]]
