from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from activa.metrics._registry import METRICS

from ._pictures import Drawn
from ._verdict import Verdict

# Headings of the table of types, and how its numbers are written.
_TYPE_COLUMNS = {
    "real": ("Real cells", "{:,.0f}"),
    "synthetic": ("Synthetic cells", "{:,.0f}"),
    "recognized": ("Recognized", "{:.0%}"),
    "recognized_floor": ("Recognized, floor", "{:.0%}"),
    "mmd": ("MMD²", "{:.4f}"),
    "mmd_floor": ("MMD², floor", "{:.4f}"),
    "library_size": ("Library size / real", "{:.2f}"),
    "genes": ("Genes per cell / real", "{:.2f}"),
}


def render(
    *,
    name: str,
    sizes: Mapping[str, int],
    n_genes: int,
    verdict: Verdict,
    table: pd.DataFrame,
    types: pd.DataFrame | None,
    figures: Sequence[Drawn],
    settings: Mapping[str, Any],
) -> str:
    """The page, as text.

    Parameters
    ----------
    name
        Of the generator.
    sizes
        Cells of each set, and how many of a set were ``compared``.
    n_genes
        Genes of all sets.
    verdict, table, types, figures, settings
        Its parts, from the top.
    """
    # Names of genes, types and generators are other people's, so nothing of theirs is taken for HTML.
    environment = Environment(
        loader=PackageLoader("activa._report", "page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    tsv = table.to_csv(sep="\t", lineterminator="\n").encode()
    loader = environment.loader
    assert loader is not None
    style, script = (Markup(loader.get_source(environment, file)[0]) for file in ("report.css", "report.js"))
    return environment.get_template("report.html.jinja").render(
        name=name,
        sizes=sizes,
        n_genes=n_genes,
        verdict=verdict,
        metrics=[_metric(str(key), row) for key, row in table.iterrows()],
        type_headings=[heading for key, (heading, _) in _TYPE_COLUMNS.items() if _known(types, key)],
        types=[] if types is None else _rows(types),
        figures=figures,
        settings=settings,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        download=f"data:text/tab-separated-values;base64,{base64.b64encode(tsv).decode('ascii')}",
        style=style,
        script=script,
    )


def _known(types: pd.DataFrame | None, column: str) -> bool:
    return types is not None and bool(types[column].notna().any())


def _rows(types: pd.DataFrame) -> list[dict[str, Any]]:
    """A row a type: its cells as they are sorted (empty: last) and as they are read."""
    shown = {key: written for key, (_, written) in _TYPE_COLUMNS.items() if _known(types, key)}
    return [
        {
            "type": label,
            "values": [
                {"sort": "" if np.isnan(row[key]) else repr(float(row[key])), "text": _text(row[key], written)}
                for key, written in shown.items()
            ],
        }
        for label, row in types.iterrows()
    ]


def _text(value: float, written: str) -> str:
    return "–" if np.isnan(value) else written.format(value)


def _metric(name: str, row: pd.Series) -> dict[str, str]:
    """A row of the table of metrics, its numbers as they are read."""
    numbers = {key: float(row[key]) for key in ("value", "floor", "best")}
    written = "{:.4f}" if max(abs(numbers["value"]), abs(numbers["floor"])) < 0.1 else "{:.3f}"
    shown = {key: _text(number, written) for key, number in numbers.items()}
    return {"name": name, "question": METRICS[name].question, "description": row["description"]} | shown
