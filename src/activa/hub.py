"""A model card for a generator: what it makes, how to use it, and what it is not good for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scvi import REGISTRY_KEYS

from activa.model._plan_cells import BATCH, LABEL, N_CELLS
from activa.optional import import_optional

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

    from activa import ACTIVA

_LIMITS = """\
**Meant for:** methods that need labeled counts whose truth is known, teaching, adding cells of a rare type to the
training set of a classifier, and looking at what such cells are like without asking for the data.

**Not for:**

- Evidence about biology. Cells are drawn from a model of the training cells: however many are drawn, they hold no more
  than those do, and they are no replicates. Tests on them give p-values that shrink with the number asked for.
- Types, batches, tissues or conditions that the model was not trained on, nor any clinical decision.
- Protecting the people whose cells it was trained on. There is no differential privacy: the weights were fitted to the
  cells themselves, rare types are fitted to few of them, and neither `copy_ratio` nor `membership_auc` is a proof that
  nobody can be recognized. If the training cells may not be shared, ask those who said so before sharing this.

`model.pt` is a Python pickle, which can run code when it is loaded: load it only from someone you trust.
"""

_CITATION = """\
```bibtex
@article{heydari2022activa,
  title = {ACTIVA: realistic single-cell RNA-seq generation with automatic cell-type identification using introspective
           variational autoencoders},
  author = {Heydari, A. Ali and Davalos, Oscar A. and Zhao, Lihong and Hoyer, Katrina K. and Sindi, Suzanne S.},
  journal = {Bioinformatics},
  volume = {38}, number = {8}, pages = {2194--2201}, year = {2022},
  doi = {10.1093/bioinformatics/btac095}
}
```
"""


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

    scvi-tools' own helper knows its own models alone. The card holds no cell, but it tells how many there were of each
    type and batch.

    Parameters
    ----------
    model
        A trained model, loaded with or without its data.
    license
        License of the weights, one of Hugging Face's identifiers (``"cc-by-4.0"``). It is for you to know: the license of
        the training data may bind it.
    description
        What the model was made for, in Markdown.
    training_data
        Where the training cells are from, in Markdown: a reference, a link, their license.
    repo_name
        ``"owner/name"`` of the repository on Hugging Face, for the code of the card; None for a local folder.
    realism
        What :func:`activa.metrics.evaluate` gave on cells held out of training: columns ``value``, ``floor``, ``best``
        and ``description``.
    tissues
        Tissues of the training cells, for the repository's tags.

    Returns
    -------
    A card with ``content`` in Markdown, under a header that Hugging Face reads.

    Raises
    ------
    ImportError
        Without huggingface_hub.
    RuntimeError
        If the model has not been trained.
    ValueError
        If ``license`` is empty, or ``realism`` lacks a column.
    TypeError
        If ``tissues`` is a string.

    Examples
    --------
    >>> from importlib.metadata import version
    >>> from scvi.hub import HubMetadata, HubModel
    >>> model.save("model/")
    >>> metadata = HubMetadata.from_dir("model/", anndata_version=version("anndata"), model_parent_module="activa")
    >>> hub_model = HubModel("model/", metadata=metadata, model_card=model_card(model, license="cc-by-4.0"))
    >>> hub_model.save()
    >>> hub_model.load_model(adata=False)
    >>> hub_model.model.generate(100)
    """
    hub: Any = import_optional("huggingface_hub", "model_card", extra="hub")
    model._check_if_trained(warn=False)
    if not isinstance(license, str) or not license:
        raise ValueError(f"license must be an identifier such as 'cc-by-4.0', got {license!r}.")
    if isinstance(tissues, str):
        raise TypeError(f"tissues must be a list of tissues, got the string {tissues!r}: write [{tissues!r}].")
    if realism is not None and (missing := {"value", "floor", "best", "description"} - set(realism.columns)):
        raise ValueError(f"realism must be what evaluate() gives; it has no column {sorted(missing)}.")
    versions = _versions(model)
    header = hub.ModelCardData(
        license=license,
        library_name="scvi-tools",
        tags=[
            "biology",
            "genomics",
            "single-cell",
            "synthetic-data",
            "model_cls_name:ACTIVA",
            f"scvi_version:{versions['scvi-tools']}",
            "modality:rna",
            *(f"tissue:{tissue}" for tissue in tissues),
        ],
    )
    sections = {
        None: _summary(model, description),
        "Use": _usage(model, repo_name),
        "What it generates": _generates(model),
        "Intended use and limits": _LIMITS,
        "Realism": _realism(realism),
        "Training data": training_data or "Not told by the uploader.",
        "Settings": _settings(model),
        "Versions": _table(["package", "version"], versions.items()),
        "Citation": _CITATION,
    }
    text = "\n\n".join(body if title is None else f"## {title}\n\n{body}" for title, body in sections.items())
    return hub.ModelCard(f"---\n{header.to_yaml()}\n---\n\n{text}")


