"""The game of the introspective model: synthetic cells, what the encoder makes of them, and the losses of each game."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from activa import losses
from activa.arguments import check_booleans, check_choices, check_integers, check_numbers
from activa.module import ACTIVAModule, Condition, log_likelihood


@dataclass(frozen=True)
class SyntheticCells:
    """Reconstructed cells, followed by generated ones, of one training step."""

    module: ACTIVAModule
    n_reconstructed: int
    x: Tensor  # (n_cells, n_genes)
    proteins: Tensor | None
    log_library: Tensor
    condition: Condition

    @classmethod
    def make(
        cls, module: ACTIVAModule, batch: dict[str, Tensor], inference: dict, generative: dict, *, whole: bool
    ) -> Self:
        """Draw synthetic cells with a gradient to the generator, from a minibatch and the module's outputs for it.

        With ``whole`` each cell is reconstructed, and one of its type generated; otherwise the first and the second half.
        """
        condition = module.condition(batch)
        z, log_library = inference["z"], module._get_generative_input(batch, inference)["library"]
        with torch.no_grad():
            z_g = module.sample_latent(condition)
            log_library_g = module.sample_log_library(z_g, condition)
        n_r = len(z) if whole else (len(z) + 1) // 2
        first_g = 0 if whole else n_r
        log_library = torch.cat([log_library[:n_r], log_library_g[first_g:]])
        z_decoded = torch.cat([z[:n_r], z_g[first_g:]])
        if whole:
            x_g = module.draw_with_gradient(module.decode(z_g, log_library_g, condition))
            # the reconstructions' means are known from L_AE
            x = torch.cat([module.draw_with_gradient(generative["px"]), x_g])
            condition = condition.take(torch.arange(n_r, device=z.device).repeat(2))
        else:
            x = module.draw_with_gradient(module.decode(z_decoded, log_library, condition))
        proteins = module.draw_proteins(z_decoded, log_library, condition, with_gradient=True)
        return cls(module, n_r, x, proteins, log_library, condition)

    def detached(self) -> Self:
        """The same cells as constants."""
        return replace(self, x=self.x.detach(), proteins=None if self.proteins is None else self.proteins.detach())

    def read(self) -> Reading:
        """Encode the cells."""
        mu, log_var = self.module.encode(self.x, self.condition, self.proteins)
        z = mu + torch.randn_like(mu) * (0.5 * log_var).exp()
        reg = self.module.prior.kl(mu, log_var, z, self.condition.types, frozen=True)
        return Reading(self, z, reg.split(self.n_reconstructed))


@dataclass(frozen=True)
class Reading:
    """What the encoder makes of synthetic cells."""

    cells: SyntheticCells
    z: Tensor  # latents drawn from the encodings, (n_cells, n_latent)
    reg: Sequence[Tensor]  # the critic's score L_REG of the reconstructions and of the generated cells, each (n_cells,)

    def reconstruction(self) -> Sequence[Tensor]:
        """``L_AE`` of the reconstructions and of the generated cells, each ``(n_cells,)``."""
        cells, module = self.cells, self.cells.module
        given = self.z, cells.log_library, cells.condition
        l_ae = -log_likelihood(module.decode(*given), cells.x)
        if cells.proteins is not None:
            l_ae = l_ae - log_likelihood(module.decode_proteins(*given, cells.proteins), cells.proteins)
        return l_ae.split(cells.n_reconstructed)


class Game(ABC):
    r"""Base class of games between encoder and generator, which :class:`IntrospectivePlan` plays after a warm-up.

    In each step the plan makes synthetic cells, minimizes :math:`L_G` in the generator, and with the same cells as
    constants :math:`L_E` in the encoder:

    .. math::
        L_E &= \alpha_1 \{ L_{REG} + l_E \} + \alpha_2 (L_{AE} + L_C) \\
        L_G &= \alpha_1 l_G + \alpha_2 (L_{AE} + L_C)

    A game gives :math:`l_E`, :math:`l_G` and, if it has one, the consistency term :math:`L_C`, all scalars. Attribute
    ``n_epochs_warmup`` is the number of epochs as a plain VAE before the game (None: half of all epochs), and ``whole``
    says whether whole minibatches are reconstructed and generated, or half of each.
    """

    n_epochs_warmup: int | None = None
    whole = False

    @abstractmethod
    def encoder_loss(self, reading: Reading) -> Tensor:
        """:math:`l_E` of cells that are constants."""

    @abstractmethod
    def generator_loss(self, reading: Reading) -> Tensor:
        """:math:`l_G` of cells that carry a gradient to the generator."""

    def consistency(self, cells: SyntheticCells, x: Tensor) -> Tensor | None:
        """:math:`L_C` of synthetic cells and the real cells ``x``, ``(n_cells, n_genes)``."""
        return None

    def alphas_for(self, recent: list[list[float]]) -> tuple[float, float]:
        """alpha_1 and alpha_2 of an epoch, from the mean ``L_REG`` and ``L_AE`` of up to five epochs before it."""
        return 1.0, 1.0

    def begin(self, recent: list[list[float]]) -> Game:
        """The game to play, from the mean ``L_REG`` and ``L_AE`` of the last epochs of the warm-up."""
        return self


@dataclass(frozen=True)
class Hinge(Game):
    r"""The paper's game (Heydari et al. 2022, Eq. 4-5), with :math:`L_{CT}` and whole minibatches of synthetic cells.

    .. math::
        l_E = \tfrac{1}{2} \sum_{s \in \{r, g\}} [m - L_{REG}(z_s)]^+, \qquad
        l_G = \tfrac{1}{2} \sum_{s \in \{r, g\}} L_{REG}(z_s)

    Parameters
    ----------
    margin
        m in nats. None: the mean ``L_REG`` of the last epoch of the warm-up (supplement G, strategy 1).
    alphas
        alpha_1 and alpha_2, the weights of the regularizing and of the reconstructing terms, also in the warm-up.
    per_cell
        Whether to take the hinge of each cell (IntroVAE) instead of the cells' mean (the released code).
    balance
        SoftAdapt variant by which the alphas follow how fast ``L_REG`` and ``L_AE`` fell in the last five epochs
        (:func:`softadapt_weights`). None: the alphas are constant.
    n_epochs_warmup
        Epochs as a plain VAE before the game. None: half of all epochs.

    Examples
    --------
    >>> Hinge(margin=110).margin
    110.0
    """

    margin: float | None = None
    alphas: tuple[float, float] = (1.0, 0.5)
    per_cell: bool = False
    balance: losses.SoftAdapt | None = None
    n_epochs_warmup: int | None = None

    whole = True

    def __post_init__(self) -> None:
        check_numbers(margin=self.margin, optional=True)
        check_booleans(per_cell=self.per_cell)
        if self.balance is not None:
            check_choices(balance=(self.balance, losses.SoftAdapt))
        check_integers(n_epochs_warmup=self.n_epochs_warmup, least=0, optional=True)
        alphas: Any = self.alphas
        if not isinstance(alphas, Sequence) or isinstance(alphas, str):
            raise TypeError(f"alphas must be two numbers, got {alphas!r}.")
        if len(alphas) != 2:
            raise ValueError(f"alphas must be two numbers, got {alphas!r}.")
        for alpha in alphas:
            check_numbers(alphas=alpha, least=0)
        object.__setattr__(self, "alphas", tuple(float(alpha) for alpha in alphas))
        use_own_numbers(self, margin=float, per_cell=bool, n_epochs_warmup=int)

    def encoder_loss(self, reading: Reading) -> Tensor:
        """The hinge, which encodes synthetic cells at least ``margin`` nats from the prior."""
        if self.margin is None:
            raise ValueError("margin is None before the game begins: call begin() first.")
        return losses.hinge_encoder(reading.reg, self.margin, per_cell=self.per_cell)

    def generator_loss(self, reading: Reading) -> Tensor:
        """The critic's score of the synthetic cells."""
        return losses.hinge_generator(reading.reg)

    def consistency(self, cells: SyntheticCells, x: Tensor) -> Tensor | None:
        """``L_CT``, unless there is one type only."""
        module, n_r = cells.module, cells.n_reconstructed
        if module.n_types == 1:
            return None
        with torch.no_grad():
            logits = module.classify(x[:n_r])
        return losses.classifier_consistency(logits, module.classify(cells.x[:n_r]))

    def alphas_for(self, recent: list[list[float]]) -> tuple[float, float]:
        """The given alphas, multiplied by SoftAdapt's weights with ``balance``."""
        if self.balance is None or len(recent) < 2:
            return self.alphas
        w_1, w_2 = losses.softadapt_weights(torch.tensor(recent), variant=self.balance).tolist()
        # equal weights leave the alphas as they were given
        return 2 * w_1 * self.alphas[0], 2 * w_2 * self.alphas[1]

    def begin(self, recent: list[list[float]]) -> Hinge:
        """The game with its margin."""
        if self.margin is not None:
            return self
        if not recent:
            raise ValueError("margin=None takes the warm-up's L_REG: give n_epochs_warmup of at least 1, or a margin.")
        return replace(self, margin=recent[-1][0])


