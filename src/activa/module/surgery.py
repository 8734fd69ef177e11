"""Weights of new batches and covariate categories for a trained model (scArches), and freezing of all others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch.nn import BatchNorm1d

from activa.module.cell_model import CellModel


class Categories(NamedTuple):
    """Numbers of batches and of each categorical covariate's categories."""

    batches: int
    covariates: tuple[int, ...]


class Column(NamedTuple):
    """A column of extended weights."""

    sources: tuple[int, ...]  # columns of the old weights whose mean it starts from; empty for zero
    is_new: bool  # whether it belongs to a new category


def categories(module: CellModel) -> Categories:
    """The numbers of categories that a module has weights for."""
    return Categories(module.n_batch, module.n_cats_per_cov)


def _covariate_weights(module: CellModel) -> dict[str, int]:
    """Weights and buffers with columns for the covariates, by name, and the number of columns before those."""
    names = ["mean.weight", "prior_mean", "curve.0.0.weight"] if module.is_linear else ["hidden.0.weight"]
    return {
        "encoder.hidden.0.weight": module.n_input,
        "library.layers.0.weight": module.n_latent,
        **{f"generator.{name}": module.n_latent for name in names},
    }


def _extended_columns(module: CellModel, old: Categories) -> dict[str, list[Column]]:
    """For each extended weight or buffer, the origin of each column (last dimension); new categories follow the old."""
    state, now = module.state_dict(), categories(module)
    numbers = list(zip((old.batches, *old.covariates), (now.batches, *now.covariates), strict=True))
    columns = {}
    for name, before in _covariate_weights(module).items():
        extended, last = [Column((i,), False) for i in range(before)], before
        for i, (n_old, n_new) in enumerate(numbers):
            # a single batch has no column
            n_old_columns, n_new_columns = (n if i > 0 or n > 1 else 0 for n in (n_old, n_new))
            known = range(last, last + n_old_columns)
            # a new category starts at the mean of the known ones
            starts = [(column,) for column in known] + [tuple(known)] * (n_new_columns - n_old_columns)
            extended += [Column(start, j >= n_old) for j, start in enumerate(starts)]
            last = known.stop
        n_after = state[name].shape[-1] - len(extended)
        columns[name] = extended + [Column((last + i,), False) for i in range(n_after)]
    known_batches = [Column((i,), False) for i in range(old.batches)]
    for name in {"library_bounds", "prior.batch_logits"} & set(state):
        columns[name] = known_batches + [Column((), True)] * (now.batches - old.batches)
    return columns


def extend(module: CellModel, reference: CellModel) -> None:
    """Copy a reference's weights into a module with more categories; for known ones it computes what the reference does."""
    device = module.label_means.device
    state = {name: tensor.to(device) for name, tensor in reference.state_dict().items()}
    n_cells = module.generator.n_cells.clone()
    for name, columns in _extended_columns(module, categories(reference)).items():
        old = state[name]
        zero = old.new_zeros(old.shape[:-1])
        means = [old[..., list(column.sources)].mean(-1) if column.sources else zero for column in columns]
        state[name] = torch.stack(means, dim=-1)
        if name == "generator.prior_mean":
            # the prior holds a new category near its start, not near zero effect
            new = torch.tensor([column.is_new for column in columns], device=device)
            state[name] = torch.where(new, state["generator.mean.weight"], state[name])
    # the priors' weight depends on the number of training cells
    state["generator.n_cells"] = n_cells
    module.load_state_dict(state)


@contextmanager
def frozen_but_new(module: CellModel, old: Categories) -> Iterator[None]:
    """Context in which only weights of new categories have gradients and running statistics stay (no weight decay)."""
    trainable = {name: p.requires_grad for name, p in module.named_parameters()}
    columns = _extended_columns(module, old)
    hooks = []
    for name, parameter in module.named_parameters():
        new = torch.tensor([column.is_new for column in columns.get(name, ())], dtype=torch.bool)
        parameter.requires_grad_(trainable[name] and bool(new.any()))
        if parameter.requires_grad:
            keep_new = lambda gradient, new=new: torch.where(new.to(gradient.device), gradient, 0.0)
            hooks.append(parameter.register_hook(keep_new))
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
