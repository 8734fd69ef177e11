"""The introspective training plan: a VAE's warm-up, then generated cells for the encoder to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from scvi.module.base import LossOutput
from scvi.train import TrainingPlan
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import clip_grad_norm_

from activa.arguments import check_booleans, check_choices, check_integers, check_numbers
from activa.module import ACTIVAModule
from activa.seeds import set_torch_state, torch_state
from activa.train._game import Introspection, SyntheticCells
from activa.train._optimizers import make_optimizers
from activa.train._safeguard import Safeguard
from activa.train._softadapt import SoftAdapt, softadapt_weights

LRSchedule = Literal["one-cycle", "constant"]

_SOFTADAPT_EPOCHS = 5


class IntrospectivePlan(Safeguard, TrainingPlan):
    r"""Train :class:`~activa.module.ACTIVAModule`.

    The module is trained as a variational autoencoder, with the classifier beside it. From ``n_epochs_warmup`` epochs on
    its encoder can read generated cells too. In the ``"sleep"`` form it learns to read them (the sleep phase of Hinton et
    al. 1995): with z drawn from the prior and x from the generator, both constants, it minimizes
    :math:`-w \log q(z_g \mid x_g)` beside the ELBO of the real cells, w being ``introspection_weight``. Real cells are few
    and an encoder learns them by heart; of generated cells there is no end.

    In the others encoder and generator play the paper's game (Eq. 4-5; v is ``classifier_weight``):

    .. math::
        L_E &= \alpha_1 \left\{ L_{REG}(z) + w \tfrac{1}{2} \sum_{s \in \{r, g\}} [m - L_{REG}(z_s)]^+ \right\}
               + \alpha_2 (L_{AE} + v L_{CT}) \\
        L_G &= \alpha_1 w \tfrac{1}{2} \sum_{s \in \{r, g\}} L_{REG}(z_s) + \alpha_2 (L_{AE} + v L_{CT})

    In the encoder's loss reconstructed and generated cells are constants; in the generator's they carry the gradient of
    the critic's score into the generator. The soft form replaces the encoder's hinge by an exponential of the synthetic
    cells' ELBO (:func:`activa.losses.soft_encoder`); of its generator's loss the term with weight 1e-8 is left out.
    Where the prior is learnt, real cells' ``L_REG`` trains it; synthetic ones do not move it.

    Parameters
    ----------
    module
        The module.
    max_epochs
        Epochs in all, which the learning-rate schedule and the warm-up are reckoned from.
    n_epochs_warmup
        Epochs as a plain VAE; half of all by default.
    introspection
        ``"none"``: a plain VAE all the way, the default because its cells are the hardest to tell from real ones;
        ``"sleep"``: the encoder learns to read generated cells, which raises the held-out likelihood and makes types less
        pure, for a tenth of the time; ``"soft"`` (Soft-IntroVAE) or ``"hinge"`` (the paper): the game, at up to twice the
        time.
    introspection_weight
        w above; the paper's is 1.
    classifier_weight
        v above, in the game; the paper's is 1.
    alpha_1, alpha_2
        Weights of the regularizing and of the reconstructing terms; the paper's are 1 and 0.5.
    margin
        m above in nats, or ``"kl"``: the mean ``L_REG`` of the last warm-up epoch (supplement G, strategy 1).
    margin_per_cell
        Whether the hinge is taken per cell (IntroVAE) or of the batch's mean (released code).
    synthetic_cells
        Whether in the game half of a minibatch is reconstructed and cells of the other half's types are generated, for
        time, or both are done for all of it, as the paper does.
    softadapt
        Whether alpha_1 and alpha_2 are multiplied by weights that follow, epoch by epoch, how fast ``L_REG`` and ``L_AE``
        have fallen in the last five (:func:`activa.train.softadapt_weights`), and by which variant.
    beta_rec, beta_neg
        Weights within the soft form's exponential.
    lr
        Highest learning rate of encoder and generator.
    lr_schedule
        ``"one-cycle"`` rises to ``lr`` and falls to nothing; ``"constant"`` is the paper's.
    lr_fast_factor
        How many times faster the dispersion, the prior and a linear generator (but for its curve) learn: at the networks'
        rate they are far from their optimum when the networks have reached theirs, and generated cells are easily told
        from real ones.
    lr_classifier
        Learning rate of the classifier, multiplied by 0.95 every 1,000 steps (ACTINN).
    betas, eps, weight_decay
        Adam's.
    n_epochs_kl_warmup
        Epochs in which the weight of ``L_REG`` rises from 0 to 1; a tenth of all by default.
    gradient_clip
        Largest norm of a network's gradient; None for no clipping.

    Raises
    ------
    TypeError
        If an argument is of another type than it must be.
    ValueError
        If an argument is not in its range.
    NonFiniteLossError
        In training, if a loss is infinite or not a number. The last good weights are put back: of the last epoch that began
        with a sound ``L_AE``.
    ExplodedLossError
        In training, if an epoch's ``L_AE`` is above the lowest of the five before by more than it was itself and a nat a
        gene. The last good weights are put back.
    """

    module: ACTIVAModule

    def __init__(
        self,
        module: ACTIVAModule,
        *,
        max_epochs: int,
        n_epochs_warmup: int | None = None,
        introspection: Introspection = "none",
        introspection_weight: float = 0.3,
        classifier_weight: float = 0.0,
        alpha_1: float = 1.0,
        alpha_2: float = 1.0,
        margin: float | Literal["kl"] = "kl",
        margin_per_cell: bool = False,
        synthetic_cells: SyntheticCells = "half",
        softadapt: SoftAdapt = "none",
        beta_rec: float = 1.0,
        beta_neg: float = 1.0,
        lr: float = 2e-3,
        lr_schedule: LRSchedule = "one-cycle",
        lr_fast_factor: float = 10.0,
        lr_classifier: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        n_epochs_kl_warmup: int | None = None,
        gradient_clip: float | None = 100.0,
    ):
        check_choices(
            introspection=(introspection, Introspection),
            softadapt=(softadapt, SoftAdapt),
            synthetic_cells=(synthetic_cells, SyntheticCells),
            lr_schedule=(lr_schedule, LRSchedule),
        )
        if not isinstance(margin, str):
            check_numbers(margin=margin)
        elif margin != "kl":
            raise ValueError(f"margin must be a number of nats or 'kl', got {margin!r}.")
        check_numbers(lr=lr, lr_classifier=lr_classifier, lr_fast_factor=lr_fast_factor, eps=eps, above=0)
        check_numbers(gradient_clip=gradient_clip, above=0, optional=True)
        check_numbers(
            introspection_weight=introspection_weight, classifier_weight=classifier_weight, alpha_1=alpha_1,
            alpha_2=alpha_2, beta_rec=beta_rec, beta_neg=beta_neg, weight_decay=weight_decay, least=0,
        )  # fmt: skip
        check_integers(n_epochs_warmup=n_epochs_warmup, n_epochs_kl_warmup=n_epochs_kl_warmup, least=0, optional=True)
        check_booleans(margin_per_cell=margin_per_cell)
        if not isinstance(betas, Sequence) or isinstance(betas, str):
            raise TypeError(f"betas must be two numbers, got {betas!r}.")
        if len(betas) != 2:
            raise ValueError(f"betas must be two numbers, got {betas!r}.")
        for beta in betas:
            check_numbers(betas=beta, least=0, below=1)
        if n_epochs_kl_warmup is None:
            n_epochs_kl_warmup = max_epochs // 10
        super().__init__(
            module, lr=lr, eps=eps, weight_decay=weight_decay, n_epochs_kl_warmup=n_epochs_kl_warmup or None
        )
        self.automatic_optimization = False
        self.max_epochs = max_epochs
        self.n_epochs_warmup = max_epochs // 2 if n_epochs_warmup is None else n_epochs_warmup
        self.introspection = introspection
        self.introspection_weight, self.classifier_weight = introspection_weight, classifier_weight
        self.alpha_1, self.alpha_2 = alpha_1, alpha_2
        self.margin, self.margin_per_cell, self.synthetic_cells = margin, margin_per_cell, synthetic_cells
        self.beta_rec, self.beta_neg = beta_rec, beta_neg
        self.lr_schedule, self.lr_fast_factor, self.lr_classifier = lr_schedule, lr_fast_factor, lr_classifier
        self.betas, self.gradient_clip = betas, gradient_clip
        self.softadapt: SoftAdapt = softadapt
        self._given_alphas = alpha_1, alpha_2
        self._sums = torch.zeros(3)  # of L_REG, of L_AE, and cells, of this epoch
        self._recent: list[list[float]] = []  # means of L_REG and L_AE of the epochs before
        self._random_state: list[Tensor] | None = None  # of the checkpoint that training goes on from
        self._start_safeguard()

    # parameters and optimizers

    def _trainable(self) -> tuple[list[Parameter], list[Parameter], list[Parameter]]:
        """Trainable parameters of the encoder, of the generating half, and of the classifier."""
        m = self.module
        parts = [m.library, m.gate, m.generator, m.prior, m.likelihood, m.proteins]
        generating = [p for part in parts if part is not None for p in part.parameters()]
        groups = (m.encoder.parameters(), generating, m.classifier.parameters())
        encoder, generator, classifier = ([p for p in group if p.requires_grad] for group in groups)
        return encoder, generator, classifier

    def _generating_networks(self) -> list[Parameter]:
        """Parameters of the generating half that learn at the encoder's pace."""
        m = self.module
        parts = [m.library, m.gate, m.generator.curve if m.is_linear else m.generator]
        if m.proteins is not None:
            parts += [m.proteins.library, m.proteins.generator.curve]
        return [p for part in parts if part is not None for p in part.parameters()]

    def configure_optimizers(self) -> tuple[list[Any], list[Any]]:
        """Adam for the encoder, the generating half and the classifier, each with its schedule."""
        encoder, generator, classifier = self._trainable()
        in_networks = {id(p) for p in self._generating_networks()}
        slow = [p for p in generator if id(p) in in_networks]
        fast = [p for p in generator if id(p) not in in_networks]
        adam = {"betas": self.betas, "eps": self.eps, "weight_decay": self.weight_decay}
        n_steps = int(self.trainer.estimated_stepping_batches) if self.lr_schedule == "one-cycle" else None
        return make_optimizers(
            [
                [(encoder, self.lr)],
                [(slow, self.lr), (fast, self.lr * self.lr_fast_factor)],
            ],
            (classifier, self.lr_classifier),
            n_steps=n_steps,
            adam=adam,
        )

    # the steps

    @property
    def playing(self) -> bool:
        """Whether the game is on."""
        return self.introspection != "none" and self.current_epoch >= self.n_epochs_warmup

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """One step: of the VAE and classifier in the warm-up, of the game after it."""
        # Lightning turns it off: each network's weights are rounded for every pass then, which takes longer than the pass
        torch.set_autocast_cache_enabled(True)
        optimizers = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)

        kl_weight, self._minibatch = self.kl_weight, batch
        inference, generative, output = self.forward(batch, loss_kwargs={"kl_weight": kl_weight})
        self._check_finite(output.loss)
        # L_REG and L_AE of the real cells
        l_reg, l_ae = output.kl_local["kl_local"].mean(), output.reconstruction_loss["reconstruction_loss"].mean()
        if batch_idx == 0:
            self._keep_if_good(l_ae)
        terms = output.extra_metrics
        self._sums += torch.stack([l_reg, l_ae, torch.ones_like(l_ae)]).detach() * output.n_obs_minibatch
        elbo = self.alpha_1 * kl_weight * l_reg + self.alpha_2 * (l_ae + terms["weight_penalty"])
        if self.playing and self.introspection != "sleep":
            loss = self._play(batch, inference, generative, output, elbo)
        else:
            loss = elbo + terms["library_nll"] + terms["classification_loss"]
            if self.playing and self._trainable()[0]:
                loss = loss + self.introspection_weight * self._sleep(batch)
            self.manual_backward(loss)

        for params in self._trainable():
            # without a limit the norm would only tell a step before the loss does that a gradient is not finite
            if params and self.gradient_clip is not None:
                self._check_finite(clip_grad_norm_(params, self.gradient_clip))
        for optimizer in optimizers:
            optimizer.step()
        for scheduler in self.lr_schedulers():
            scheduler.step()

        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, prog_bar=True, sync_dist=self.use_sync_dist)
        self.compute_and_log_metrics(output, self.train_metrics, "train")
        return {"loss": loss.detach()}

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """ELBO of the held-out cells."""
        _, _, output = self.forward(batch)
        self.log("validation_loss", output.loss, on_step=False, on_epoch=True, sync_dist=self.use_sync_dist)
        self.compute_and_log_metrics(output, self.val_metrics, "validation")

    def compute_and_log_metrics(self, loss_output: LossOutput, metrics: dict[str, Any], mode: str) -> None:
        """Log the ELBO, and outside of scvi-tools' inference mode, where gloo cannot average them, its other terms."""
        super().compute_and_log_metrics(replace(loss_output, extra_metrics={}), metrics, mode)
        terms = {f"{name}_{mode}": term.detach() for name, term in loss_output.extra_metrics.items()}
        self.log_dict(
            terms, on_step=self.on_step, on_epoch=self.on_epoch, sync_dist=self.use_sync_dist,
            batch_size=loss_output.n_obs_minibatch,
        )  # fmt: skip

    # what holds between epochs

    def on_train_start(self) -> None:
        """Give each device noise of its own; they begin with one seed."""
        if self.trainer.world_size > 1:
            torch.manual_seed(torch.initial_seed() + self.trainer.global_rank)

    def on_train_epoch_start(self) -> None:
        """Balance the losses, and set the margin when the game begins."""
        if self.take_up_random_state():
            # in any other epoch the loader's iterator is made now, which draws its seed
            torch.empty((), dtype=torch.int64).random_()
        if not self._good_weights:
            self._keep_weights()
        if means := self._means_of_epoch():
            self._recent = [*self._recent, means][-_SOFTADAPT_EPOCHS:]
        self._sums = torch.zeros(3, device=self.device)
        if len(self._recent) > 1:
            weights = softadapt_weights(torch.tensor(self._recent), variant=self.softadapt).tolist()
            # equal weights leave the alphas as they were given
            self.alpha_1, self.alpha_2 = (2 * w * alpha for w, alpha in zip(weights, self._given_alphas, strict=True))
        if self.introspection == "hinge" and self.current_epoch == self.n_epochs_warmup:
            if isinstance(self.margin, str) and not self._recent:
                raise ValueError(
                    "margin='kl' takes the warm-up's L_REG: give n_epochs_warmup >= 1, or margin a number."
                )
            margin = self._recent[-1][0] if isinstance(self.margin, str) else self.margin
            self.module.margin.fill_(margin)

    def take_up_random_state(self) -> bool:
        """Go on with the random numbers of the checkpoint, if there is one that has not been gone on from yet."""
        if self._random_state is None:
            return False
        set_torch_state(self._random_state)
        self._random_state = None
        return True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the epochs' losses, which the margin and SoftAdapt go by, and the random state."""
        checkpoint["losses_of_epochs"] = (self._sums, self._recent)
        checkpoint["random_state"] = torch_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them up again."""
        self._sums, self._recent = checkpoint["losses_of_epochs"]
        self._random_state = checkpoint["random_state"]
