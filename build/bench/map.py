"""The map at a hundred thousand features: the layout's time and memory, the site's columns, and the page in a browser.

    python build/bench/map.py [FEATURES]

Directions are made up: groups of them around common middles, in 64 dimensions, each with its exact 10 neighbours of
its own group. Chromium, if there is one, draws in software (SwiftShader), which is far slower than any GPU: what it
shows is that the page works, and how long a frame takes where there is nothing better.
"""

from __future__ import annotations

import functools
import http.server
import resource
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import orjson
import pyarrow as pa

from atlas import paths
from atlas.maps import Graph, lay_out
from atlas.render.picture import picture
from atlas.render.points import map_json, packed, points
from atlas.store.schema import MAP

GROUP, NEAR, WIDE = 100, 10, 64


def graph(n: int) -> Graph:
    """Points in groups of `GROUP`, with neighbours in the next group for every twentieth."""
    random = np.random.default_rng(0)
    index, distance = np.zeros((n, NEAR), np.int32), np.zeros((n, NEAR), np.float32)
    for low in range(0, n, GROUP):
        rows = random.normal(size=WIDE) + 0.8 * random.normal(size=(min(GROUP, n - low), WIDE))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        cosine = rows @ rows.T
        np.fill_diagonal(cosine, -2)
        near = np.argsort(-cosine, axis=1)[:, :NEAR]
        index[low : low + GROUP] = low + near
        distance[low : low + GROUP] = 1 - np.take_along_axis(cosine, near, 1)
    index[::20, -1] = (np.arange(0, n, 20) + GROUP) % n
    return Graph(np.zeros(n, np.int16), np.arange(n, dtype=np.int32), index, distance)


def memory() -> float:
    """Peak of this process, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print one line a step."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    lay_out(graph(400), seed=0, closest=0.1, smallest=0)  # compiles
    made = graph(n)
    begin, before = time.perf_counter(), memory()
    layout = lay_out(made, seed=0, closest=0.1, smallest=0)
    took = time.perf_counter() - begin
    print(f"layout      {n:,} features, {took:.0f} s, peak {memory():.0f} MB ({before:.0f} MB before)")
    print(f"            {layout.cluster.max() + 1:,} clusters, {np.mean(layout.cluster < 0):.0%} in none")
    half = {"x": layout.x, "y": layout.y, "cluster": layout.cluster}
    columns = {"dictionary": ["a"] * n, "feature": np.arange(n), **half, **{f"all_{k}": v for k, v in half.items()}}
    table = pa.table({f.name: pa.array(columns[f.name], f.type) for f in MAP}, schema=MAP)
    begin = time.perf_counter()
    lines = (SimpleNamespace(dictionary="a", index=i, source="Text", density=10 ** -(1 + i % 5)) for i in range(n))
    found = points(table, lines, ["a"], ["Text"])
    data, layout_of = packed(found)
    image = picture(found)
    took = time.perf_counter() - begin
    print(
        f"columns     {len(data) / 1e6:.1f} MB, picture {len(image) / 1e3:.0f} kB, {took:.1f} s, peak {memory():.0f} MB"
    )
    names = [f"group {i}" for i in range(int(found.cluster.max(initial=0)))]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), data, map_json(found, data, layout_of, "m", ["a"], ["Text"], names), image)
        look(Path(folder))


def write(folder: Path, data: bytes, said: bytes, image: bytes) -> None:
    """The files of a map's page, in the plainest page that its script takes; every feature is document 0."""
    shutil.copytree(paths.data("site_src", "assets"), folder / "assets")
    (folder / "points.bin").write_bytes(data)
    (folder / "map.json").write_bytes(said)
    (folder / "map.png").write_bytes(image)
    (folder / "search").mkdir()
    manifest = {
        "format": "atlas-search",
        "version": 1,
        "docs": 64,
        "chunk": 2**31,
        "docset": "0",
        "shards": [],
        "nodes": [],
    }
    (folder / "search" / "manifest.json").write_bytes(orjson.dumps(manifest))
    (folder / "search" / "d").mkdir()
    ids = ("map-find", "map-in", "map-out", "map-all")
    tools = "".join(f"<button id={i}></button>" for i in ids) + "<span id=map-said></span><p id=map-keys></p>"
    (folder / "index.html").write_text(
        f"""<!doctype html><html data-root="."><meta charset=utf-8><link rel=stylesheet href=assets/atlas.css>
<meta http-equiv=Content-Security-Policy content="default-src 'self';style-src 'self' 'unsafe-inline'">
<link rel=stylesheet href=assets/map.css><body class=atlas><div id=map-tools>{tools}
<select id=map-colour><option>cluster<option>density</select></div>
<figure class=plane id=plane data-src=map.json></figure><script type=module src=assets/map.js></script>""",
        "utf-8",
    )


def look(folder: Path) -> None:
    """Open the page, zoom and hover."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path:
        print("page        no Chromium here")
        return
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (only here)

    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    arguments = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        for name, size in (("desktop", (1280, 900)), ("phone", (390, 844))):
            page = browser.new_page(viewport={"width": size[0], "height": size[1]})
            faults: list[str] = []
            page.on("pageerror", lambda error, faults=faults: faults.append(str(error)))
            begin = time.perf_counter()
            page.goto(f"http://127.0.0.1:{server.server_port}/")
            page.locator("#map-keys:not(:empty)").wait_for()
            page.evaluate("new Promise(requestAnimationFrame)")
            took = time.perf_counter() - begin
            frames = page.evaluate(
                """async () => {
                  const begin = performance.now();
                  for (let i = 0; i < 20; i++) {
                    document.getElementById(i % 2 ? "map-in" : "map-out").click();
                    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
                  }
                  return (performance.now() - begin) / 20;
                }"""
            )
            page.mouse.move(size[0] / 2, 450)
            print(f"page        {name}: drawn after {took:.1f} s, {frames:.0f} ms a move, faults: {faults}", flush=True)
            page.close()
        browser.close()
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main()
