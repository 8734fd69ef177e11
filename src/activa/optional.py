import importlib
import importlib.util
import warnings
from types import ModuleType


def is_installed(module: str) -> bool:
    """Whether an optional package can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def import_optional(module: str, needed_for: str, extra: str = "eval") -> ModuleType:
    """Import a package of an extra, or say how to install it."""
    if not is_installed(module.partition(".")[0]):
        msg = f"{needed_for} needs {module.partition('.')[0]}: pip install 'activa-sc[{extra}]'"
        raise ImportError(msg)
    with warnings.catch_warnings():
        # Both are about packages that these ones import, which a user can do nothing about.
        warnings.filterwarnings("ignore", message="Tensorflow not installed", category=ImportWarning)
        warnings.filterwarnings("ignore", message="JAXopt is no longer maintained", category=DeprecationWarning)
        return importlib.import_module(module)
