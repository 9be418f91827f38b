"""A stand-in for the Hugging Face Hub: as much of its protocol as downloads and streamed datasets need.

    GET  /api/{models,datasets}/ORG/NAME[/revision/REV]          the commit and the names of all files
    GET  /api/{models,datasets}/ORG/NAME/tree/REV[/FOLDER]       files of a folder; `recursive=true` for all below it
    POST /api/{models,datasets}/ORG/NAME/paths-info/REV          what lies at the paths in the form's `paths`
    HEAD, GET /[datasets/]ORG/NAME/resolve/REV/PATH              a file, with its ETag and commit; byte ranges too

A repository has one commit, which goes by `main`, by its 40 digits and by further names. What is wrong is said as the
Hub says it, in `X-Error-Code`: GatedRepo, RepoNotFound, RevisionNotFound, EntryNotFound. A gated repository lists its
files to everyone and hands out none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

API = re.compile(
    r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)"
    r"(?:/(?P<what>revision|tree|paths-info)/(?P<revision>[^/]+)(?:/(?P<path>.+))?)?"
)
FILE = re.compile(r"/(?:(?P<kind>datasets)/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


@dataclass
class Repository:
    """One repository: a folder of files, and the names that its only commit goes by."""

    folder: Path
    commit: str
    names: set[str] = field(default_factory=lambda: {"main"})
    gated: bool = False

    def files(self) -> dict[str, Path]:
        return {p.relative_to(self.folder).as_posix(): p for p in sorted(self.folder.rglob("*")) if p.is_file()}


class Refused(Exception):  # noqa: N818 (it becomes an answer)
    """An answer that is no file."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Hub:
    """Repositories by kind and name, and what was asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.asked: list[str] = []

    def repository(self, name: str, *, kind: str = "models", revision: str | None = None) -> Repository:
        """The repository of this name, made if there is none; `revision` is a name of its commit, or its commit."""
        if (kind, name) not in self.repositories:
            folder = self._folder / kind / name.replace("/", "--")
            folder.mkdir(parents=True)
            commit = hashlib.sha1(f"{kind} {name}".encode()).hexdigest()  # noqa: S324 (as git names commits)
            self.repositories[kind, name] = Repository(folder, commit)
        found = self.repositories[kind, name]
        if revision and re.fullmatch("[0-9a-f]{40}", revision):
            found.commit = revision
        elif revision:
            found.names.add(revision)
        return found

    def find(self, kind: str, name: str, revision: str) -> Repository:
        """The repository at a revision.

        Raises:
            Refused: As the Hub would.
        """
        found = self.repositories.get((kind, name))
        if found is None:
            raise Refused(401, "RepoNotFound", "Repository not found")
        if revision not in {found.commit, *found.names}:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return found

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve on a free port of this machine; gives the address for HF_ENDPOINT."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": self}))
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers for one `Hub`, which a subclass names."""

    hub: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits for an acknowledgement, 40 ms

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        url = urlsplit(self.path)
        self.hub.asked.append(f"{self.command} {unquote(self.path)}")
        try:
            if (match := API.fullmatch(url.path)) is not None:
                data = json.dumps(_api(self.hub, match, parse_qs(url.query), parse_qs(body.decode()))).encode()
                self._send(200, data, {"Content-Type": "application/json"})
            elif (match := FILE.fullmatch(url.path)) is not None:
                self._file(match)
            else:
                self._send(404, b"", {"X-Error-Message": "the stand-in does not know this"})
        except Refused as error:
            headers = {"X-Error-Code": error.code, "X-Error-Message": str(error)}
            self._send(error.status, json.dumps({"error": str(error)}).encode(), headers)

    def _file(self, match: re.Match[str]) -> None:
        found = self.hub.find(match["kind"] or "models", match["name"], unquote(match["revision"]))
        path = found.files().get(unquote(match["path"]))
        if found.gated:
            raise Refused(401, "GatedRepo", f"Access to model {match['name']} is restricted.")
        if path is None:
            raise Refused(404, "EntryNotFound", "Entry not found")
        data = path.read_bytes()
        headers = {"X-Repo-Commit": found.commit, "Accept-Ranges": "bytes"}
        headers["ETag"] = f'"{hashlib.sha256(data).hexdigest()}"'
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._send(200, data, headers)
            return
        first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
        self._send(206, data[first : last + 1], headers | {"Content-Range": f"bytes {first}-{last}/{len(data)}"})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _api(hub: Hub, match: re.Match[str], query: dict[str, list[str]], form: dict[str, list[str]]) -> Any:
    found = hub.find(match["kind"], match["name"], unquote(match["revision"] or "main"))
    sizes = {name: path.stat().st_size for name, path in found.files().items()}
    folders = {"/".join(name.split("/")[:n]) for name in sizes for n in range(1, name.count("/") + 1)}
    if match["what"] == "tree":
        lead = f"{unquote(match['path'])}/" if match["path"] else ""
        if lead and lead[:-1] not in folders:
            raise Refused(404, "EntryNotFound", f"{lead[:-1]} does not exist on the revision")
        everything = query.get("recursive", ["false"])[0].lower() in {"true", "1"}
        below = [name for name in sorted({*sizes, *folders}) if name.startswith(lead)]
        return [_entry(name, sizes) for name in below if everything or "/" not in name.removeprefix(lead)]
    if match["what"] == "paths-info":
        return [_entry(name, sizes) for name in form.get("paths", []) if name in sizes or name in folders]
    about: dict[str, Any] = {"id": match["name"], "sha": found.commit, "private": False, "tags": []}
    return {**about, "siblings": [{"rfilename": name} for name in sizes]}


def _entry(name: str, sizes: dict[str, int]) -> dict[str, Any]:
    oid = hashlib.sha1(name.encode()).hexdigest()  # noqa: S324 (as git names objects)
    return {"type": "file" if name in sizes else "directory", "oid": oid, "path": name, "size": sizes.get(name, 0)}
