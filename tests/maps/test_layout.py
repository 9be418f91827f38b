"""Graphs from the store, and what becomes of them."""

import hashlib

import numpy as np
import pytest

import atlas
from atlas.maps import Graph, all_of, lay_out, own_of
from atlas.maps.graph import ACROSS


def groups(n=240, of=12, k=8, seed=0):
    """Neighbours in groups of which none knows another."""
    random = np.random.default_rng(seed)
    size = n // of
    index = np.stack(
        [i // size * size + random.permutation([j for j in range(size) if j != i % size])[:k] for i in range(n)]
    )
    distance = np.sort(random.uniform(0.1, 0.4, index.shape), axis=1)
    return Graph(np.zeros(n, np.int16), np.arange(n, dtype=np.int32), index.astype(np.int32), distance.astype("f4"))


def settings(**changed):
    return {"seed": 0, "closest": 0.1, "smallest": 0} | changed


def test_the_same_graph_gives_the_same_map_and_another_seed_another():
    one, two, other = (lay_out(groups(), **settings(seed=seed)) for seed in (3, 3, 4))
    for name in ("x", "y", "cluster"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()
    assert one.x.tobytes() != other.x.tobytes()


def test_groups_of_neighbours_lie_together_and_are_clusters():
    graph = groups()
    layout = lay_out(graph, **settings(smallest=12))  # a group has 20
    plane = np.stack([layout.x, layout.y], axis=1)
    assert ((plane >= 0) & (plane <= 1)).all()
    near = np.linalg.norm(plane - plane[graph.index[:, 0]], axis=1)
    far = np.linalg.norm(plane - np.roll(plane, 120, axis=0), axis=1)
    assert np.median(near) < 0.3 * np.median(far)
    found = layout.cluster >= 0
    assert found.mean() > 0.7
    same = layout.cluster[graph.index[:, 0]] == layout.cluster
    assert same[found].mean() > 0.9
    sizes = np.bincount(layout.cluster[found])
    assert list(sizes) == sorted(sizes, reverse=True)
    assert sizes.min() >= 12


@pytest.mark.parametrize("n", [0, 1, 4])
def test_few_points_lie_on_a_line(n):
    graph = Graph(np.zeros(n, "i2"), np.arange(n, dtype="i4"), np.zeros((n, 2), "i4"), np.ones((n, 2), "f4"))
    layout = lay_out(graph, **settings())
    assert len(set(layout.x.tolist())) == n
    assert (layout.cluster == -1).all()


@pytest.mark.parametrize("n", [5, 15, 16, 40])
def test_small_and_loose_graphs_have_a_map_too(n):
    index = np.full((n, 3), -1, np.int32)
    index[1:, 0] = np.arange(n - 1)  # a chain; the first knows nobody
    layout = lay_out(
        Graph(np.zeros(n, "i2"), np.arange(n, dtype="i4"), index, np.full((n, 3), 0.5, "f4")), **settings()
    )
    assert np.isfinite(layout.x).all()
    assert np.isfinite(layout.y).all()


def test_a_dictionary_s_graph_is_its_own_neighbours_that_fired(tiny):
    store = atlas.open_store(tiny.store)
    graph = own_of(store, 0)
    alive = store.alive("1-res-600")
    assert graph.feature.tolist() == alive
    for point, feature in list(enumerate(alive))[:40]:
        near = [n.index for n in store.feature("1-res-600", feature).neighbours if n.dictionary == "1-res-600"]
        expected = [i for i in near if i in alive]
        assert [alive[i] for i in graph.index[point] if i >= 0] == expected
        assert (np.diff(graph.distance[point]) >= 0).all()


def test_the_graph_of_all_has_the_nearest_of_any_dictionary(tiny):
    store = atlas.open_store(tiny.store)
    graph = all_of(store)
    alive = {d: set(store.alive(d)) for d in store.dictionaries}
    ids = list(store.dictionaries)
    assert len(graph.index) == sum(map(len, alive.values()))
    for point in (0, 5, len(graph.index) - 1):
        own = store.feature(ids[graph.dictionary[point]], int(graph.feature[point]))
        near = sorted((n for n in own.neighbours if n.index in alive[n.dictionary]), key=lambda n: -n.cosine)[:ACROSS]
        at = [i for i in graph.index[point] if i >= 0]
        assert [(ids[graph.dictionary[i]], int(graph.feature[i])) for i in at] == [
            (n.dictionary, n.index) for n in near
        ]
        np.testing.assert_allclose(graph.distance[point][: len(at)], [1 - n.cosine for n in near], atol=1e-6)


def test_the_store_has_the_map_and_says_so(tiny):
    store = atlas.open_store(tiny.store)
    table = store.to_arrow("map")
    assert len(table) == sum(d.alive for d in store.manifest.dictionaries)
    assert "map" in store.manifest.stages
    data = (tiny.store / "map.parquet").read_bytes()
    assert store.manifest.files["map.parquet"] == hashlib.sha256(data).hexdigest()
