"""Optimizers and learning-rate schedules of the training plan."""

from __future__ import annotations

from typing import Any

from torch.nn import Parameter
from torch.optim import Adam
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR, StepLR

Group = tuple[list[Parameter], float]


def make_optimizers(
    networks: list[list[Group]], classifier: Group, *, n_steps: int | None, adam: dict[str, Any]
) -> tuple[list[Any], list[Any]]:
    """Adam for each network and for the classifier, in the form that Lightning asks for.

    Parameters
    ----------
    networks
        For each network its groups of parameters with their (highest) learning rates.
    classifier
        The classifier's parameters and learning rate, which is multiplied by 0.95 every 1,000 steps (ACTINN).
    n_steps
        Steps of the networks' one cycle; None for a constant rate.
    adam
        Further arguments of Adam.

    Returns
    -------
    Optimizers and schedulers. What has no trainable parameter, as after freezing, is left out.
    """
    optimizers: list[Any] = []
    schedulers: list[Any] = []
    for i, groups in enumerate([*networks, [classifier]]):
        filled = [{"params": params, "lr": lr} for params, lr in groups if params]
        if not filled:
            continue
        optimizer = Adam(filled, fused=True, **adam)
        scheduler: LRScheduler
        if i == len(networks):
            scheduler = StepLR(optimizer, step_size=1_000, gamma=0.95)
        elif n_steps is not None:
            rates = [lr for params, lr in groups if params]
            scheduler = OneCycleLR(optimizer, rates, total_steps=n_steps + 1, cycle_momentum=False)
        else:
            scheduler = ConstantLR(optimizer, factor=1.0)
        optimizers.append(optimizer)
        schedulers.append({"scheduler": scheduler, "interval": "step"})
    return optimizers, schedulers
