"""The map as columns and as a picture."""

import struct
import tracemalloc
import zlib
from types import SimpleNamespace

import numpy as np
import orjson
import pyarrow as pa

from atlas.render.picture import COLOURS, PIXELS, picture
from atlas.render.points import SIDE, map_json, middles, packed, points
from atlas.store.schema import MAP


def table(n, dictionaries=("a", "b")):
    random = np.random.default_rng(0)
    half = n // 2
    columns = {
        "dictionary": [dictionaries[0]] * half + [dictionaries[1]] * (n - half),
        "feature": [*range(half), *range(n - half)],
        **{name: random.random(n, np.float32) for name in ("x", "y", "all_x", "all_y")},
        **{name: random.integers(-1, 7, n).astype(np.int32) for name in ("cluster", "all_cluster")},
    }
    return pa.table({f.name: pa.array(columns[f.name], f.type) for f in MAP}, schema=MAP)


def lines(n):
    half = n // 2
    for place in reversed(range(n)):
        own = ("a", place) if place < half else ("b", place - half)
        yield SimpleNamespace(dictionary=own[0], index=own[1], source="Prose" if place % 2 else "Odd", density=1e-3)


def test_columns_are_what_the_table_says_in_static_rank():
    rows = table(10)
    found = points(rows, [*lines(10), SimpleNamespace(dictionary="a", index=99, source="", density=0)], "ab", ["Prose"])
    assert found.doc.tolist() == list(range(10))
    assert found.feature.tolist() == [4, 3, 2, 1, 0, 4, 3, 2, 1, 0]
    assert found.dictionary.tolist() == [1] * 5 + [0] * 5
    assert found.x[0] == round(float(rows["all_x"][9].as_py()) * SIDE)
    assert found.y[0] == round((1 - float(rows["all_y"][9].as_py())) * SIDE)
    assert found.source.tolist() == [0, 255] * 5
    assert set(found.density.tolist()) == {round(255 * 4 / 7)}
    only = points(rows, lines(10), "ab", ["Prose"], "a")
    assert only.doc.tolist() == [5, 6, 7, 8, 9]
    assert only.x[-1] == round(float(rows["x"][0].as_py()) * SIDE)


def test_columns_read_back_from_where_the_json_says():
    found = points(table(1001), lines(1001), "ab", ["Prose"])
    data, columns = packed(found)
    said = orjson.loads(map_json(found, data, columns, "m", ["a", "b"], ["Prose"], ["x"] * 7))
    assert said["count"] == 1001
    for name, kind, offset in said["columns"]:
        assert offset % 4 == 0
        column = np.frombuffer(data, f"<{kind}", 1001, offset)
        assert column.tolist() == getattr(found, name).tolist()
    assert [size for _, size, *_ in said["clusters"]] == [size for size, *_ in middles(found, 7)]
    assert sum(size for _, size, *_ in said["clusters"]) == int((found.cluster > 0).sum())


def test_a_hundred_thousand_features_stream_through_little_memory():
    rows = table(100_000)
    tracemalloc.start()
    found = points(rows, lines(100_000), "ab", ["Prose"])
    data, _ = packed(found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(data) == 18 * 100_000
    assert peak < 40e6, "more than 400 bytes a feature"


def test_the_picture_is_a_png_with_a_pixel_in_the_colour_of_its_cluster():
    found = points(table(300), lines(300), "ab", ["Prose"])
    data = picture(found)
    assert data == picture(found)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + size
    image = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(PIXELS, PIXELS + 1)[:, 1:]
    assert set(np.unique(image)) == {0, 1, *(2 + i for i in range(7))}
    assert chunks[b"PLTE"][6:9] == bytes(COLOURS[0])


def test_colours_can_be_told_from_both_grounds():
    def luminance(colour):
        parts = [c / 255 for c in colour]
        parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))

    for ground in ((255, 255, 255), (0x14, 0x18, 0x1C)):
        for colour in COLOURS:
            high, low = sorted([luminance(ground), luminance(colour)], reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 3, (ground, colour)
