"""Print the version, which is written in pyproject.toml only.

With a tag as argument (``v0.1.0``), fail unless the tag is the version.
"""

import sys
import tomllib
from pathlib import Path


def main() -> None:
    """Print the version, or check a tag."""
    version = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["version"]
    if sys.argv[1:] and sys.argv[1] != f"v{version}":
        sys.exit(f"The tag must be v{version}, the version in pyproject.toml, got {sys.argv[1]}.")
    print(version)


if __name__ == "__main__":
    main()
