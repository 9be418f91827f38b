"""Names of clusters, by rule."""

from atlas.names.clusters import cluster_names, units


def test_units_of_a_name_by_hand_are_its_words_and_of_a_lexical_one_what_it_quotes():
    assert units("The Golden Gate of bridges", "hand", ()) == {"golden", "gate", "bridges"}
    assert units("“thou”, “of the” in King James Bible", "lexical", ["Thou"]) == {"thou", "of the", "king james bible"}
    assert units("Feature 3 of it", "none", ["x" * 40, " "]) == set()


def test_a_cluster_is_called_what_its_members_say_and_others_do_not():
    members = [0] * 20 + [1] * 20 + [-1] * 60
    said = [frozenset({"the", "ship"})] * 20 + [frozenset({"the", f"word {i}"}) for i in range(20)]
    said += [frozenset({"the"})] * 60
    assert cluster_names(members, said) == [("ship",), ()]


def test_what_is_everywhere_names_nothing():
    assert cluster_names([0] * 10 + [-1] * 10, [frozenset({"the"})] * 20) == [()]


def test_at_most_three_and_none_inside_another():
    words = frozenset({"sail", "sails", "mast", "rudder", "anchor"})
    (name,) = cluster_names([0] * 15 + [-1] * 200, [words] * 15 + [frozenset({"land"})] * 200)
    assert len(name) == 3
    assert not {"sail", "sails"} <= set(name)


def test_no_clusters_no_names():
    assert cluster_names([], []) == []
    assert cluster_names([-1, -1], [frozenset(), frozenset()]) == []
