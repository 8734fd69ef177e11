"""Losses of the introspective game: pure functions of per-cell terms.

The symbols are the paper's (Heydari et al. 2022, Eq. 4-5 and supplement H). ``L_REG`` is the Kullback-Leibler divergence of
a cell's encoding from the prior, ``L_AE`` the negative log-likelihood of its reconstruction, and ``L_CT`` the distance
between the classifier's logits for a cell and for its reconstruction. The two kinds of synthetic cells ``s`` are
reconstructions of real cells, ``r``, and generated cells, ``g``. Every per-cell term is a float tensor of shape
``(n_cells,)`` in nats; the functions that combine them return a scalar.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import mse_loss, relu


def regularization(mu: Tensor, log_var: Tensor) -> Tensor:
    r"""KL divergence of N(mu, exp(log_var)) from N(0, I), the paper's ``L_REG``, for each cell.

    Parameters
    ----------
    mu, log_var
        Mean and log-variance of the encoding, shape ``(n_cells, n_latent)``.

    Returns
    -------
    Tensor of shape ``(n_cells,)``, nats.

    Examples
    --------
    >>> regularization(torch.ones(1, 2), torch.zeros(1, 2))
    tensor([1.])
    """
    # L_REG = -1/2 sum_d (1 + log sigma_d^2 - mu_d^2 - sigma_d^2)
    return -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum(-1)


def hinge_encoder(reg_synthetic: Sequence[Tensor], margin: Tensor | float, *, per_cell: bool = False) -> Tensor:
    r"""The encoder's hinge term, which encodes synthetic cells at least ``margin`` nats from the prior.

    Parameters
    ----------
    reg_synthetic
        ``L_REG`` of the reconstructions and of the generated cells, each of shape ``(n_cells,)``.
    margin
        The paper's m, in nats.
    per_cell
        Whether to take the hinge of each cell (IntroVAE) instead of the cells' mean (the released ACTIVA).

    Returns
    -------
    Scalar: :math:`\frac{1}{2} \sum_{s \in \{r, g\}} [m - L_{REG}(z_s)]^+`.

    Examples
    --------
    >>> hinge_encoder([torch.tensor([1.0, 5.0]), torch.tensor([9.0, 9.0])], margin=4.0)
    tensor(0.5000)
    """
    terms = [relu(margin - reg).mean() if per_cell else relu(margin - reg.mean()) for reg in reg_synthetic]
    return 0.5 * torch.stack(terms).sum()


def hinge_generator(reg_synthetic: Sequence[Tensor]) -> Tensor:
    r"""The generator's term, which makes cells that are encoded where real cells are.

    Parameters
    ----------
    reg_synthetic
        As in :func:`hinge_encoder`, with a gradient that reaches the generator through the cells.

    Returns
    -------
    Scalar: :math:`\frac{1}{2} \sum_{s \in \{r, g\}} L_{REG}(z_s)`.

    Examples
    --------
    >>> hinge_generator([torch.tensor([1.0, 5.0]), torch.tensor([9.0, 9.0])])
    tensor(6.)
    """
    return 0.5 * torch.stack([reg.mean() for reg in reg_synthetic]).sum()


def soft_encoder(
    reconstruction_synthetic: Sequence[Tensor], reg_synthetic: Sequence[Tensor], *, scale: float
) -> Tensor:
    r"""The encoder's term of Soft-IntroVAE (Daniel and Tamar 2021, arXiv 2012.13253, Eq. 5), divided by ``scale``.

    Parameters
    ----------
    reconstruction_synthetic, reg_synthetic
        ``L_AE`` and ``L_REG`` of the reconstructions and of the generated cells, each of shape ``(n_cells,)``.
    scale
        s, one over the number of genes. Without it the exponential underflows to zero.

    Returns
    -------
    Scalar: :math:`\frac{1}{4 s} \sum_{s' \in \{r, g\}} \exp(-2 s (L_{AE,s'} + L_{REG,s'}))`. The published loss multiplies
    the whole encoder loss by s. Dividing it by s keeps the minimum and puts this term on the scale of the real cells'
    ELBO, in nats.

    Examples
    --------
    >>> zero = torch.zeros(3)
    >>> soft_encoder([zero, zero], [zero, zero], scale=0.5)
    tensor(1.)
    """
    terms = [
        torch.exp(-2 * scale * (reconstruction + reg)).mean()
        for reconstruction, reg in zip(reconstruction_synthetic, reg_synthetic, strict=True)
    ]
    return torch.stack(terms).sum() / (4 * scale)


def classifier_consistency(logits: Tensor, logits_reconstruction: Tensor) -> Tensor:
    """``L_CT``: squared distance between the classifier's logits for cells and for their reconstructions.

    Parameters
    ----------
    logits, logits_reconstruction
        Shape ``(n_cells, n_types)``.

    Returns
    -------
    Scalar: the sum over types, averaged over cells as ``L_AE`` is.

    Examples
    --------
    >>> classifier_consistency(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
    tensor(5.)
    """
    return mse_loss(logits_reconstruction, logits, reduction="none").sum(-1).mean()
