"""Every private scvi-tools import, in one place."""

from scvi.module._constants import MODULE_KEYS

__all__ = ["MODULE_KEYS"]
