"""The map: features in the plane, near where their decoder directions are near, and the clusters they form."""

from atlas.maps.graph import Graph, all_of, own_of
from atlas.maps.layout import Layout, lay_out, versions

__all__ = ["Graph", "Layout", "all_of", "lay_out", "own_of", "versions"]
