"""States of cells: what their counts are drawn from, to be kept, mixed and changed before the counts are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import vstack

from activa.drawing import BLOCK, condition_of, device_of, draw_values
from activa.model import ACTIVA
from activa.module import Change
from activa.request import CellPlan
from activa.sampler import Sampler
from activa.seeds import torch_generator
from activa.threads import single_threaded_pool

# Distinguish the random numbers of a simulation's steps; those of its states are the sampler's own.
_COUNTS_STREAM = 257


@dataclass(frozen=True, eq=False)
class States:
    """What the counts of cells depend on, one row per cell.

    A log-linear generator computes log expression from its inputs, so that a mixture of inputs is a mixture of log
    expressions.

    Parameters
    ----------
    inputs
        The generator's inputs, float32 ``(n_cells, n_inputs)``: latents from their type's mean, covariates, types.
    quality
        Logs of the cells' quality, float32 ``(n_cells, 3)``; None if the model has none.
    log_library
        Log library sizes, float32 ``(n_cells,)``.
    """

    inputs: np.ndarray
    quality: np.ndarray | None
    log_library: np.ndarray

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, cells: np.ndarray) -> States:
        """The states of the chosen cells; an index may repeat a cell."""
        quality = None if self.quality is None else self.quality[cells]
        return States(self.inputs[cells], quality, self.log_library[cells])

    def mixed(self, other: States, share: np.ndarray) -> States:
        """States on the line from these, at a share of 0, to others, at 1: weighted means of all logs; ``(n_cells,)``."""

        def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            weight = share if a.ndim == 1 else share[:, None]
            return ((1 - weight) * a + weight * b).astype(np.float32)

        quality = None
        if self.quality is not None and other.quality is not None:
            quality = between(self.quality, other.quality)
        return States(
            between(self.inputs, other.inputs), quality, between(self.log_library, other.log_library)
        )


@dataclass(frozen=True, eq=False)
class Changes:
    """Changes of genes' rates and dispersions, natural logs ``(n_changes, n_genes)``, and the change of each cell."""

    log_rate: np.ndarray
    log_dispersion: np.ndarray
    of_cells: np.ndarray  # row of the change, (n_cells,)


def sampler_of(model: Any) -> Sampler:
    """The sampler of a model or sampler, checked to be one whose states can be changed.

    Raises a TypeError for what is neither, and a ValueError for a model without counts, without log-linear generator, or
    with proteins.
    """
    if isinstance(model, ACTIVA):
        model = model.sampler
    if not isinstance(model, Sampler):
        raise TypeError(f"model must be an activa.ACTIVA or an activa.Sampler, got {type(model).__name__}.")
    module = model.module
    if not (module.is_count and module.is_linear):
        found = f"gene_likelihood={module.gene_likelihood!r}, architecture={model.settings.architecture!r}"
        raise ValueError(f"model must draw counts with the log-linear architecture to be simulated with, got {found}.")
    if module.proteins is not None:
        raise ValueError("model has proteins, of which no truth is known: train one on the genes alone.")
    if module.training:
        raise RuntimeError("The model is being trained: simulate when training has ended.")
    return model


@torch.inference_mode()
def sample_states(sampler: Sampler, plan: CellPlan, seed: int) -> States:
    """The states that :meth:`activa.Sampler.generate` draws for the same plan and seed."""
    module, parts = sampler.module, []
    device = device_of(module)
    for number in range(-(-len(plan) // BLOCK)):
        cells = np.arange(number * BLOCK, min((number + 1) * BLOCK, len(plan)))
        rng = torch_generator(device, seed, number, 0)
        condition = condition_of(module, plan, cells, device)
        z = module.sample_latent(condition, rng) if plan.z is None else torch.as_tensor(plan.z[cells], device=device)
        inputs, quality = module.state(z, condition)
        if plan.library_size is None:
            log_library = module.sample_log_library(z, condition, rng)[:, 0].cpu().numpy()
        else:
            log_library = np.log(plan.library_size[cells]).astype(np.float32)
        parts.append((inputs.cpu().numpy(), None if quality is None else quality.cpu().numpy(), log_library))
    inputs_, qualities, libraries = zip(*parts, strict=True)
    quality_ = None if qualities[0] is None else np.concatenate(qualities)
    return States(np.concatenate(inputs_), quality_, np.concatenate(libraries))


def draw_cells(
    sampler: Sampler, states: States, seed: int, *, changes: Changes | None = None, expected: bool = False
) -> Any:
    """Counts of cells with these states, CSR float32 ``(n_cells, n_genes)``, or their rates, dense."""
    module = sampler.module
    device = device_of(module)

    def draw(number: int) -> Any:
        block = np.arange(number * BLOCK, min((number + 1) * BLOCK, len(states)))
        own = states.take(block)
        h, log_library = (torch.as_tensor(part, device=device) for part in (own.inputs, own.log_library[:, None]))
        logs = None if own.quality is None else torch.as_tensor(own.quality, device=device)

        def distribution(rows: slice) -> Any:
            change = None
            if changes is not None:
                of_rows = changes.of_cells[block[rows]]
                tables = (changes.log_rate[of_rows], changes.log_dispersion[of_rows])
                change = Change(*(torch.as_tensor(t, dtype=torch.float32, device=device) for t in tables))
            return module.decode_state(h[rows], None if logs is None else logs[rows], log_library[rows], change)

        with torch.inference_mode():
            rng = torch_generator(device, seed, _COUNTS_STREAM, number)
            return draw_values(module, len(block), distribution, expected, rng)

    blocks = list(single_threaded_pool(device).map(draw, range(-(-len(states) // BLOCK))))
    return np.concatenate(blocks) if expected else vstack(blocks, format="csr")
