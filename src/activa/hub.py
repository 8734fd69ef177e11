"""A model card: what a model generates, how to use it, and what it is not good for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from activa.optional import import_optional

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

    from activa.model import ACTIVA
    from activa.sampler import Sampler

_LIMITS = """\
**Meant for:** developing methods on labeled counts, teaching, adding cells of a rare type to the training set of a
classifier, and seeing what such cells look like without asking for the data.

**Not for:**

- Evidence about biology. Cells are drawn from a model of the training cells: however many are drawn, they hold no more
  information than those do, and they are no replicates. Tests on them give p-values that shrink with their number.
- Types, batches, tissues or conditions that the model was not trained on, or any clinical decision.
- Protecting the people whose cells it was trained on. There is no differential privacy: the weights were fitted to the
  cells themselves, rare types were fitted to few of them, and neither `copy_ratio` nor `membership_auc` proves that
  nobody can be recognized. If the training cells may not be shared, ask their owners before sharing this.

`model.pt` is a Python pickle, which can run code when it is loaded: load it only from someone you trust.
"""

_REALISM = {"value", "low", "high", "floor", "floor_low", "floor_high", "judgment", "description"}

_CITATION = (
    "Heydari AA, Davalos OA, Zhao L, Hoyer KK, Sindi SS (2022). ACTIVA: realistic single-cell RNA-seq generation with "
    "automatic cell-type identification using introspective variational autoencoders. *Bioinformatics* 38(8):2194-2201, "
    "[doi:10.1093/bioinformatics/btac095](https://doi.org/10.1093/bioinformatics/btac095)."
)


def model_card(
    model: ACTIVA,
    *,
    license: str,
    description: str | None = None,
    training_data: str | None = None,
    repo_name: str | None = None,
    realism: pd.DataFrame | None = None,
    tissues: Sequence[str] = (),
) -> ModelCard:
    """Write the card of a trained model, for :class:`scvi.hub.HubModel` to put beside it.

    The card holds no cell, but tells how many there were of each type and batch.

    Parameters
    ----------
    model
        A trained model, loaded with or without its data.
    license
        License of the weights, as Hugging Face names it (``"cc-by-4.0"``); that of the training data may restrict it.
    description, training_data
        What the model was made for, and where the training cells are from (reference, link, license), in Markdown.
    repo_name
        ``"owner/name"`` of the repository on Hugging Face, for the code in the card; None for a local folder.
    realism, tissues
        Result of :func:`activa.metrics.evaluate` on held-out cells, and tissues of the training cells (for tags).

    Raises
    ------
    ImportError, RuntimeError, ValueError, TypeError
        If huggingface_hub is not installed; if the model has not been trained; if ``license`` is empty, or ``realism``
        lacks a column or is of several generators; if ``tissues`` is a string.

    Examples
    --------
    >>> from scvi.hub import HubMetadata, HubModel  # doctest: +SKIP
    >>> model.save("model/")  # doctest: +SKIP
    >>> metadata = HubMetadata.from_dir("model/", "0.13", model_parent_module="activa")  # doctest: +SKIP
    >>> card = model_card(model, license="cc-by-4.0")  # doctest: +SKIP
    >>> HubModel("model/", metadata=metadata, model_card=card).save()  # doctest: +SKIP
    """
    hub: Any = import_optional("huggingface_hub", "model_card", extra="hub")
    sampler = model.sampler
    if not isinstance(license, str) or not license:
        raise ValueError(f"license must be an identifier such as 'cc-by-4.0', got {license!r}.")
    if isinstance(tissues, str):
        raise TypeError(f"tissues must be a list of tissues, got the string {tissues!r}: write [{tissues!r}].")
    if realism is not None and (missing := _REALISM - set(realism.columns)):
        raise ValueError(f"realism must be the result of evaluate(); it has no column {sorted(missing)}.")
    if realism is not None and isinstance(realism.index, pd.MultiIndex):
        raise ValueError("realism must be the table of one generator; take that of this model, table.loc[name].")
    registry = model.registry_
    # scvi-tools as in training; of what loading needs, the installed versions
    versions = {"scvi-tools": registry["scvi_version"]} | {n: version(n) for n in ("activa-sc", "anndata", "torch")}
    tags = ["biology", "genomics", "single-cell", "synthetic-data", "model_cls_name:ACTIVA", "modality:rna"]
    tags += [f"scvi_version:{versions['scvi-tools']}", *(f"tissue:{tissue}" for tissue in tissues)]
    settings = sampler.settings.to_dict()
    settings |= {f"{registry['setup_method_name']}: {name}": value for name, value in registry["setup_args"].items()}
    header = hub.ModelCardData(license=license, library_name="scvi-tools", tags=tags)
    sections = {
        None: _summary(sampler, description),
        "Use": _usage(sampler, repo_name),
        "What it generates": _generates(sampler),
        "Intended use and limits": _LIMITS,
        "Realism": _realism(realism),
        "Training data": training_data or "Not told by the uploader.",
        "Settings": _table(["setting", "value"], [(k, f"`{v!r}`") for k, v in settings.items() if v is not None]),
        "Versions": _table(["package", "version"], versions.items()),
        "Citation": _CITATION,
    }
    text = "\n\n".join(body if title is None else f"## {title}\n\n{body}" for title, body in sections.items())
    return hub.ModelCard(f"---\n{header.to_yaml()}\n---\n\n{text}")


def _summary(sampler: Sampler, description: str | None) -> str:
    kind = "whole counts" if sampler.module.is_count else "non-negative values"
    summary = (
        f"# ACTIVA\n\nGenerates synthetic single cells of the types below as AnnData, {kind} of {len(sampler.genes):,} genes. "
        "It is a variational autoencoder with a prior per type, trained by activa, a plugin of scvi-tools."
    )
    return summary if description is None else f"{summary}\n\n{description}"


def _usage(sampler: Sampler, repo_name: str | None) -> str:
    largest = sampler.types[np.argmax(sampler.design.type_sizes)]
    asked = "100" if sampler.design.labels_key is None else f"labels={{{largest!r}: 100}}"
    fetch = "" if repo_name is None else "from huggingface_hub import snapshot_download\n"
    folder = "'.'" if repo_name is None else f"snapshot_download({repo_name!r})"
    where = "In this folder:" if repo_name is None else "No training data are needed:"
    return f"""{where}