@dataclass(frozen=True)
class Soft(Game):
    r"""Soft-IntroVAE's game (Daniel and Tamar 2021), with half minibatches of synthetic cells.

    :math:`l_E` is an exponential of the synthetic cells' ELBO (:func:`activa.losses.soft_encoder`), and :math:`l_G` is that
    of :class:`Hinge`, both multiplied by the weight. The published generator loss has another term, of weight 1e-8, which
    is left out. A wrong value raises a TypeError or ValueError.

    Parameters
    ----------
    weight, n_epochs_warmup
        Weight of the introspective terms; epochs before the game as in :class:`Hinge`.

    Examples
    --------
    >>> Soft(0.1)
    Soft(weight=0.1, n_epochs_warmup=None)
    """

    weight: float = 0.3
    n_epochs_warmup: int | None = None

    def __post_init__(self) -> None:
        check_numbers(weight=self.weight, least=0)
        check_integers(n_epochs_warmup=self.n_epochs_warmup, least=0, optional=True)
        use_own_numbers(self, weight=float, n_epochs_warmup=int)

    def encoder_loss(self, reading: Reading) -> Tensor:
        """The weighted exponential of the synthetic cells' ELBO."""
        scale = 1 / reading.cells.module.n_input
        return self.weight * losses.soft_encoder(reading.reconstruction(), reading.reg, scale=scale)

    def generator_loss(self, reading: Reading) -> Tensor:
        """The weighted score of the synthetic cells."""
        return self.weight * losses.hinge_generator(reading.reg)


def use_own_numbers(options: Any, **kinds: Callable[[Any], Any]) -> None:
    """Convert a frozen dataclass's numbers, unless None, to Python's own, which every file format holds."""
    for name, kind in kinds.items():
        if (value := getattr(options, name)) is not None:
            object.__setattr__(options, name, kind(value))
