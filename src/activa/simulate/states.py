"""States of cells: what their counts are drawn from, to be kept, mixed and changed before the counts are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import vstack

from activa.drawing import BLOCK, device_of, draw_values, latents_by_block
from activa.model import ACTIVA
from activa.module import Change
from activa.request import CellPlan
from activa.sampler import Sampler
from activa.seeds import torch_generator
from activa.threads import single_threaded_pool

# Distinguishes the random numbers of counts from those of the states of the same block of cells
_COUNTS_STREAM = 1


@dataclass(frozen=True, eq=False)
class States:
    """What the counts of cells depend on, one row per cell.

    A log-linear generator computes log expression from its inputs, so that a mixture of inputs is nearly a mixture of log
    expressions: but for its small hidden layer, and the contrast of the cell.

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
        return States(between(self.inputs, other.inputs), quality, between(self.log_library, other.log_library))


@dataclass(frozen=True, eq=False)
class Shift:
    """Natural logs of factors on genes' rates or dispersions, ``(n_rows, n_genes)``, and the row of each cell."""

    table: np.ndarray
    of_cells: np.ndarray  # (n_cells,)

    def rows(self, cells: np.ndarray) -> np.ndarray:
        """The factors of some cells, ``(n, n_genes)``."""
        return self.table[self.of_cells[cells]]


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
    for condition, z, log_library in latents_by_block(module, plan, seed):
        inputs, quality = module.state(z, condition)
        found = (inputs, log_library[:, 0], *([] if quality is None else [quality]))
        parts.append([part.cpu().numpy() for part in found])
    all_inputs, log_libraries, *qualities = (np.concatenate(part) for part in zip(*parts, strict=True))
    return States(all_inputs, qualities[0] if qualities else None, log_libraries)


def draw_cells(
    sampler: Sampler,
    states: States,
    seed: int,
    *,
    rate: Sequence[Shift] = (),
    dispersion: Sequence[Shift] = (),
    expected: bool = False,
) -> Any:
    """Counts of cells with these states, CSR float32 ``(n_cells, n_genes)``, or their rates, dense; shifts add up."""
    module = sampler.module
    device = device_of(module)

    def draw(number: int) -> Any:
        block = np.arange(number * BLOCK, min((number + 1) * BLOCK, len(states)))
        own = states.take(block)
        h, log_library = (torch.as_tensor(part, device=device) for part in (own.inputs, own.log_library[:, None]))
        quality = None if own.quality is None else torch.as_tensor(own.quality, device=device)

        def distribution(rows: slice) -> Any:
            cells, change = block[rows], None
            if rate or dispersion:
                none = np.zeros((len(cells), 1), dtype=np.float32)
                logs = (sum((shift.rows(cells) for shift in shifts), start=none) for shifts in (rate, dispersion))
                change = Change(*(torch.as_tensor(log, dtype=torch.float32, device=device) for log in logs))
            return module.decode_state(h[rows], None if quality is None else quality[rows], log_library[rows], change)

        with torch.inference_mode():
            rng = torch_generator(device, seed, number, 0, _COUNTS_STREAM)
            return draw_values(module, len(block), distribution, expected, rng)

    blocks = list(single_threaded_pool(device).map(draw, range(-(-len(states) // BLOCK))))
    return np.concatenate(blocks) if expected else vstack(blocks, format="csr")
