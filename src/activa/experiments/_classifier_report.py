"""How well the model's classifier recognizes types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.metrics import classification_report

from activa.data import check_sets

if TYPE_CHECKING:
    from activa.model import ACTIVA

_SUMMARIES = {"accuracy": "accuracy", "macro avg": "macro average", "weighted avg": "weighted average"}


def classifier_report(model: ACTIVA, train: AnnData, test: AnnData, *, labels_key: str) -> pd.DataFrame:
    """Precision, recall and F1 of the model's ACTINN classifier, type by type, on training and on test cells.

    Parameters
    ----------
    model
        A trained model.
    train, test
        The cells that it was trained on and held-out ones, with the model's genes, and counts where they were at
        registration.
    labels_key
        Column of ``obs`` with the types, in both.

    Returns
    -------
    A row a set and type, then one each for accuracy, macro average (each type counts the same) and weighted average (each
    counts by its cells): ``set`` (``"train"`` or ``"test"``), ``type`` (a type, ``"accuracy"``, ``"macro average"`` or
    ``"weighted average"``), ``precision``, ``recall``, ``f1`` (each between 0 and 1; of the accuracy's row ``f1`` holds the
    accuracy, and the others are NaN) and ``cells``. As in scikit-learn, a type that is predicted for some of a set's cells
    but is the type of none has a row, with zeros, and counts in the macro average; one never predicted has precision 0.

    Raises
    ------
    TypeError, KeyError, ValueError
        If a set is no AnnData, lacks ``labels_key`` or has cells without a type, or does not fit the model
        (:meth:`activa.ACTIVA.predict`).
    RuntimeError
        If the model has not been trained.

    References
    ----------
    Tables S5 to S7 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> table = classifier_report(model, train, held_out, labels_key="cell_type")
    >>> table[table["type"] == "macro average"]
    >>> activa.pl.classifier_report(table)
    """
    sets = {"train": train, "test": test}
    for name, adata in sets.items():
        if not isinstance(adata, AnnData):
            raise TypeError(f"{name} must be an AnnData, found {type(adata).__name__}.")
        # One at a time: whether genes are the model's is for predict to say.
        check_sets({name: adata}, labels_key, None)
    tables = []
    for name, adata in sets.items():
        predicted = np.asarray(model.predict(adata), dtype=str)
        labels = np.asarray(adata.obs[labels_key], dtype=str)
        report = classification_report(labels, predicted, output_dict=True, zero_division=0)
        report["accuracy"] = {"f1-score": report["accuracy"], "support": len(labels)}
        columns = ["precision", "recall", "f1-score", "support"]
        table = pd.DataFrame(list(report.values()), index=list(report), columns=columns)
        table = table.astype({"support": int}).rename(columns={"f1-score": "f1", "support": "cells"})
        tables.append(table.rename(index=_SUMMARIES).rename_axis("type").reset_index().assign(set=name))
    return pd.concat(tables, ignore_index=True)[["set", "type", "precision", "recall", "f1", "cells"]]
