"""Every private import from scvi-tools, in one place."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scvi import settings
from scvi.data._constants import ADATA_MINIFY_TYPE
from scvi.data._utils import _get_adata_minify_type as minify_type
from scvi.model._utils import parse_device_args
from scvi.module._constants import MODULE_KEYS

__all__ = ["ADATA_MINIFY_TYPE", "MODULE_KEYS", "release_with_model", "minify_type", "parse_device_args", "split_seed"]


@contextmanager
def split_seed(seed: int) -> Iterator[None]:
    """Make scvi-tools' data splitters use this seed; the public setter would also seed every global generator."""
    before = settings._seed
    settings._seed = seed
    try:
        yield
    finally:
        settings._seed = before


def release_with_model(model: Any) -> None:
    """Free a model's AnnData when the model is garbage-collected: scvi-tools keeps it as long as the process lives."""
    weakref.finalize(model, type(model)._per_instance_manager_store.pop, model.id, None)
