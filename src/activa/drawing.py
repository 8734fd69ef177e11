"""Drawing planned cells: blocks, each a pure function of the module, the plan, its number and the seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix, hstack, vstack
from torch import Tensor

from activa.design import Design
from activa.memory import available_memory, check_memory
from activa.module import CellDistribution, CellModel, Condition, draw_counts, sample_cells
from activa.progress import progress
from activa.request import CellFilter, CellPlan
from activa.seeds import torch_generator
from activa.threads import single_threaded_pool

BLOCK = 256
"""Cells of one random stream. A part of what a seed means: another size gives other cells."""
# Values decoded at a time: this many stay in a processor's cache. A part of what a seed means, too.
_VALUES = 2**20
_MAX_ATTEMPTS = 50


@dataclass(frozen=True, eq=False)
class Filters:
    """Which drawn cells are kept: those of the requested type by the classifier, and those not refused."""

    module: CellModel
    design: Design
    order: np.ndarray | None  # positions of the filter's genes among the model's; None without refuse
    min_confidence: float | None = None
    refuse: CellFilter | None = None

    def __str__(self) -> str:
        names = [] if self.min_confidence is None else [f"min_confidence={self.min_confidence}"]
        return " and ".join(names if self.refuse is None else [*names, "refuse"])

    @property
    def advice(self) -> str:
        """What to do if too few cells pass."""
        advice = [] if self.min_confidence is None else ["lower min_confidence"]
        return ", ".join(advice if self.refuse is None else [*advice, "refuse with a smaller quantile"]).capitalize()

    def passing(self, counts: csr_matrix, requested: np.ndarray) -> np.ndarray:
        """Whether each cell of counts ``(n_cells, n_genes)`` and requested type codes passes, boolean, ``(n_cells,)``."""
        passed = np.ones(len(requested), dtype=bool)
        if self.min_confidence is not None:
            genes = torch.from_numpy(counts.toarray()).to(device_of(self.module))
            probabilities = self.module.classify(genes).softmax(-1).cpu().numpy()
            passed &= probabilities[np.arange(len(requested)), requested] >= self.min_confidence
            passed &= probabilities.argmax(-1) == requested
        if self.refuse is not None:
            types = self.design.types[requested].astype(str)
            passed &= ~self.refuse.refuses_counts(counts[:, self.order], types)
        return passed


def draw_chunks(
    module: CellModel, plan: CellPlan, batch_size: int, *, seed: int | None, expected: bool, filters: Filters | None
) -> Iterator[Any]:
    """Values of planned cells, genes before proteins, float32, in chunks of whole blocks: CSR counts, or dense rates."""
    assert seed is not None

    def draw(number: int) -> Any:
        block = np.arange(number * BLOCK, min((number + 1) * BLOCK, len(plan)))
        with torch.inference_mode():
            if filters is None:
                return _draw(module, plan, block, expected, seed, number, 0)
            return _draw_filtered(module, plan, block, filters, seed, number)

    n_blocks, per_chunk = -(-len(plan) // BLOCK), -(-batch_size // BLOCK)
    with progress(total=len(plan), unit="cell", desc="Generating", delay=5) as bar:
        for first in range(0, n_blocks, per_chunk):
            blocks = []
            numbers = range(first, min(first + per_chunk, n_blocks))
            for block in single_threaded_pool(device_of(module)).map(draw, numbers):
                blocks.append(block)
                bar.update(block.shape[0])
            yield np.concatenate(blocks) if expected else vstack(blocks, format="csr")


def check_fits(module: CellModel, plan: CellPlan, *, seed: int | None, expected: bool) -> None:
    """Raise a MemoryError if the values of all planned cells, and of the chunks they are joined from, need more than there is."""
    available, n_values = available_memory(), module.n_input + module.n_proteins
    # rates are four bytes, counts eight with their gene
    n_bytes = 2.0 * len(plan) * n_values * (4 if expected else 8)
    if available is None or n_bytes <= available:
        return
    if not expected:  # some of the cells tell how many of their counts are zero
        some = np.linspace(0, len(plan) - 1, BLOCK).astype(int)
        few = CellPlan(
            plan.label[some],
            plan.design[some],
            None if plan.library_size is None else plan.library_size[some],
            None if plan.z is None else plan.z[some],
        )
        (drawn,) = draw_chunks(module, few, BLOCK, seed=seed, expected=False, filters=None)
        n_bytes *= drawn.nnz / (len(few) * n_values)
    instead = "use generate_batches or generate_zarr, which hold a part of them at a time"
    check_memory(n_bytes, what=f"{len(plan)} cells", instead=instead)


def device_of(module: CellModel) -> torch.device:
    """The device of the networks."""
    return next(module.parameters()).device


def _draw(module: CellModel, plan: CellPlan, cells: np.ndarray, expected: bool, *seed: int) -> Any:
    """Counts (CSR), or rates (dense), of some planned cells, and of their proteins beside them."""
    device = device_of(module)
    rng = torch_generator(device, *seed)
    condition, z, log_library = _draw_latents(module, plan, cells, rng)
    p_proteins = None
    if module.proteins is not None:
        p_proteins = module.decode_proteins(z, log_library, condition, generator=rng)
        proteins = p_proteins.mean if expected else sample_cells(p_proteins, rng)
    # counts have a stream of their own, so that they do not depend on whether rates are asked for
    rng = torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=rng, device=device)))
    x = draw_values(
        module, len(z), lambda rows: module.decode(z[rows], log_library[rows], condition.take(rows)), expected, rng
    )
    if p_proteins is None:
        return x
    if expected:
        return np.concatenate([x, proteins.cpu().numpy()], axis=-1)
    return hstack([x, csr_matrix(proteins.cpu().numpy())], format="csr")


def _draw_latents(
    module: CellModel, plan: CellPlan, cells: np.ndarray, rng: torch.Generator
) -> tuple[Condition, Tensor, Tensor]:
    """Condition, latents and log library sizes ``(n_cells, 1)`` of some planned cells: the first that a stream draws."""
    condition = _condition(module, plan, cells, rng.device)
    z = module.sample_latent(condition, rng) if plan.z is None else torch.as_tensor(plan.z[cells], device=rng.device)
    if plan.library_size is None:
        return condition, z, module.sample_log_library(z, condition, rng)
    log_library = torch.as_tensor(np.log(plan.library_size[cells]), dtype=torch.float32, device=rng.device)
    return condition, z, log_library[:, None]


def latents_by_block(module: CellModel, plan: CellPlan, seed: int) -> Iterator[tuple[Condition, Tensor, Tensor]]:
    """What is drawn before the counts of each block, without filters."""
    for number in range(-(-len(plan) // BLOCK)):
        block = np.arange(number * BLOCK, min((number + 1) * BLOCK, len(plan)))
        yield _draw_latents(module, plan, block, torch_generator(device_of(module), seed, number, 0))


@torch.inference_mode()
def latents_of(module: CellModel, plan: CellPlan, seed: int | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Latents ``(n, n_latent)`` and, of counts, library sizes ``(n,)`` of the cells that are drawn without filters."""
    assert seed is not None
    latents, log_libraries = [], []
    for _, z, log_library in latents_by_block(module, plan, seed):
        latents.append(z.cpu().numpy())
        log_libraries.append(log_library[:, 0].cpu().numpy())
    # in float64 the logarithm gives back the float32 that was drawn, and with it the same rates
    library_sizes = np.exp(np.concatenate(log_libraries).astype(np.float64))
    return np.concatenate(latents), library_sizes if module.is_count else None


