"""A real Chromium on the tiny atlas, served by the plainest server there is, from a sub-path."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SHOTS = Path(__file__).parent / "shots"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--use-gl=angle",  # WebGL in software: CI has no GPU
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def base(tiny) -> Iterator[str]:
    """Address of the site, which lies in a folder of the server's root."""
    root = tiny.site.parent
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/site/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def chromium():
    """The browser; CI must have one, a developer's machine may lack it."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium; .ci/run installs it")
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class Watched:
    """A page, and all that went wrong on it."""

    def __init__(self, page, base: str) -> None:
        self.page, self.base = page, base
        self.faults: list[str] = []
        page.on("console", lambda m: self.faults.append(f"console {m.type}: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(f"exception: {error}"))
        page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))
        page.on("response", lambda r: self.faults.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        host = base.split("/site/", maxsplit=1)[0]
        page.on("request", lambda r: None if r.url.startswith(host) else self.faults.append(f"foreign: {r.url}"))

    def go(self, path: str):
        self.page.goto(self.base + path)
        return self.page


@pytest.fixture(params=["desktop", "phone"])
def watched(request, chromium, base) -> Iterator[Watched]:
    """A page in a fresh profile at one of two sizes; every fault on it fails the test."""
    size = {"desktop": (1280, 900), "phone": (390, 844)}[request.param]
    context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme="light")
    found = Watched(context.new_page(), base)
    yield found
    SHOTS.mkdir(exist_ok=True)
    found.page.screenshot(path=SHOTS / f"{request.node.name.replace('/', '-')}.png")
    context.close()
    assert found.faults == []


@pytest.fixture
def without_script(chromium, base) -> Iterator[Watched]:
    """A page where JavaScript is off."""
    context = chromium.new_context(java_script_enabled=False, color_scheme="dark")
    found = Watched(context.new_page(), base)
    yield found
    context.close()
    assert found.faults == []
