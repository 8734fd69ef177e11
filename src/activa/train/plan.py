"""The training plan: a VAE with a classifier beside it, and after a warm-up the game between encoder and generator."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import torch
from scvi import REGISTRY_KEYS
from scvi.module.base import LossOutput
from scvi.train import TrainingPlan
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import clip_grad_norm_, parameters_to_vector, vector_to_parameters
from torch.optim import Adam, AdamW
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR, ReduceLROnPlateau, StepLR

from activa.module import ACTIVAModule
from activa.seeds import set_torch_state, torch_state
from activa.train.game import SyntheticCells
from activa.train.recipe import Recipe, ReduceOnPlateau
from activa.train.runner import Guard

_EPS = 1e-8  # scvi-tools' is 0.01
_FAST = 10.0  # of the parameters that are not the networks': see Recipe.lr
_RECENT_EPOCHS = 5


class IntrospectivePlan(TrainingPlan):
    """Train :class:`~activa.module.ACTIVAModule` as a variational autoencoder, and by the recipe's game after its warm-up.

    The prior learns from the ``L_REG`` of real cells only. ``max_epochs`` sets the length of the learning-rate schedule and of the warm-ups.
    """

    module: ACTIVAModule
    n_steps_done = 0  # minibatches
    fuses = True  # whether one kernel computes the likelihood of counts on a CPU

    def __init__(self, module: ACTIVAModule, *, max_epochs: int, recipe: Recipe = Recipe()):
        if not isinstance(recipe, Recipe):
            raise TypeError(f"recipe must be a Recipe, got {recipe!r}.")
        n_kl, n_steps = recipe.n_epochs_kl_warmup, recipe.n_steps_kl_warmup
        super().__init__(
            module,
            lr=recipe.lr,
            eps=_EPS,
            weight_decay=recipe.weight_decay,
            n_epochs_kl_warmup=(max_epochs // 10 if n_kl is None and n_steps is None else n_kl) or None,
            n_steps_kl_warmup=n_steps,
            min_kl_weight=recipe.min_kl_weight,
            max_kl_weight=recipe.max_kl_weight,
        )
        self.automatic_optimization = False
        self.recipe, self.game = recipe, recipe.game
        given = None if self.game is None else self.game.n_epochs_warmup
        self.n_epochs_warmup = max_epochs // 2 if given is None else given
        self.alphas = (1.0, 1.0) if self.game is None else self.game.alphas_for([])
        self.guard = Guard(module, module.n_input, trains_reconstruction=self.alphas[1] > 0)
        self._sums = torch.zeros(3)  # L_REG, L_AE and cells of the current epoch
        self._recent: list[list[float]] = []  # mean L_REG and L_AE of the epochs before
        self._warmup: list[list[float]] | None = None  # the same when the game began
        self._random_state: list[Tensor] | None = None  # of the checkpoint to resume from

    def _trainable(self) -> tuple[list[Parameter], list[Parameter], list[Parameter]]:
        """Trainable parameters of the encoder, of the generating half, and of the classifier."""
        m = self.module
        parts = [m.library, m.gate, m.generator, m.prior, m.likelihood, m.proteins, m.quality]
        generating = [p for part in parts if part is not None for p in part.parameters()]
        groups = (m.encoder.parameters(), generating, m.classifier.parameters())
        encoder, generator, classifier = ([p for p in group if p.requires_grad] for group in groups)
        return encoder, generator, classifier

    def _slow(self) -> set[int]:
        """Ids of the generating half's parameters that learn at the encoder's rate."""
        m = self.module
        parts = [m.library, m.gate, m.generator.curve if m.is_linear else m.generator]
        if m.proteins is not None:
            parts += [m.proteins.library, m.proteins.generator.curve]
        return {id(p) for part in parts if part is not None for p in part.parameters()}

    def configure_optimizers(self) -> tuple[list[Any], list[Any]]:
        """An optimizer for the encoder, the generating half and the classifier, each with a schedule, unless all of it is frozen."""
        encoder, generator, classifier = self._trainable()
        slow, lr = self._slow(), self.recipe.lr
        rates = [
            [(encoder, lr)],
            [([p for p in generator if id(p) in slow], lr), ([p for p in generator if id(p) not in slow], lr * _FAST)],
            [(classifier, self.recipe.lr_classifier)],
        ]
        optimizers, schedulers = [], []
        kind = {"Adam": Adam, "AdamW": AdamW}[self.recipe.optimizer]
        for part, groups in zip(("encoder", "generator", "classifier"), rates, strict=True):
            filled = [{"params": params, "lr": rate} for params, rate in groups if params]
            if filled:
                optimizers.append(kind(filled, fused=True, eps=_EPS, weight_decay=self.recipe.weight_decay))
                schedulers.append({"scheduler": self._schedule(optimizers[-1], part), "interval": "step"})
        return optimizers, schedulers

    @property
    def kl_weight(self) -> Tensor:
        """Weight of ``L_REG``; Lightning counts a step for each of three optimizers."""
        n_steps, low, high = self.n_steps_kl_warmup, self.min_kl_weight, self.max_kl_weight
        if not self.n_epochs_kl_warmup and n_steps:
            share = min(self.n_steps_done / n_steps, 1.0)
            return torch.tensor(low + (high - low) * share, device=self.device)
        return super().kl_weight

    def _schedule(self, optimizer: Adam, part: str) -> LRScheduler | ReduceLROnPlateau:
        if part == "classifier":
            return StepLR(optimizer, step_size=1_000, gamma=0.95)
        schedule = self.recipe.lr_schedule
        if schedule == "constant":
            return ConstantLR(optimizer, factor=1.0)
        if isinstance(schedule, ReduceOnPlateau):
            options = {name: value for name, value in asdict(schedule).items() if name != "metric"}
            return ReduceLROnPlateau(optimizer, threshold_mode="abs", **options)
        rates = [group["lr"] for group in optimizer.param_groups]
        n_steps = int(self.trainer.estimated_stepping_batches)
        return OneCycleLR(optimizer, rates, total_steps=n_steps + 1, cycle_momentum=False)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """One step: of the VAE and the classifier in the warm-up, of the game after it."""
        # Lightning turns it off, and then rounds each network's weights for every pass, which takes longer than the pass
        torch.set_autocast_cache_enabled(True)
        optimizers = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)

        kl_weight, self.guard.minibatch = self.kl_weight, batch
        plays = self.game is not None and self.current_epoch >= self.n_epochs_warmup
        self.module.fuses = self.fuses and not plays  # the game needs the distribution itself
        try:
            inference, generative, output = self.forward(batch, loss_kwargs={"kl_weight": kl_weight})
        finally:
            self.module.fuses = False
        self._check_finite(output.loss)
        # L_REG and L_AE of the real cells
        l_reg, l_ae = output.kl_local["kl_local"].mean(), output.reconstruction_loss["reconstruction_loss"].mean()
        if batch_idx == 0:
            self.guard.check_first_minibatch(float(self._reduce(l_ae, "mean")))
        terms = output.extra_metrics
        self._sums += torch.stack([l_reg, l_ae, torch.ones_like(l_ae)]).detach() * output.n_obs_minibatch
        elbo = self.alphas[0] * kl_weight * l_reg + self.alphas[1] * (l_ae + terms["weight_penalty"])
        if plays:
            loss = self._play(batch, inference, generative, output, elbo)
        else:
            loss = elbo + terms["library_nll"] + terms["classification_loss"]
            self.manual_backward(loss)

        for params in self._trainable():
            # without a limit the norm would find only one step earlier than the loss that a gradient is not finite
            if params and self.recipe.gradient_clip is not None:
                self._check_finite(clip_grad_norm_(params, self.recipe.gradient_clip))
        for optimizer in optimizers:
            optimizer.step()
        for scheduler in self.lr_schedulers():
            if not isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step()
        self.n_steps_done += 1

        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, prog_bar=True, sync_dist=self.use_sync_dist)
        self.compute_and_log_metrics(output, self.train_metrics, "train")
        return {"loss": loss.detach()}

    def _play(
        self, batch: dict[str, Tensor], inference: dict, generative: dict, output: LossOutput, elbo: Tensor
    ) -> Tensor:
        """Gradients of one step of the game; returns the encoder's loss."""
        game = self.game
        assert game is not None
        encoder, generator, classifier = self._trainable()
        cells = SyntheticCells.make(self.module, batch, inference, generative, whole=game.whole)
        consistency = game.consistency(cells, batch[REGISTRY_KEYS.X_KEY])
        shared = elbo if consistency is None else elbo + self.alphas[1] * consistency

        # through reconstructed cells only the consistency term's gradient reaches the encoder
        introspective_g = game.generator_loss(cells.read())
        loss_g = self.alphas[0] * introspective_g + shared + output.extra_metrics["library_nll"]
        self._check_finite(loss_g)
        if generator:
            self._backward(loss_g, generator, retain_graph=True)
        if classifier:
            self._backward(output.extra_metrics["classification_loss"], classifier)

        reading = cells.detached().read()
        introspective_e = game.encoder_loss(reading)
        loss_e = self.alphas[0] * introspective_e + shared
        self._check_finite(loss_e)
        if encoder:
            self._backward(loss_e, encoder)

        logged = {
            "kl_reconstructed": reading.reg[0].mean(),
            "kl_generated": reading.reg[-1].mean(),
            "introspective_encoder": introspective_e,
            "introspective_generator": introspective_g,
        }
        if consistency is not None:
            logged["classifier_consistency"] = consistency
        if (margin := getattr(game, "margin", None)) is not None:
            logged["margin"] = torch.tensor(margin, device=self.device)
        self._log_means(logged, output.n_obs_minibatch)
        return loss_e

    def _backward(self, loss: Tensor, part: list[Parameter], *, retain_graph: bool = False) -> None:
        """Gradients of one part of the module, averaged over the devices."""
        if self.trainer.world_size == 1:
            self.manual_backward(loss, inputs=part, retain_graph=retain_graph)
            return
        # DDP would wait for the gradients of all parts
        with self.trainer.strategy.block_backward_sync():
            self.manual_backward(loss, inputs=part, retain_graph=retain_graph)
        gradients = [p.grad for p in part if p.grad is not None]
        vector_to_parameters(self._reduce(parameters_to_vector(gradients), "mean"), gradients)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """ELBO of the held-out cells."""
        _, _, output = self.forward(batch)
        self.log("validation_loss", output.loss, on_step=False, on_epoch=True, sync_dist=self.use_sync_dist)
        self.compute_and_log_metrics(output, self.val_metrics, "validation")

    def compute_and_log_metrics(self, loss_output: LossOutput, metrics: dict[str, Any], mode: str) -> None:
        """Log the ELBO, and its other terms outside of scvi-tools' inference mode, where gloo cannot average them."""
        super().compute_and_log_metrics(replace(loss_output, extra_metrics={}), metrics, mode)
        terms = {f"{name}_{mode}": term for name, term in loss_output.extra_metrics.items()}
        self._log_means(terms, loss_output.n_obs_minibatch)

    def _log_means(self, terms: dict[str, Tensor], n_cells: int) -> None:
        constants = {name: term.detach() for name, term in terms.items()}
        self.log_dict(constants, on_step=False, on_epoch=True, sync_dist=self.use_sync_dist, batch_size=n_cells)

    def _reduce(self, tensor: Tensor, op: str) -> Tensor:
        """A sum or mean over devices, which all must agree on."""
        return self.trainer.strategy.reduce(tensor.detach().clone(), reduce_op=op)

    def _check_finite(self, loss: Tensor) -> None:
        # if one device stopped, the others would wait for it
        self.guard.check_finite(loss if self.trainer.world_size == 1 else self._reduce(loss, "sum"))

    def _means_of_epoch(self) -> list[float]:
        """Mean L_REG and L_AE of the epoch's cells so far; empty before the first."""
        *sums, n_cells = self._reduce(self._sums.to(self.device), "sum").tolist()
        return [part / n_cells for part in sums] if n_cells else []

    def on_train_start(self) -> None:
        """Give each device its own noise; all begin with one seed."""
        if self.trainer.world_size > 1:
            torch.manual_seed(torch.initial_seed() + self.trainer.global_rank)

    def on_train_epoch_start(self) -> None:
        """Take up the losses of the epoch before, balance the terms, and begin the game after the warm-up."""
        if self.take_up_random_state():
            # in any other epoch the loader's iterator is made now, which draws its seed
            torch.empty((), dtype=torch.int64).random_()
        if means := self._means_of_epoch():
            self._recent = [*self._recent, means][-_RECENT_EPOCHS:]
        self._sums = torch.zeros(3, device=self.device)
        self.guard.begin_epoch(self.current_epoch, [l_ae for _, l_ae in self._recent])
        if self.game is not None:
            self.alphas = self.game.alphas_for(self._recent)
            if self.current_epoch == self.n_epochs_warmup:
                self._warmup = self._recent
                self.game = self.game.begin(self._warmup)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Check that the epoch left sound weights, before a checkpoint of them is written."""
        if not self.trainer.is_last_batch:
            return
        with torch.no_grad():
            self._check_finite(torch.stack([p.sum() for part in self._trainable() for p in part]).sum())
        self.guard.check_epoch(self._means_of_epoch()[1])

    def on_train_epoch_end(self) -> None:
        """Lower the learning rates if the validation loss, which was computed before, is on a plateau."""
        super().on_train_epoch_end()
        schedule = self.recipe.lr_schedule
        if isinstance(schedule, ReduceOnPlateau) and schedule.metric in self.trainer.callback_metrics:
            for scheduler in self.lr_schedulers():
                if isinstance(scheduler, ReduceLROnPlateau):
                    scheduler.step(self.trainer.callback_metrics[schedule.metric])

    def take_up_random_state(self) -> bool:
        """Continue with the random state of a checkpoint; whether there was one that was not taken up yet."""
        if self._random_state is None:
            return False
        set_torch_state(self._random_state)
        self._random_state = None
        return True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the epochs' losses, which the game and the guard depend on, and the random state."""
        checkpoint["losses_of_epochs"] = (self._sums, self._recent, self._warmup)
        checkpoint["n_steps_done"] = self.n_steps_done
        checkpoint["random_state"] = torch_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up what :meth:`on_save_checkpoint` kept."""
        self._sums, self._recent, self._warmup = checkpoint["losses_of_epochs"]
        self.n_steps_done = checkpoint["n_steps_done"]
        if self.game is not None and self._warmup is not None:
            self.game = self.game.begin(self._warmup)
        self._random_state = checkpoint["random_state"]
