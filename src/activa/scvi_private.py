"""Every private import from scvi-tools, in one place."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

from scvi import settings
from scvi.data._constants import ADATA_MINIFY_TYPE
from scvi.data._utils import _get_adata_minify_type as minify_type
from scvi.model._utils import parse_device_args
from scvi.module._constants import MODULE_KEYS

from activa.optional import import_optional

__all__ = [
    "ADATA_MINIFY_TYPE", "MODULE_KEYS", "annbatch_as_scvi_tools_expects", "release_with_model", "minify_type",
    "parse_device_args", "split_seed",
]  # fmt: skip


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


@contextmanager
def annbatch_as_scvi_tools_expects() -> Iterator[None]:
    """Let annbatch's ``Loader`` take ``to_torch``, which it calls ``to`` since 0.3 and scvi-tools 1.5 does not know."""
    annbatch = import_optional("annbatch", "setup_annbatch", "annbatch")
    loader: Any = annbatch.Loader

    class Loader(loader):
        def __init__(self, *, to_torch: bool = False, **kwargs: Any):
            super().__init__(**({"to": "torch"} if to_torch else {}), **kwargs)

    annbatch.Loader = loader if "to_torch" in signature(loader).parameters else Loader  # type: ignore[attr-defined]
    try:
        yield
    finally:
        annbatch.Loader = loader  # type: ignore[attr-defined]
