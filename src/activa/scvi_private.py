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

__all__ = ["ADATA_MINIFY_TYPE", "MODULE_KEYS", "let_cells_go", "minify_type", "parse_device_args", "split_seed"]


@contextmanager
def split_seed(seed: int) -> Iterator[None]:
    """Have scvi-tools' data splitters split by this seed.

    The public setter would seed every global generator too, and set an environment variable.
    """
    before = settings._seed
    settings._seed = seed
    try:
        yield
    finally:
        settings._seed = before


def let_cells_go(model: Any) -> None:
    """Have a model's entry in its class's store of managers, each of which holds its cells, end with the model.

    scvi-tools keeps it as long as the process lives.
    """
    weakref.finalize(model, type(model)._per_instance_manager_store.pop, model.id, None)