```python
{fetch}from activa import ACTIVA

model = ACTIVA.load({folder}, adata=False)
cells = model.generate(1000, seed=0)  # types in training proportions
more = model.generate({asked}, seed=0)  # the types that you name
```

after `pip install {"activa-sc" if repo_name is None else "'activa-sc[hub]'"}`. The same seed gives the same cells."""


def _generates(sampler: Sampler) -> str:
    design, genes = sampler.design, sampler.genes
    parts = [_table(["type", "training cells"], zip(design.types, design.type_sizes, strict=True))]
    if design.batch_key is not None:
        columns = [f"batch (`{design.batch_key}`)", "training cells"]
        parts.append(_table(columns, zip(design.batches, design.batch_sizes, strict=True)))
    parts += [f"Covariate: `{name}`." for name in (*design.categorical, *design.continuous)]
    shown = ", ".join(f"`{gene}`" for gene in genes[:5])
    parts.append(f"Genes: {shown}{f' and {len(genes) - 5:,} more' if len(genes) > 5 else ''} (`model.sampler.genes`).")
    return "\n\n".join(parts)


def _realism(realism: pd.DataFrame | None) -> str:
    if realism is None:
        return "Not measured, or not told by the uploader."
    rows = [
        (
            name,
            *(
                f"{row[column]:.3f} ({row[low]:.3f} to {row[high]:.3f})"
                for column, low, high in (("value", "low", "high"), ("floor", "floor_low", "floor_high"))
            ),
            row["judgment"],
            row["description"],
        )
        for name, row in realism.iterrows()
    ]
    explained = (
        "`value` is the figure of generated cells next to held-out ones, `floor` that of other real cells in their place, "
        "both with 95% intervals. `unlike real` are values that are worse than the floor beyond chance."
    )
    return f"{_table(['metric', 'value', 'floor', 'judgment', 'what it is'], rows)}\n\n{explained}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown; a pipe in a name would end its cell."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(value).replace("|", "\\|") for value in line) + " |" for line in lines)