def _summary(model: ACTIVA, description: str | None) -> str:
    kind = "whole counts" if model.module.is_count else "non-negative values"
    summary = (
        f"# ACTIVA\n\nA generator of synthetic single cells: draws cells of the types below as AnnData, {kind} of "
        f"{len(model.trained_genes):,} genes. It is an introspective variational autoencoder with a labeled prior, "
        "trained by activa, a plugin of scvi-tools."
    )
    return summary if description is None else f"{summary}\n\n{description}"


def _usage(model: ACTIVA, repo_name: str | None) -> str:
    largest = model.types[np.argmax(_counts(model, LABEL, len(model.types)))]
    asked = "100" if model._setup_arg("labels_key") is None else f"labels={{{largest!r}: 100}}"
    fetch = "" if repo_name is None else "from huggingface_hub import snapshot_download\n"
    folder = "'.'" if repo_name is None else f"snapshot_download({repo_name!r})"
    where = "In this folder:" if repo_name is None else "No training data are needed:"
    return f"""{where}

```python
{fetch}from activa import ACTIVA

model = ACTIVA.load({folder}, adata=False)
cells = model.generate(1000, seed=0)  # types in training proportions
more = model.generate({asked}, seed=0)  # what you ask for
```

after `pip install {"activa-sc" if repo_name is None else "'activa-sc[hub]'"}`. A seed gives the same cells again."""


def _generates(model: ACTIVA) -> str:
    parts = [_table(["type", "training cells"], zip(model.types, _counts(model, LABEL, len(model.types)), strict=True))]
    if (key := model._setup_arg("batch_key")) is not None:
        batches = model._field(REGISTRY_KEYS.BATCH_KEY)["categorical_mapping"]
        parts.append(
            _table(
                [f"batch (`{key}`)", "training cells"], zip(batches, _counts(model, BATCH, len(batches)), strict=True)
            )
        )
    parts += [f"Covariate: `{name}`." for name in model._design_columns() if name not in (key, None)]
    genes = model.trained_genes
    shown = ", ".join(f"`{gene}`" for gene in genes[:5])
    parts.append(f"Genes: {shown}{f' and {len(genes) - 5:,} more' if len(genes) > 5 else ''} (`model.trained_genes`).")
    return "\n\n".join(parts)


def _counts(model: ACTIVA, column: str, n: int) -> np.ndarray:
    """Training cells of each type or batch, ``(n,)``."""
    return model.design_.groupby(column)[N_CELLS].sum().reindex(range(n), fill_value=0).to_numpy()


def _realism(realism: pd.DataFrame | None) -> str:
    if realism is None:
        return "Not measured, or not told by the uploader."
    rows = [
        (name, *(f"{row[column]:.3f}" for column in ("value", "floor", "best")), row["description"])
        for name, row in realism.iterrows()
    ]
    explained = "`floor` is what a second set of real cells scores, `best` where a perfect generator stands."
    return f"{_table(['metric', 'value', 'floor', 'best', 'what it is'], rows)}\n\n{explained}"


def _settings(model: ACTIVA) -> str:
    setup = {k: v for k, v in model.registry_["setup_args"].items() if v is not None}
    settings = model.init_params_["non_kwargs"] | {
        f"{model.registry_['setup_method_name']}: {name}": value for name, value in setup.items()
    }
    return _table(["setting", "value"], ((k, f"`{v!r}`") for k, v in settings.items() if v is not None))


def _versions(model: ACTIVA) -> dict[str, str]:
    """The version of scvi-tools that trained the model, and those installed here of what it needs to be loaded."""
    here = {name: version(name) for name in ("activa-sc", "anndata", "torch")}
    return {"scvi-tools": model.registry_["scvi_version"]} | here


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown; a pipe in a name would end its cell."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(value).replace("|", "\\|") for value in line) + " |" for line in lines)
