"""Names: short texts for features. Hand-written ones win; the rest are named from their own words."""

from atlas.names.hand import read_names
from atlas.names.lexical import LexicalNamer

__all__ = ["LexicalNamer", "read_names"]
