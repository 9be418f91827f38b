"""Where features lie on the map: UMAP of their decoder directions, and HDBSCAN of what it makes.

1. The graph of nearest neighbours by cosine becomes UMAP's fuzzy one (L. McInnes, J. Healy, J. Melville, "UMAP:
   Uniform Manifold Approximation and Projection for Dimension Reduction", https://arxiv.org/abs/1802.03426). Nearly
   only neighbours that have each other in their lists hold together (`ONE_SIDED`): a few decoder directions are among
   the nearest of a tenth of all others, and would tie unlike features into knots (A. Dalmia, S. Sia, "Clustering with
   UMAP: Why and How Connectivity Matters", https://arxiv.org/abs/2108.05525).
2. Points begin where a random plane is after `STEPS` steps of power iteration on the graph, and are moved by stochastic
   gradient descent, one thread, seeded: 500 rounds up to 10,000 points, 200 above. The iteration goes towards the
   eigenvectors that UMAP begins at by itself, in a time that is known beforehand: where a graph falls into parts that
   hardly touch, finding those exactly takes minutes for 20,000 points.
3. The plane is scaled into the unit square. Its few farthest points, which would shrink the rest to a blot, are
   drawn in to the edge of where nearly all others are.
4. HDBSCAN finds where points are dense (R. Campello, D. Moulavi, J. Sander, "Density-Based Clustering Based on
   Hierarchical Density Estimates", 2013). It looks at the plane and not at more dimensions of another UMAP: what has a
   name is then a shape that a reader can see, and it costs no second layout. Of its tree the leaves are taken: the
   most stable cut is now and then the whole map in two halves. Points outside all clusters have none.

What grows with n points and k neighbours: memory with n k; the time of the layout with n k rounds; the time of
HDBSCAN with n^2 (in the plane, some nanoseconds a pair, so that it is the greater part beyond 100,000 points).
Nothing runs on more than one thread where the order of additions could differ: same machine and versions, same bytes.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from atlas.errors import AtlasError
from atlas.maps.graph import Graph

FEWEST = 4
"""Up to so many points lie on a line: there is nothing to lay out."""
STEPS = 200
ONE_SIDED = 0.1
"""How much it counts that one of two features has the other in its list, beside that both have (UMAP's own: 1)."""
FAR = 0.995
"""Share of points, by distance from the middle of their axis, that the square is made for."""
_ROUNDS, _MANY = (500, 200), 10_000
_CORE = 3  # points that make a place dense: with more of them half of all features are in no cluster
_PACKAGES = ("umap-learn", "scikit-learn", "numba", "numpy", "scipy")


@dataclass(frozen=True)
class Layout:
    """A map.

    Attributes:
        x, y: float32 [n], 0 to 1.
        cluster: int32 [n], by falling size from 0; -1 for none.
    """

    x: np.ndarray
    y: np.ndarray
    cluster: np.ndarray


def versions() -> str:
    """The versions that decide a map.

    Raises:
        PackageNotFoundError: If one of them is not installed.
    """
    return " ".join(f"{name} {version(name)}" for name in _PACKAGES)


def lay_out(graph: Graph, *, seed: int, closest: float, smallest: int) -> Layout:
    """Lay out a graph's points.

    Args:
        graph: Of n points.
        seed: Of the layout.
        closest: UMAP's `min_dist`: how densely points may be packed.
        smallest: Points that a cluster has at least; 0 chooses, by the number of points.
    """
    n, k = graph.index.shape
    if n <= FEWEST or k == 0:
        line = (np.arange(n, dtype=np.float32) + 0.5) / max(n, 1)
        return Layout(line, np.full(n, 0.5, np.float32), np.full(n, -1, np.int32))
    plane = _square(_umap(graph, seed, closest))
    size = smallest or max(5, round(math.sqrt(n) / 4))
    return Layout(plane[:, 0], plane[:, 1], _clusters(plane, size))


def _umap(graph: Graph, seed: int, closest: float) -> np.ndarray:
    """The plane, float32 [n, 2]."""
    umap = _import_umap()
    n = len(graph.index)
    itself = np.arange(n, dtype=np.int32)[:, None]
    index = np.hstack([itself, graph.index])
    distance = np.hstack([np.zeros((n, 1), np.float32), graph.distance])
    random = np.random.RandomState(seed)
    nothing = np.zeros((n, 1), np.float32)  # in place of the points themselves, which the graph stands for
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a reader of a build can do nothing about, such as a slow eigenvector
        fuzzy, _, _ = umap.fuzzy_simplicial_set(
            nothing,
            index.shape[1],
            random,
            "cosine",
            knn_indices=index,
            knn_dists=distance,
            set_op_mix_ratio=ONE_SIDED,
        )
        a, b = umap.find_ab_params(1.0, closest)
        plane, _ = umap.simplicial_set_embedding(
            nothing,
            fuzzy,
            n_components=2,
            initial_alpha=1.0,
            a=a,
            b=b,
            gamma=1.0,
            negative_sample_rate=5,
            n_epochs=_ROUNDS[n > _MANY],
            init=_begin(fuzzy, random),
            random_state=random,
            metric="cosine",
            metric_kwds={},
            densmap=False,
            densmap_kwds={},
            output_dens=False,
            parallel=False,
        )
    if not np.isfinite(plane).all():
        raise AtlasError("map", "the layout is not finite", "try another map.seed, or map.make = false")
    return np.asarray(plane, np.float32)


def _begin(graph: Any, random: np.random.RandomState) -> np.ndarray:
    """Where points begin, float32 [n, 2]: by power iteration of (1 + the normalised graph) / 2, two vectors.

    What all points share, the first eigenvector, is taken out of both after each step, and the one out of the other.

    Args:
        graph: Sparse, symmetric, not negative, [n, n].
        random: Where the vectors begin.
    """
    degree = np.asarray(graph.sum(axis=1), np.float64).ravel()
    root = np.sqrt(np.maximum(degree, 1e-12))
    shared = root / np.linalg.norm(root)
    plane = random.normal(size=(len(root), 2))
    for _ in range(STEPS):
        plane = (plane + (graph @ (plane / root[:, None])) / root[:, None]) / 2
        plane -= np.outer(shared, shared @ plane)
        plane, _ = np.linalg.qr(plane)
    plane = plane / root[:, None]
    plane = 10 * plane / max(float(np.quantile(np.abs(plane), FAR)), 1e-12)
    return np.asarray(np.clip(plane, -10, 10) + random.normal(scale=1e-4, size=plane.shape), np.float32)


def _import_umap() -> Any:
    """umap-learn's functions; it takes seconds to import, and warns that it lacks Tensorflow, which is not used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap import umap_  # noqa: PLC0415

    return umap_


def _square(plane: np.ndarray) -> np.ndarray:
    """The plane in the unit square, as large as it goes, both axes to the same scale."""
    low, high = np.quantile(plane, 1 - FAR, axis=0), np.quantile(plane, FAR, axis=0)
    margin = 0.05 * (high - low)
    low, high = np.maximum(low - margin, plane.min(axis=0)), np.minimum(high + margin, plane.max(axis=0))
    side = max(float((high - low).max()), 1e-6)
    middle = (low + high) / 2
    return np.asarray(0.5 + (np.clip(plane, low, high) - middle) / side, np.float32)


def _clusters(plane: np.ndarray, smallest: int) -> np.ndarray:
    """Clusters by falling size, equal ones by their first point: int32 [n], -1 for none."""
    from sklearn.cluster import HDBSCAN  # noqa: PLC0415

    n = len(plane)
    if n < 2 * smallest:
        return np.full(n, -1, np.int32)
    finder = HDBSCAN(min_cluster_size=smallest, min_samples=_CORE, cluster_selection_method="leaf", copy=True, n_jobs=1)
    found = finder.fit(plane.astype(np.float64))
    label = np.asarray(found.labels_, np.int64)
    ids, first, size = np.unique(label, return_index=True, return_counts=True)
    order = [i for i in np.lexsort((first, -size)) if ids[i] >= 0]
    rank = {int(ids[i]): place for place, i in enumerate(order)}
    return np.array([rank.get(int(x), -1) for x in label], np.int32)
