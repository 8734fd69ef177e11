"""New batches and covariate categories for a trained module (scArches): weights put where they belong, and freezing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import BatchNorm1d

from activa.module._module import ACTIVAModule
from activa.module._prior import LabeledPrior


class Categories(NamedTuple):
    """What a module knows of batches and categorical covariates: the numbers of their categories."""

    batches: int
    covariates: tuple[int, ...]


class Column(NamedTuple):
    """A column of extended weights."""

    sources: tuple[int, ...]
    """The columns of the old weights whose mean it starts from; none for zero."""
    is_new: bool
    """Whether it belongs to a category that the old module did not know."""


def categories(module: ACTIVAModule) -> Categories:
    """The numbers of categories that a module was made for."""
    return Categories(module.n_batch, module.n_cats_per_cov)


def _covariate_weights(module: ACTIVAModule) -> dict[str, int]:
    """Weights and buffers that read the covariates' columns, by name, and how many columns come before those."""
    before = {"encoder.hidden.0.weight": module.n_input, "library.layers.0.weight": module.n_latent}
    generator = module.generator
    names = ["hidden.0.weight"] if len(generator.hidden) else ["mean.weight", "prior_mean"]
    if generator.dropout_logits is not None and not len(generator.hidden):
        names.append("dropout_logits.weight")
    if generator.curve is not None:
        names.append("curve.0.0.weight")
    return before | {f"generator.{name}": module.n_latent for name in names}


def _columns(before: int, blocks: list[tuple[range, int, int]], n_old_columns: int) -> list[Column]:
    """Columns of extended weights.

    Parameters
    ----------
    before
        Columns before the categories'.
    blocks
        For each categorical input its columns in the old weights, and the old and the new number of categories; the
        new weights have none for a single batch, as the old.
    n_old_columns
        Columns of the old weights; those after the categories' stay as they are.
    """
    columns = [Column((i,), False) for i in range(before)]
    last = before
    for old, n_old, n_new in blocks:
        # a new category starts as the mean of the known ones
        columns += [Column((old[i],) if i < len(old) else tuple(old), i >= n_old) for i in range(n_new)]
        last = old.stop
    return columns + [Column((i,), False) for i in range(last, n_old_columns)]


def extended_columns(module: ACTIVAModule, old: Categories) -> dict[str, list[Column]]:
    """Where the columns of a module's weights come from in those of a module that knew fewer categories.

    The one-hot batch and covariates are in the middle of the networks' inputs, between latent (or genes) and types: a
    new category moves the columns that follow.

    Parameters
    ----------
    module
        Module with the new categories, each after the old ones.
    old
        Categories that were known.

    Returns
    -------
    Name of weights or buffer -> one entry for each of its columns (its last dimension).
    """
    state, now = module.state_dict(), categories(module)

    def blocks(start: int, *, single: bool) -> list[tuple[range, int, int]]:
        found = []
        for i, (n_old, n_new) in enumerate(
            zip((old.batches, *old.covariates), (now.batches, *now.covariates), strict=True)
        ):
            # one batch needs no column
            has_columns = [single or i > 0 or n > 1 for n in (n_old, n_new)]
            width = n_old if has_columns[0] else 0
            found.append((range(start, start + width), n_old, n_new if has_columns[1] else 0))
            start += width
        return found

    columns = {}
    for name, before in _covariate_weights(module).items():
        parts = blocks(before, single=False)
        n_added = sum(n_new - len(of_old) for of_old, _, n_new in parts)
        columns[name] = _columns(before, parts, state[name].shape[-1] - n_added)
    if isinstance(module.prior, LabeledPrior):
        known = [Column((i,), False) for i in range(old.batches)]
        columns["prior.batch_logits"] = known + [Column((), True)] * (now.batches - old.batches)
    if module.likelihood.dispersion == "gene-batch":
        columns["likelihood.px_r"] = _columns(0, blocks(0, single=True)[:1], old.batches)
    return columns


def extend(module: ACTIVAModule, reference: ACTIVAModule) -> None:
    """Give a module the weights of one that knew fewer batches or categories of covariates.

    What it makes of cells of the known categories is what the reference makes of them.

    Parameters
    ----------
    module
        Module made like the reference, but for more batches or categories.
    reference
        Trained module; it is left as it is.
    """
    device = module.margin.device
    state = {name: tensor.to(device) for name, tensor in reference.state_dict().items()}
    n_cells = module.generator.n_cells.clone()
    for name, columns in extended_columns(module, categories(reference)).items():
        old = state[name]
        zero = old.new_zeros(old.shape[:-1])
        state[name] = torch.stack(
            [old[..., list(column.sources)].mean(-1) if column.sources else zero for column in columns], dim=-1
        )
        if name == "generator.prior_mean":
            # a new category is held near where it starts, not near no effect
            new = torch.tensor([column.is_new for column in columns], device=device)
            state[name] = torch.where(new, state["generator.mean.weight"], state[name])
    # what the priors of weights are set against is the cells that are trained on
    state["generator.n_cells"] = n_cells
    module.load_state_dict(state)


@contextmanager
def frozen_but_new(module: ACTIVAModule, old: Categories) -> Iterator[None]:
    """Let training move nothing but the weights of categories that are not among the old ones.

    Gradients of all other weights are zero, or not computed, and running statistics stand still. An optimizer must add
    nothing of its own to a gradient of zero (no weight decay).

    Parameters
    ----------
    module
        Module in training mode.
    old
        Categories whose cells must be read and generated as before.
    """
    trainable = {name: p.requires_grad for name, p in module.named_parameters()}
    columns = extended_columns(module, old)
    hooks = []
    for name, parameter in module.named_parameters():
        new = torch.tensor([column.is_new for column in columns.get(name, ())], dtype=torch.bool)
        parameter.requires_grad_(trainable[name] and bool(new.any()))
        if parameter.requires_grad:
            hooks.append(parameter.register_hook(_keep(new)))
    for part in module.modules():
        if isinstance(part, BatchNorm1d):
            part.eval()
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(trainable[name])


def _keep(columns: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda gradient: torch.where(columns.to(gradient.device), gradient, 0.0)
