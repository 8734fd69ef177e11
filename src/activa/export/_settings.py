"""What a model was made with, to and from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from activa.export._fields import Fields, refused
from activa.train import Recipe

_WHOLES = {"n_latent": 1, "n_prior_components": 1}
_NUMBERS = ("dropout_rate", "input_dropout_rate", "loading_scale", "offset_scale")
_WORDS = ("gene_likelihood", "generator", "dispersion", "prior", "label_input", "norm")
SETTINGS = ("n_hidden", "protein_likelihood", "seed", *_WHOLES, *_NUMBERS, *_WORDS)
"""Arguments of the model."""

Reference = tuple[int, tuple[int, ...]]
"""Numbers of batches and of each covariate's categories."""


def settings_to_json(
    settings: Mapping[str, Any], training_defaults: Mapping[str, Any], reference: Reference | None
) -> dict[str, Any]:
    """Arguments of the model, what it trains with if not told otherwise, and what scArches must not move."""
    if unknown := set(settings) - set(SETTINGS):
        raise TypeError(f"The export has no place for the settings {sorted(unknown)}.")
    return {
        "settings": {name: _plain(value) for name, value in settings.items()},
        "training_defaults": _plain(training_defaults),
        "reference_categories": None if reference is None else _plain({"batches": reference[0], "covariates": reference[1]}),
    }  # fmt: skip


def settings_from_json(fields: Fields) -> tuple[dict[str, Any], dict[str, Any], Reference | None]:
    """What :func:`settings_to_json` was given; the model itself checks the values of its arguments.

    Parameters
    ----------
    fields
        What it gave.

    Raises
    ------
    ValueError
        If a value is of another type, or a name is not known.
    """
    fields.only(("settings", "training_defaults", "reference_categories"))
    given = fields.fields("settings")
    given.only(SETTINGS)
    settings: dict[str, Any] = {}
    # a setting that an older activa did not have keeps its default
    for name in given.values:
        if name in _WHOLES:
            settings[name] = given.whole(name, least=_WHOLES[name])
        elif name in _NUMBERS:
            settings[name] = given.number(name)
        elif name in _WORDS:
            settings[name] = given.text(name)
        elif name == "n_hidden":
            settings[name] = tuple(given.wholes(name, least=1))
        elif name == "protein_likelihood":
            settings[name] = given.text_or_none(name)
        else:
            settings[name] = None if given.any(name) is None else given.whole(name)

    defaults = fields.fields("training_defaults")
    defaults.only(("max_epochs", "recipe"))
    training: dict[str, Any] = {}
    if "max_epochs" in defaults.values:
        training["max_epochs"] = defaults.whole("max_epochs", least=1)
    if "recipe" in defaults.values:
        try:
            training["recipe"] = Recipe.from_dict(defaults.fields("recipe").values).to_dict()
        except (TypeError, ValueError) as error:
            raise refused(defaults.where, f"'recipe' is no recipe of training ({error})") from error

    if fields.any("reference_categories") is None:
        return settings, training, None
    reference = fields.fields("reference_categories")
    reference.only(("batches", "covariates"))
    known = (reference.whole("batches", least=1), tuple(reference.wholes("covariates", least=1)))
    return settings, training, known


def _plain(value: Any) -> Any:
    """The same of Python's own types."""
    if isinstance(value, Mapping):
        return {name: _plain(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value
