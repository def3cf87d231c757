"""A GitHub on loopback: what its REST API answers about pull requests and comments, over HTTPS with a CA of its own."""

import datetime
import http.server
import ipaddress
import itertools
import json
import os
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from waymark import cli
from waymark.reporting import github as client

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "owner/name"
ACTIONS_TOKEN, PERSONAL_TOKEN, READ_ONLY_TOKEN = "ghs_of-the-workflow", "ghp_of-a-person", "ghs_that-may-only-read"
BOT, PERSON = "github-actions[bot]", "ada"

Outcome = tuple[int, Any, dict[str, str]]  # status, document, headers
Script = Callable[..., "subprocess.CompletedProcess[str]"]
Plan = Callable[..., None]
Command = Callable[..., object]


def certificates(folder: Path) -> tuple[Path, Path]:
    """A CA, and a key and certificate for 127.0.0.1 that it signed: files in PEM."""
    now = datetime.datetime.now(datetime.UTC)

    def build(name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA of the test")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = build("CA of the test", ca_key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    leaf = (
        build("127.0.0.1", key)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.pem").write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    (folder / "server.pem").write_bytes(secret + leaf.public_bytes(pem))
    return folder / "ca.pem", folder / "server.pem"


@dataclass
class Fault:
    """One answer in place of the right one, to the next request that begins with `to`."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    to: str = ""
    done: bool = False  # whether what was asked is done all the same
    message: str = "a fault that the test planned"


class GitHubServer(http.server.ThreadingHTTPServer):
    """One repository, with the comments, pull requests and faults that a test sets."""

    def __init__(self, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server_port}"
        self.logins = {ACTIONS_TOKEN: BOT, PERSONAL_TOKEN: PERSON, READ_ONLY_TOKEN: BOT}
        self.pulls: list[dict[str, Any]] = []
        self.commits: dict[str, dict[str, Any]] = {}
        self.comments: dict[int, list[dict[str, Any]]] = {}  # by the pull request's number
        self.faults: list[Fault] = []
        self.asked: list[str] = []  # method and path with query

    def open_pull(self, number: int, sha: str, repository: str = REPOSITORY, state: str = "open") -> None:
        head = {"sha": sha, "repo": {"full_name": repository}}
        self.pulls.append({"number": number, "state": state, "head": head})
        self.comments[number] = []

    def add_comment(self, number: int, login: str, body: str) -> dict[str, Any]:
        identity = 1000 + sum(map(len, self.comments.values()))
        comment = {
            "id": identity,
            "user": {"login": login},
            "body": body,
            "html_url": f"{self.url}/{REPOSITORY}/pull/{number}#issuecomment-{identity}",
        }
        self.comments[number].append(comment)
        return comment

    def bodies(self, number: int) -> list[str]:
        return [comment["body"] for comment in self.comments[number]]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up, as one that does not trust the certificate, is no news here."""


class Answer(http.server.BaseHTTPRequestHandler):
    server: GitHubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.serve()

    def do_POST(self) -> None:
        self.serve()

    def do_PATCH(self) -> None:
        self.serve()

    def serve(self) -> None:
        github = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path.removeprefix("/api/v3")
        github.asked.append(f"{self.command} {self.path.removeprefix('/api/v3')}")
        if github.faults and github.asked[-1].startswith(github.faults[0].to):
            fault = github.faults.pop(0)
            if fault.done:
                self.outcome(path, body)
            self.answer(fault.status, {"message": fault.message}, fault.headers)
        else:
            self.answer(*self.outcome(path, body))

    def outcome(self, path: str, body: bytes) -> Outcome:
        github = self.server
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        login = github.logins.get(token) if scheme in ("Bearer", "token") else None
        if login is None:
            return 401, {"message": "Bad credentials"}, {}
        if path == "/user":
            if login.endswith("[bot]"):
                return 403, {"message": "Resource not accessible by integration"}, {}
            return 200, {"login": login}, {}
        if self.command != "GET" and token == READ_ONLY_TOKEN:
            return 403, {"message": "Resource not accessible by integration"}, {}
        found = re.fullmatch(rf"/repos/{REPOSITORY}/(.*)", path)
        return self.of_repository(found[1], login, body) if found else (404, {"message": "Not Found"}, {})

    def of_repository(self, path: str, login: str, body: bytes) -> Outcome:
        github = self.server
        text = str(json.loads(body)["body"]) if body else ""
        if len(text) > 65_536:
            return 422, {"message": "Validation Failed: body is too long (maximum is 65536 characters)"}, {}
        missing: Outcome = 404, {"message": "Not Found"}, {}
        if path == "pulls":
            return self.page([pull for pull in github.pulls if pull["state"] == "open"])
        if found := re.fullmatch(r"pulls/(\d+)", path):
            pulls = [pull for pull in github.pulls if pull["number"] == int(found[1])]
            return (200, pulls[0], {}) if pulls else missing
        if found := re.fullmatch(r"commits/(\w+)/pulls", path):  # of a fork's commits GitHub tells none
            return self.page([pull for pull in github.pulls if self.contains(pull, found[1])])
        if found := re.fullmatch(r"commits/(\w+)", path):
            return (200, github.commits[found[1]], {}) if found[1] in github.commits else missing
        if found := re.fullmatch(r"issues/(\d+)/comments", path):
            number = int(found[1])
            if number not in github.comments:
                return missing
            if self.command == "POST":
                return 201, github.add_comment(number, login, text), {}
            return self.page(github.comments[number])
        if (found := re.fullmatch(r"issues/comments/(\d+)", path)) and self.command == "PATCH":
            for comment in itertools.chain(*github.comments.values()):
                if comment["id"] == int(found[1]):
                    comment["body"] = text
                    return 200, comment, {}
        return missing

    def contains(self, pull: dict[str, Any], sha: str) -> bool:
        if pull["head"]["repo"]["full_name"] != REPOSITORY:
            return False
        commit = self.server.commits.get(pull["head"]["sha"], {"parents": []})
        return sha in (pull["head"]["sha"], *(parent["sha"] for parent in commit["parents"]))

    def page(self, entries: list[dict[str, Any]]) -> Outcome:
        query = parse_qs(urlsplit(self.path).query)
        size, page = int(query.get("per_page", ["30"])[0]), int(query.get("page", ["1"])[0])
        headers = {}
        if page * size < len(entries):
            address = self.server.url + urlsplit(self.path).path
            headers["Link"] = f'<{address}?per_page={size}&page={page + 1}>; rel="next", <{address}>; rel="last"'
        return 200, entries[(page - 1) * size : page * size], headers

    def answer(self, status: int, document: Any, headers: dict[str, str]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificates(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def github(authority: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubServer]:
    """The server, and the environment of a workflow that runs there."""
    trusted, certificate = authority
    with GitHubServer(certificate) as server:
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        monkeypatch.setenv("GITHUB_SERVER_URL", server.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
        monkeypatch.setenv("GITHUB_TOKEN", ACTIONS_TOKEN)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
        monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(trusted))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def fault(github: GitHubServer) -> Plan:
    """Plans a Fault, behind those that are planned already."""

    def plan(status: int, headers: dict[str, str] | None = None, **more: Any) -> None:
        github.faults.append(Fault(status, headers or {}, **more))

    return plan


@pytest.fixture
def report(tmp_path: Path) -> Path:
    (tmp_path / "report.md").write_text("Genauer: **98,2 %** → 98,9 % ✓\n", encoding="utf-8")
    return tmp_path / "report.md"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Command:
    """`waymark comment …`: its exit code, or the sentence that stands for 1."""
    monkeypatch.setattr(client, "PAUSE", 0.001)

    def run(*arguments: object) -> object:
        monkeypatch.setattr(sys, "argv", ["waymark", "comment", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code

    return run


@pytest.fixture
def script() -> Script:
    """Runs one of scripts/workflows/ as a workflow's step does, in `folder`, with `environment` beside the test's."""

    def run(name: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(ROOT / "scripts/workflows" / name)],
            cwd=folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )

    return run
