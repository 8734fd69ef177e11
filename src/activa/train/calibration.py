"""Calibration of the cells' quality after training: generated cells are given the facts that the training cells have."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from scvi import REGISTRY_KEYS
from torch import Tensor
from torch.optim import Adam

from activa.losses import energy_distance
from activa.module import ACTIVAModule, CellQuality, Condition, cell_facts, sample_with_change
from activa.progress import progress
from activa.seeds import torch_generator

MIN_CELLS = 100
"""Training cells below which a model is not calibrated."""
_N_STEPS, _N_CELLS, _LR = 40, 128, 0.15
_BOUND = 6.0  # of whitened facts, in standard deviations


def calibrate(module: ACTIVAModule, minibatches: Iterable[dict[str, Tensor]], *, seed: int) -> None:
    """Move the mean and the spread of the clumping so that facts of generated cells are distributed as the real ones.

    Training sees latents that know their cell's counts by heart, and finds too little clumping for cells that it has not
    seen; and it draws a quality that a cell's counts show weakly too near to the mean. So both numbers are learned once
    more from cells that the prior generates, which are compared with the training cells by the energy distance of their
    whitened facts (:func:`~activa.module.cell_facts`), with gradients of discrete counts. Nothing else is changed. It is a
    game whose critic reads what a cell's counts show as a whole, and compares distributions, not cells.
    """
    quality = module.quality
    if quality is None:
        return
    real, condition = _read(module, minibatches)
    if len(real) < MIN_CELLS:
        return
    device = real.device
    generator = torch_generator(device, seed)
    mean, scale = real.mean(0), real.std(0).clamp(min=1e-6)
    _, singular, axes = torch.linalg.svd((real - mean) / scale, full_matrices=False)
    axes = axes.T * (len(real) ** 0.5 / singular.clamp(min=1e-3 * float(singular[0])))

    def whitened(facts: Tensor) -> Tensor:
        return (((facts - mean) / scale) @ axes).clamp(-_BOUND, _BOUND)

    target = whitened(real)
    with torch.no_grad():
        chosen = condition.take(torch.randint(len(real), (10 * _N_CELLS,), generator=generator, device=device))
        center = quality.log(module.sample_latent(chosen, generator))[:, 0].mean()
    change = torch.zeros(2, device=device, requires_grad=True)  # of the mean, and of the log of the spread
    optimizer = Adam([change], lr=_LR, betas=(0.8, 0.95))
    for step in progress(range(_N_STEPS), desc="Calibrating", delay=5):
        optimizer.param_groups[0]["lr"] = _LR * (1 - step / _N_STEPS)
        cells, others = torch.randint(len(real), (3 * _N_CELLS,), generator=generator, device=device).split(
            [_N_CELLS, 2 * _N_CELLS]
        )
        with torch.no_grad():
            drawn = condition.take(cells)
            z = module.sample_latent(drawn, generator)
            log_library = module.sample_log_library(z, drawn, generator)
            scale_of_genes, logs = module.decode(z, log_library, drawn).scale, quality.log(z)
        clumping = center + change[0] + change[1].exp() * (logs[:, :1] - center)
        of_cells = CellQuality.of_logs(torch.cat([clumping, logs[:, 1:]], dim=-1))
        x, zeros = sample_with_change(module.likelihood(scale_of_genes, log_library, of_cells), generator)
        loss = energy_distance(whitened(cell_facts(x, zeros)), target[others])
        (change.grad,) = torch.autograd.grad(loss, change)
        optimizer.step()
    if torch.isfinite(change).all():
        quality.recalibrate(center, change[0].detach(), change[1].detach().exp())


def _read(module: ACTIVAModule, minibatches: Iterable[dict[str, Tensor]]) -> tuple[Tensor, Condition]:
    """Facts and condition of cells."""
    device, facts, conditions = module.label_means.device, [], []
    for minibatch in minibatches:
        tensors = {name: values.to(device) for name, values in minibatch.items()}
        facts.append(cell_facts(tensors[REGISTRY_KEYS.X_KEY]))
        conditions.append(module.condition(tensors))
    parts = [None if part[0] is None else torch.cat(part) for part in zip(*conditions, strict=True)]
    return torch.cat(facts), Condition._make(parts)
