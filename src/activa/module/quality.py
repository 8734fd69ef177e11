"""The quality of a cell: facts of its counts that its depth and state do not explain, and what they change."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

N_FACTS = 5


class Quality(NamedTuple):
    """What a cell's quality changes, each ``(..., n_cells, 1)``."""

    clumping: Tensor  # excess variance of a count, per count
    contrast: Tensor  # factor on log expression: above 1, the highest genes have larger shares
    precision: Tensor  # factor on the inverse dispersions


def cell_facts(x: Tensor, change: Tensor | None = None) -> Tensor:
    r"""Facts of counts ``(n_cells, n_genes)``, on log scales except for the last, ``(n_cells, 5)``.

    They are the total, the number of genes, the largest share of a gene, the sum of squared shares, and the share of ones
    among the nonzero counts. With ``change``, the counts' rates minus their detached values and so zero, the facts have a
    gradient to the rates. For a Poisson count it is :math:`\partial E f(x) / \partial \lambda = E[f(x + 1) - f(x)]`;
    straight through the count, at x = 0, the gradient of a logarithm is several times too large.

    >>> cell_facts(torch.tensor([[3.0, 1.0, 0.0]])).exp()[0, :2]
    tensor([4., 2.])
    """
    is_one = x == 1
    total, genes, ones = x.sum(-1), (x > 0).sum(-1).to(x.dtype), is_one.sum(-1).to(x.dtype)
    (largest, at), squares = x.max(-1), x.square().sum(-1)
    if change is not None:
        new = (x == 0).to(x.dtype)
        total, genes = total + change.sum(-1), genes + (new * change).sum(-1)
        ones = ones + ((new - is_one.to(x.dtype)) * change).sum(-1)
        largest = largest + change.gather(-1, at[:, None]).squeeze(-1)
        squares = squares + ((2 * x + 1) * change).sum(-1)
    total, genes, largest, squares = (fact.clamp(min=1) for fact in (total, genes, largest, squares))
    logs = total.log(), genes.log(), (largest / total).log(), (squares / total.square()).log()
    return torch.stack([*logs, ones / genes], dim=-1)


class CellQuality(nn.Module):
    """The quality of cells, log-linear in the latent, whose encoder reads the facts of the counts.

    Given depth and state, real counts are more or less clumped, and profiles more or less concentrated, than one
    dispersion per gene allows: cells differ in capture, amplification and ambient RNA.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, n_latent: int):
        super().__init__()
        self.log = nn.Linear(n_latent, len(Quality._fields))
        nn.init.zeros_(self.log.weight)
        with torch.no_grad():
            self.log.bias.copy_(torch.tensor([-2.3, 0.0, 0.0]))
        self.register_buffer("loc", torch.zeros(N_FACTS))
        self.register_buffer("scale", torch.ones(N_FACTS))

    def standardize(self, facts: Tensor) -> None:
        """Set location and scale from the training cells' facts, ``(n_cells, 5)``."""
        self.loc.copy_(facts.mean(0))
        self.scale.copy_(facts.std(0).clamp(min=1e-3) if len(facts) > 1 else torch.ones(N_FACTS))

    def read(self, x: Tensor) -> Tensor:
        """The encoder's inputs: standardized facts of counts ``(n_cells, n_genes)``, bounded, but for the total."""
        return ((cell_facts(x) - self.loc) / self.scale)[:, 1:].clamp(-5.0, 5.0)

    @staticmethod
    def of_logs(logs: Tensor) -> Quality:
        """Quality from its logarithms, ``(..., n_cells, 3)``, bounded to what float32 can hold."""
        bounds = torch.tensor([[-12.0, -0.5, -6.0], [3.0, 0.5, 6.0]], device=logs.device)
        return Quality(*logs.clamp(*bounds).exp().split(1, dim=-1))

    @torch.no_grad()
    def recalibrate(self, center: Tensor, shift: Tensor, spread: Tensor) -> None:
        """Move the log of the clumping by ``shift``, and multiply its distance from ``center`` by ``spread``, scalars."""
        self.log.weight[0] *= spread
        self.log.bias[0] = center + shift + spread * (self.log.bias[0] - center)
