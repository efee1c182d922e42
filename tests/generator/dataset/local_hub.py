"""A small Hub on this computer: the routes that pushing and loading datasets or models use, with the unmodified client.

It tests calls, bytes, and when files become visible; not authentication, quotas or the viewer. Commits are snapshots of
{path: bytes}; the files of a commit become visible together, as on the Hub.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_local"


@dataclass
class Repository:
    """Branches, each a list of snapshots with their ids."""

    private: bool = False
    branches: dict[str, list[dict[str, bytes]]] = field(default_factory=lambda: {"main": [{}]})
    requests: int = 0

    def head(self, branch: str) -> dict[str, bytes]:
        return self.branches[branch][-1]

    def sha(self, branch: str) -> str:
        return hashlib.sha1(f"{branch} {len(self.branches[branch])} {sorted(self.head(branch))}".encode()).hexdigest()

    def snapshot(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        for branch in self.branches:
            if revision in (branch, self.sha(branch)):
                return self.sha(branch), self.head(branch)
        return None


class Hub(ThreadingHTTPServer):
    """The server's state.

    Attributes:
        forbidden: owners that the token may not write to.
        bad_card: message with which every card is refused; None: cards are accepted.
        stall_from: uploads of this number and later hang; `stalled` is set when one does.
        seen: the requests.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.forbidden: set[str] = set()
        self.bad_card: str | None = None
        self.stall_from: int | None = None
        self.uploads = 0
        self.lock = threading.Lock()
        self.stalled = threading.Event()
        self.release = threading.Event()
        self.seen: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.route("GET")

    def do_HEAD(self) -> None:
        self.route("HEAD")

    def do_POST(self) -> None:
        self.route("POST")

    def do_PUT(self) -> None:
        self.route("PUT")

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, content: Any = None, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status: int, code: str = "", message: str = "") -> None:
        self.answer({"error": message or code}, status, {"X-Error-Code": code, "X-Error-Message": message or code})

    def route(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.seen.append(f"{method} {path}")
        content = self.body()
        if match := re.fullmatch(r"/objects/(\w+)", path):
            return self.object(method, match[1], content)
        if self.headers.get("Authorization") not in (None, f"Bearer {TOKEN}"):
            return self.refuse(401, "", "Invalid credentials in Authorization header")
        if path == "/api/repos/create":
            return self.create(json.loads(content))
        if path == "/api/validate-yaml":
            if self.server.bad_card:
                return self.answer({"errors": [{"message": self.server.bad_card}], "warnings": []}, 400)
            return self.answer({"errors": [], "warnings": []})
        if match := re.fullmatch(r"/(?:datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return self.lfs_batch(match[1], json.loads(content))
        if match := re.fullmatch(r"/(?:datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self.resolve(*match.groups())
        if match := re.fullmatch(r"/api/(?:datasets|models)/([^/]+/[^/]+)(?:/([a-z-]+)(?:/([^/]+)(?:/(.*))?)?)?", path):
            name, action, revision, rest = match.groups()
            repository = self.server.repositories.get(name)
            if repository is None:
                return self.refuse(404, "RepoNotFound")
            owner = name.split("/")[0]
            writes = method == "POST" and action in ("commit", "branch", "preupload")
            if writes and owner in self.server.forbidden:
                return self.refuse(403, "", "You don't have the rights to create or modify files here")
            return self.repository(name, repository, action or "", revision or "main", rest or "", content)
        return self.refuse(404, "", f"no route {path}")

    def object(self, method: str, oid: str, content: bytes) -> None:
        if method == "PUT":
            with self.server.lock:
                self.server.uploads += 1
                number = self.server.uploads
            if self.server.stall_from is not None and number >= self.server.stall_from:
                self.server.stalled.set()
                self.server.release.wait(30)
                return self.refuse(500)
            assert hashlib.sha256(content).hexdigest() == oid
            self.server.objects[oid] = content
        return self.answer(b"")

    def create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if wanted["organization"] in self.server.forbidden:
            return self.refuse(403, "", "You don't have the rights to create a dataset under this namespace")
        if name in self.server.repositories:
            return self.refuse(409, "", "You already created this dataset repo")
        self.server.repositories[name] = Repository(wanted.get("visibility") == "private")
        folder = f"{wanted['type']}s/" if wanted.get("type", "model") != "model" else ""
        return self.answer({"url": f"{self.server.url}/{folder}{name}", "name": name, "id": "1"})

    def lfs_batch(self, name: str, wanted: dict[str, Any]) -> None:
        objects = []
        for item in wanted["objects"]:
            known = item["oid"] in self.server.objects
            action = {"upload": {"href": f"{self.server.url}/objects/{item['oid']}"}}
            objects.append({**item, **({} if known else {"actions": action})})
        return self.answer({"transfer": "basic", "objects": objects})

    def repository(
        self, name: str, repository: Repository, action: str, revision: str, rest: str, content: bytes
    ) -> None:
        if action == "preupload":
            files = json.loads(content)["files"]
            large = (".parquet", ".jpg", ".png", ".safetensors")
            return self.answer(
                {
                    "files": [
                        {
                            "path": item["path"],
                            "uploadMode": "lfs" if item["path"].endswith(large) else "regular",
                            "shouldIgnore": False,
                        }
                        for item in files
                    ]
                }
            )
        if action == "commit":
            return self.commit(name, repository, revision, content)
        if action == "branch":
            branch = f"{revision}/{rest}" if rest else revision
            if branch in repository.branches:
                return self.refuse(409, "", "Reference already exists")
            repository.branches[branch] = [dict(repository.head("main"))]
            return self.answer({})
        found = repository.snapshot(revision)
        if found is None:
            return self.refuse(404, "RevisionNotFound")
        sha, files = found
        if action in ("", "revision"):
            siblings = [{"rfilename": path} for path in sorted(files)]
            return self.answer(
                {
                    "id": name,
                    "sha": sha,
                    "private": repository.private,
                    "siblings": siblings,
                    "tags": [],
                    "downloads": 0,
                    "likes": 0,
                }
            )
        if action == "tree":
            inside = {path: data for path, data in files.items() if not rest or path.startswith(rest + "/")}
            return self.answer(self.entries(inside, rest))
        if action == "paths-info":
            wanted = re.findall(r"paths=([^&]+)", content.decode())
            names = [unquote(path.replace("+", " ")) for path in wanted]
            exact = {path: data for path, data in files.items() if path in names}
            folders = [p for p in names if any(path.startswith(p + "/") for path in files)]
            return self.answer(
                self.entries(exact, "")
                + [{"type": "directory", "oid": "0" * 40, "size": 0, "path": folder} for folder in folders]
            )
        if action == "refs":
            return self.answer(
                {
                    "branches": [
                        {"name": b, "ref": f"refs/heads/{b}", "targetCommit": repository.sha(b)}
                        for b in repository.branches
                    ],
                    "converts": [],
                    "tags": [],
                }
            )
        return self.refuse(404, "", f"no action {action}")

    def entries(self, files: dict[str, bytes], below: str) -> list[dict[str, Any]]:
        found = []
        for path, data in sorted(files.items()):
            entry: dict[str, Any] = {
                "type": "file",
                "oid": hashlib.sha1(data).hexdigest(),
                "size": len(data),
                "path": path,
            }
            if path.endswith((".parquet", ".jpg", ".png", ".safetensors")):
                entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            found.append(entry)
        start = len(below) + 1 if below else 0
        folders = {path[: path.index("/", start)] for path in files if "/" in path[start:]}
        return found + [{"type": "directory", "oid": "0" * 40, "size": 0, "path": folder} for folder in sorted(folders)]

    def commit(self, name: str, repository: Repository, revision: str, content: bytes) -> None:
        files = dict(repository.head("main") if "create_pr=1" in self.path else repository.head(revision))
        for line in content.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
            elif item["key"] == "deletedFile":
                files.pop(value["path"], None)
            elif item["key"] != "header":
                return self.refuse(400, "", f"no operation {item['key']}")
        page = f"{self.server.url}/{'datasets/' if self.path.startswith('/api/datasets') else ''}{name}"
        answer = {"commitUrl": f"{page}/commit/1", "commitOid": "1" * 40}
        if "create_pr=1" in self.path:
            repository.branches[f"refs/pr/{len(repository.branches)}"] = [files]
            answer["pullRequestUrl"] = f"{page}/discussions/1"
        else:
            repository.branches[revision].append(files)
        return self.answer(answer)

    def resolve(self, name: str, revision: str, path: str) -> None:
        repository = self.server.repositories.get(name)
        found = repository.snapshot(revision) if repository else None
        if found is None:
            return self.refuse(404, "RevisionNotFound" if repository else "RepoNotFound")
        sha, files = found
        if path not in files:
            return self.refuse(404, "EntryNotFound")
        data = files[path]
        headers = {"X-Repo-Commit": sha, "ETag": f'"{hashlib.sha256(data).hexdigest()}"', "Accept-Ranges": "bytes"}
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(match[1]), int(match[2] or len(data) - 1)
            part = data[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
            return self.answer(part, 206, headers)
        return self.answer(data, 200, {**headers, "Content-Type": "application/octet-stream"})


@contextmanager
def local_hub() -> Iterator[Hub]:
    """A running Hub."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.release.set()
        hub.shutdown()
        hub.server_close()


def environment(hub: Hub | None, home: Path, **changes: str) -> dict[str, str]:
    """Variables of a process that knows this Hub, or none, and keeps its files in `home`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return {
        **clean,
        "HF_ENDPOINT": hub.url if hub else "http://127.0.0.1:9",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": str(home),
        "HF_TOKEN": TOKEN,
        **changes,
    }
