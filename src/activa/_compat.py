"""Every private import from scvi-tools, in one place."""

from collections.abc import Iterator
from contextlib import contextmanager

from scvi import settings
from scvi.data._constants import ADATA_MINIFY_TYPE
from scvi.data._utils import _get_adata_minify_type as minify_type
from scvi.model._utils import parse_device_args
from scvi.module._constants import MODULE_KEYS

__all__ = ["ADATA_MINIFY_TYPE", "MODULE_KEYS", "minify_type", "parse_device_args", "split_seed"]


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
