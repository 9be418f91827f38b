"""What of the Ray engine needs no cluster."""

import runpy
from pathlib import Path

from atlas.engines.ray_tree import Found, Tree


def test_the_merge_tree_is_a_binary_counter():
    merges = []

    def join(one, other):
        merges.append(1)
        return [*one, *other]

    tree = Tree(join)
    for n in range(1, 201):
        tree.add(Found([n], [n]))
        assert len(tree) == n.bit_count()
    assert len(merges) == 200 - (200).bit_count()
    assert tree.take(lambda state: len(state) > 100)[0].units == list(range(1, 129))
    rest = tree.take(lambda _: True)
    assert [found.height for found in rest] == [6, 3]
    assert [unit for found in rest for unit in found.units] == list(range(129, 201))
    assert len(tree) == 0


def test_the_numbers_in_the_docs_come_from_the_command():
    root = Path(__file__).parents[2]
    scale = runpy.run_path(str(root / "build/bench/scale.py"))
    page = (root / "site_src/pages/docs/cluster.md").read_text("utf-8")
    text, _ = scale["tables"](scale["Rates"]())
    shown = page.partition(scale["BEGIN"])[2].partition(scale["END"])[0].strip()
    assert shown == text, "run: python build/bench/scale.py --into site_src/pages/docs/cluster.md"
