"""The count likelihood of a minibatch and its gradient by one compiled kernel on the CPU, as a PyTorch function."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from activa.module.likelihood import CellLikelihood
from activa.module.quality import Quality
from activa.threads import single_threaded_pool

# Cells whose gradients to the dispersions are summed apart, whatever the number of threads
_ROWS = 8


class Decoded(NamedTuple):
    """What the likelihood of counts is computed of, before it is spelled out for every gene of every cell."""

    out: Tensor  # of the generator, before contrast and softmax, (n_cells, n_genes)
    log_library: Tensor  # (n_cells, 1)
    quality: Quality | None
    likelihood: CellLikelihood

    def log_likelihood(self, x: Tensor) -> Tensor:
        """Log-likelihood of counts ``(n_cells, n_genes)``, nats, ``(n_cells,)``: that of ``likelihood.log_likelihood``."""
        one = torch.ones_like(self.log_library)
        clumping, contrast, precision = self.quality or (0 * one, one, one)
        theta = self.likelihood.dispersion()
        outliers = self.likelihood.outlier_parameters()
        if outliers is None:
            outliers = torch.tensor([0.0, 2.0, 1.0])
        cells = torch.cat([self.log_library, contrast, clumping, precision], dim=-1)
        return _LogLikelihood.apply(self.out, cells, theta, outliers, x)


class _LogLikelihood(torch.autograd.Function):
    """Log-likelihoods ``(n_cells,)`` of outputs, cells (log library size, contrast, clumping, precision), theta, outliers."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, cells: Tensor, theta: Tensor, outliers: Tensor, x: Tensor) -> Tensor:
        # that of the loss, minus the mean, so that nothing is left to be done in the backward pass
        weight = torch.full((len(out),), -1 / len(out))
        log, *gradients = _computed(out, cells, theta, outliers, x, weight)
        ctx.save_for_backward(out, cells, theta, outliers, x, weight, *gradients)
        return log

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (grad,) = grads
        out, cells, theta, outliers, x, weight, *gradients = ctx.saved_tensors
        if not torch.equal(grad, weight):
            _, *gradients = _computed(out, cells, theta, outliers, x, grad.contiguous())
        return *gradients, None


def _computed(out: Tensor, cells: Tensor, theta: Tensor, outliers: Tensor, x: Tensor, weight: Tensor) -> list[Tensor]:
    """Log-likelihoods, and their weighted sum's gradients to output, cells, theta and outliers."""
    from activa.module.kernel import likelihood_of_rows  # numba takes half a second to import

    n_cells, n_genes = out.shape
    log_library, contrast, clumping, precision = cells.detach().T
    of_cells = (weight, contrast, log_library.exp(), clumping, 1 / precision)
    arrays = [a.detach().contiguous().numpy() for a in (x.float(), out, *of_cells, 1 / theta)]
    share, size, spread = outliers.detach().numpy()
    starts = range(0, n_cells, _ROWS)
    log, d_cells, d_outliers = torch.empty(n_cells), torch.empty(n_cells, 4), torch.empty(n_cells, 3)
    d_out, d_theta = torch.empty_like(out), torch.zeros(len(starts), n_genes)
    written = [a.numpy() for a in (log, d_out, d_cells, d_theta, d_outliers)]

    def run(number: int) -> None:
        log_, out_, cells_, theta_, outliers_ = written
        lower = starts[number]
        upper = min(lower + _ROWS, n_cells)
        likelihood_of_rows(
            *arrays,
            share,
            size,
            spread,
            log_,
            out_,
            cells_,
            theta_[number],
            outliers_,
            np.int64(lower),
            np.int64(upper),
        )

    list(single_threaded_pool(out.device).map(run, range(len(starts))))
    d_cells = d_cells * weight[:, None]
    d_cells[:, 3] *= -1 / precision
    return [log, d_out, d_cells, d_theta.sum(0) / theta.detach(), (d_outliers * weight[:, None]).sum(0)]