def draw_values(
    module: CellModel,
    n_cells: int,
    distribution: Callable[[slice], CellDistribution],
    expected: bool,
    rng: torch.Generator,
) -> Any:
    """Counts (CSR), or rates (dense), of cells whose distribution is computed for some rows at a time."""
    n_rows = max(_VALUES // module.n_input, 1)
    parts = []
    for start in range(0, n_cells, n_rows):
        px = distribution(slice(start, start + n_rows))
        if expected:
            parts.append(px.mean.cpu().numpy())
        elif module.is_count:
            parts.append(_as_csr(*draw_counts(px, rng), len(px.scale), module.n_input))
        else:
            parts.append(csr_matrix(module.draw(px, rng).cpu().numpy()))
    return np.concatenate(parts) if expected else vstack(parts, format="csr")


def _condition(module: CellModel, plan: CellPlan, cells: np.ndarray, device: torch.device) -> Condition:
    """What the networks are given of some planned cells beside their latents."""
    n_categorical = len(module.n_cats_per_cov)
    values = torch.as_tensor(plan.design[cells], dtype=torch.float32, device=device)
    return Condition(
        y=torch.as_tensor(plan.label[cells], device=device)[:, None],
        batch_index=values[:, :1].long(),
        cat_covs=values[:, 1 : 1 + n_categorical].long() if n_categorical else None,
        cont_covs=values[:, 1 + n_categorical :] if values.shape[1] > 1 + n_categorical else None,
    )


def _as_csr(where: Tensor, counts: Tensor, n_cells: int, n_genes: int) -> csr_matrix:
    """CSR of counts at flat indices."""
    index, data = where.cpu().numpy(), counts.cpu().numpy()
    indptr = np.searchsorted(index, np.arange(n_cells + 1) * n_genes)
    return csr_matrix((data, (index % n_genes).astype(np.int32), indptr.astype(np.int32)), shape=(n_cells, n_genes))


def _draw_filtered(module: CellModel, plan: CellPlan, cells: np.ndarray, filters: Filters, *seed: int) -> csr_matrix:
    """Counts of planned cells that pass the filters, each drawn until it does."""
    kept, order = [], []
    waiting, n_drawn = np.arange(len(cells)), 0
    for attempt in range(_MAX_ATTEMPTS):
        x = _draw(module, plan, cells[waiting], False, *seed, attempt)
        n_drawn += len(waiting)
        passes = filters.passing(x[:, : module.n_input], plan.label[cells[waiting]])
        kept.append(x[passes])
        order.append(waiting[passes])
        waiting = waiting[~passes]
        if not len(waiting):
            return vstack(kept, format="csr")[np.argsort(np.concatenate(order))]
    types = sorted({str(t) for t in filters.design.types[plan.label[cells[waiting]]]})
    n_kept = len(cells) - len(waiting)
    raise RuntimeError(
        f"{filters}: {n_kept} of {n_drawn} drawn cells passed ({n_kept / n_drawn:.1%}); {len(waiting)} cells of the types "
        f"{types} were given up after {_MAX_ATTEMPTS} attempts each. {filters.advice}, or leave these types out."
    )


def filters_of(
    module: CellModel, design: Design, genes: pd.Index, min_confidence: float | None, refuse: CellFilter | None
) -> Filters | None:
    """The filters of a request, checked against the model; None where all cells are kept."""
    if min_confidence is None and refuse is None:
        return None
    order = None
    if refuse is not None:
        if not module.is_count:
            given = f"gene_likelihood={module.gene_likelihood!r}"
            raise ValueError(f"refuse compares counts, which {given} does not give: leave it out.")
        order = genes.get_indexer(refuse.genes)
        if len(order) != len(genes) or (order < 0).any():
            shared = f"{int((order >= 0).sum())} of its {len(order)} genes"
            raise ValueError(f"refuse must have the model's genes: {shared} are among the model's {len(genes)}.")
    return Filters(module, design, order, min_confidence, refuse)
