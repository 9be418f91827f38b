"""The public API, as its documentation shows it."""

import pickle

import pytest

import atlas


def test_a_store_opens_and_gives_records(tiny):
    store = atlas.open_store(str(tiny.store))
    assert list(store.dictionaries) == ["1-res-600", "0-res-24"]
    feature = store.feature("1-res-600", 12)
    assert isinstance(feature, atlas.FeatureRecord)
    assert feature.path == "tiny-gemma/1-res-600/12"
    assert feature.density == feature.count / feature.tokens
    assert store.feature("1-res-600", 599).count == 0
    assert [f.index for f in store.features("1-res-600", 510, 515)] == [510, 511, 512, 513, 514]


def test_notebooks_show_a_feature_without_running_it(tiny):
    html = atlas.open_store(tiny.store).feature("1-res-600", 12)._repr_html_()
    assert html.startswith("<b>A name with &lt;script&gt;")
    assert "<script" not in html
    assert "background:rgba" in html


def test_tables_come_as_arrow(tiny):
    store = atlas.open_store(tiny.store)
    table = store.to_arrow("features", "0-res-24")
    assert table.num_rows == 24
    assert {"index", "count", "logit_top"} <= set(table.column_names)
    assert store.to_arrow("names").num_rows > 100
    with pytest.raises(atlas.AtlasError, match="no such table"):
        store.to_arrow("fetures", "0-res-24")
    with pytest.raises(atlas.AtlasError, match="no such dictionary"):
        store.feature("9-res-4k", 0)
    with pytest.raises(atlas.AtlasError, match="no store here"):
        atlas.open_store(tiny.folder)


def test_an_error_comes_back_whole_from_another_process() -> None:
    error = atlas.AtlasError("collect.batch", "is  too\nlarge", "lower it")
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own bytes)
    assert (str(back), back.where, back.wrong, back.mend) == (str(error), error.where, error.wrong, error.mend)
