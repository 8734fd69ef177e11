"""SoftAdapt: weights of a loss's parts that follow how fast each part falls."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

SoftAdapt = Literal["original", "normalized", "loss-weighted"]


def softadapt_weights(recent: Tensor, *, variant: SoftAdapt = "original", beta: float = 0.1) -> Tensor:
    r"""Weights of the parts of a loss (Heydari, Thompson and Mehio 2019, arXiv 1912.12355).

    With :math:`f_i` the recent mean of a part and :math:`s_i` its recent rate of change, the original and the loss-weighted
    variant are

    .. math:: \alpha_i = \frac{e^{\beta s_i}}{\sum_j e^{\beta s_j}}, \qquad
        \alpha_i = \frac{f_i e^{\beta s_i}}{\sum_j f_j e^{\beta s_j}}

    The normalized variant first divides the rates by :math:`\sum_j |s_j|`. A positive beta gives more weight to the part
    that falls slowest, or rises.

    Parameters
    ----------
    recent
        Values of the parts, oldest first, ``(n_times, n_parts)`` with at least two times.
    variant
        Which of the three variants.
    beta
        The paper's is 0.1.

    Returns
    -------
    Tensor ``(n_parts,)`` that sums to one.

    Raises
    ------
    ValueError
        If ``recent`` has fewer than two times.

    Examples
    --------
    >>> softadapt_weights(torch.tensor([[4.0, 4.0], [2.0, 4.0]]), beta=1.0)
    tensor([0.1192, 0.8808])
    """
    if recent.dim() != 2 or len(recent) < 2:
        raise ValueError(f"recent must have at least two times, (n_times, n_parts), got shape {tuple(recent.shape)}.")
    rate = (recent[-1] - recent[0]) / (len(recent) - 1)
    if variant == "normalized":
        rate = rate / rate.abs().sum().clamp(min=1e-8)
    weights = torch.softmax(beta * rate, dim=0)
    if variant == "loss-weighted":
        weights = weights * recent.mean(0)
        weights = weights / weights.sum()
    return weights
