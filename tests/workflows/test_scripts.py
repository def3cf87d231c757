"""The scripts that the workflows' steps run, with real git, real DVC and a GitHub on loopback."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.workflows.conftest import GitHubServer, Script

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "scripts/workflows").iterdir())
IDENTITY = {f"GIT_{who}_{what}": f"{who}@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("HOME", str(tmp_path))  # CML writes to git's settings there
    tools = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not on this machine")
def test_shellcheck_has_nothing_to_say() -> None:
    subprocess.run(["shellcheck", *map(str, SCRIPTS)], check=True)


class Branch:
    """A branch in a bare repository, a clone of it as a workflow has it, and the results of a run there."""

    def __init__(self, folder: Path) -> None:
        self.remote, self.clone, self.results = folder / "remote.git", folder / "clone", folder / "results"
        person = folder / "person"
        git(folder, "init", "--quiet", "--bare", "-b", "main", str(self.remote))
        git(folder, "clone", "--quiet", str(self.remote), str(person))
        (person / "reports").mkdir()
        for file in ("dvc.lock", "reports/metrics.json", "params.yaml"):
            (person / file).write_text("before\n")
        git(person, "add", ".")
        git(person, "commit", "--quiet", "-m", "First")
        git(person, "push", "--quiet", "origin", "HEAD:refs/heads/try/it")
        self.person, self.head = person, git(person, "rev-parse", "HEAD")
        git(folder, "clone", "--quiet", "--depth=1", "--branch=try/it", self.remote.as_uri(), str(self.clone))
        shutil.copytree(self.clone / "reports", self.results / "reports")
        shutil.copy(self.clone / "dvc.lock", self.results)

    @property
    def tip(self) -> str:
        return git(self.remote, "for-each-ref", "--format=%(objectname)", "refs/heads/try/it")

    def settings(self) -> dict[str, str]:
        return {"HEAD_REF": "try/it", "HEAD_SHA": self.head, "RESULTS": str(self.results), "GITHUB_TOKEN": "ghs_token"}


@pytest.fixture
def branch(tmp_path: Path) -> Branch:
    return Branch(tmp_path)


def test_results_become_one_commit_of_the_bot_on_top_of_what_was_run(branch: Branch, script: "Script") -> None:
    (branch.results / "dvc.lock").write_text("after\n")
    (branch.results / "reports/metrics.json").write_text("after\n")
    for stranger in ("reports/unknown.json", "params.yaml"):  # an artefact could hold anything
        (branch.results / stranger).write_text("after\n")
    done = script("results.sh", branch.clone, **branch.settings())
    assert done.returncode == 0, done.stderr
    assert git(branch.remote, "log", "-1", "--format=%an %ae|%P|%B", branch.tip) == (
        "github-actions[bot] 41898282+github-actions[bot]@users.noreply.github.com"
        f"|{branch.head}|Record the results of {branch.head}"
    )
    changed = git(branch.remote, "diff", "--name-only", branch.head, branch.tip).split()
    assert changed == ["dvc.lock", "reports/metrics.json"]
    assert "ghs_token" not in done.stdout + done.stderr


def test_results_that_the_branch_has_already_end_the_round(branch: Branch, script: "Script") -> None:
    done = script("results.sh", branch.clone, **branch.settings())
    assert (done.returncode, done.stdout) == (0, "The results are those that the branch has already.\n")
    assert branch.tip == branch.head


@pytest.mark.parametrize("gone", [False, True], ids=["moved", "deleted"])
def test_a_branch_that_has_moved_on_or_is_gone_is_left_alone(gone: bool, branch: Branch, script: "Script") -> None:
    (branch.results / "dvc.lock").write_text("after\n")
    if gone:
        git(branch.person, "push", "--quiet", "origin", "--delete", "try/it")
    else:
        git(branch.person, "commit", "--quiet", "--allow-empty", "-m", "Second")
        git(branch.person, "push", "--quiet", "origin", "HEAD:refs/heads/try/it")
    before = branch.tip
    done = script("results.sh", branch.clone, **branch.settings())
    assert done.returncode == 0, done.stderr
    where = before or "nowhere"
    expected = f"The branch try/it has moved on to {where}; the results of {branch.head} are not put there.\n"
    assert done.stdout == expected
    assert branch.tip == before


def test_a_push_that_fails_for_another_reason_fails_the_step(branch: Branch, script: "Script") -> None:
    (branch.results / "dvc.lock").write_text("after\n")
    hook = branch.remote / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho protected branch >&2\nexit 1\n")
    hook.chmod(0o755)
    done = script("results.sh", branch.clone, **branch.settings())
    assert done.returncode == 1
    assert "protected branch" in done.stderr


def test_a_branch_name_is_a_name_and_no_command(branch: Branch, script: "Script", tmp_path: Path) -> None:
    (branch.results / "dvc.lock").write_text("after\n")
    for name in (f"$(touch {tmp_path}/x)", "a..b", ":main", "-f"):
        done = script("results.sh", branch.clone, **branch.settings() | {"HEAD_REF": name})
        assert done.returncode != 0 or "moved on to nowhere" in done.stdout, name
    assert not (tmp_path / "x").exists()
    assert git(branch.remote, "for-each-ref", "--format=%(refname)") == "refs/heads/try/it"


def test_results_of_another_commit_are_refused(branch: Branch, script: "Script") -> None:
    done = script("results.sh", branch.clone, **branch.settings() | {"HEAD_SHA": "0" * 40})
    assert done.returncode == 1
    expected = f"error: {branch.head} is checked out, not the commit {'0' * 40} that was run\n"
    assert done.stderr == expected


@pytest.fixture
def small_graph(tmp_path: Path) -> Path:
    """A repository with one stage and a DVC remote on this disk, in the shape that the scripts expect."""
    folder = tmp_path / "graph"
    (folder / "scripts").mkdir(parents=True)
    (folder / "reports").mkdir()
    (folder / "scripts/check_params.py").write_text("")
    (folder / "params.yaml").write_text("lr: 1\n")
    (folder / ".gitignore").write_text("/cache\n/model\n")
    (folder / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: cp params.yaml model && cp params.yaml reports/metrics.json\n    params: [lr]\n"
        "    outs: [model]\n    metrics:\n      - reports/metrics.json:\n          cache: false\n"
    )
    git(folder, "init", "--quiet")
    for command in ("init", f"remote add --default storage {tmp_path / 'remote'}"):
        subprocess.run(["dvc", *command.split(), "--quiet"], cwd=folder, check=True)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "First")
    return folder


@pytest.mark.slow
def test_a_run_keeps_its_results_and_the_next_one_has_nothing_to_do(
    small_graph: Path, tmp_path: Path, script: "Script"
) -> None:
    def step(name: str, folder: Path) -> str:
        done = script(name, folder, MLFLOW_TRACKING_URI="")
        assert done.returncode == 0, f"{name}: {done.stderr}"
        return done.stdout

    told, again = tmp_path / "GITHUB_OUTPUT", tmp_path / "again"
    step("repro.sh", small_graph)
    assert told.read_text() == "changed=true\n"
    git(small_graph, "add", ".")
    git(small_graph, "commit", "--quiet", "-m", "Results")
    git(tmp_path, "clone", "--quiet", str(small_graph), str(again))
    step("pull.sh", again)  # what nobody has pushed stops no run
    assert not (again / "model").exists()
    step("push.sh", small_graph)
    step("pull.sh", again)
    assert (again / "model").read_text() == "lr: 1\n"
    assert "Stage 'train' didn't change, skipping" in step("repro.sh", again)
    assert told.read_text() == "changed=true\nchanged=false\n"


def test_a_report_without_a_common_ancestor_says_what_to_check_out(branch: Branch, script: "Script") -> None:
    base = git(branch.person, "commit-tree", "-m", "Elsewhere", f"{branch.head}^{{tree}}")
    done = script("report.sh", branch.clone, BASE_SHA=base, REPORT=str(branch.results))
    assert done.returncode == 1
    expected = f"error: no common ancestor with {base} is here; check out the whole history (fetch-depth: 0)"
    assert done.stderr.splitlines()[-1] == expected


def test_a_report_starts_from_where_the_branch_left_the_base(
    branch: Branch, script: "Script", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder(tmp_path / "bin", "waymark", monkeypatch, 'mkdir -p "$5" && echo "# Report" >"$5/report.md"')
    git(branch.person, "checkout", "--quiet", "-b", "base")
    git(branch.person, "commit", "--quiet", "--allow-empty", "-m", "What others did meanwhile")
    later = git(branch.person, "rev-parse", "HEAD")
    git(branch.person, "checkout", "--quiet", "--detach", branch.head)
    git(branch.person, "commit", "--quiet", "--allow-empty", "-m", "What this branch did")
    report = tmp_path / "out"
    done = script("report.sh", branch.person, BASE_SHA=later, REPORT=str(report))
    assert done.returncode == 0, done.stderr
    assert recorded(tmp_path) == [["waymark", "report", "--base", branch.head, "--output", str(report)]]
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text() == "# Report\n"


HEAD = "a" * 40
COMMENT = {"HEAD_SHA": HEAD, "HEAD_REPOSITORY": "owner/name"}


def recorder(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, then: str = "") -> None:
    """Put a command called `name` first on the PATH that writes down how it was called, and does `then`."""
    folder.mkdir(exist_ok=True)
    tell = "import json, sys; print(json.dumps(sys.argv[1:]))"
    log = folder.parent / "called"
    (folder / name).write_text(f"#!/bin/sh\n{sys.executable} -c '{tell}' {name} \"$@\" >>{log}\n{then}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def recorded(folder: Path) -> list[list[str]]:
    log = folder / "called"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    (tmp_path / "report").mkdir()
    (tmp_path / "report/report.md").write_text("# Better\n\nby 0.7 points ✓\n", encoding="utf-8")
    return tmp_path / "report"


def test_the_comment_step_calls_cml_with_the_pull_request_that_github_names(
    github: "GitHubServer", downloaded: Path, script: "Script", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder(tmp_path / "bin", "cml", monkeypatch)
    github.open_pull(7, HEAD)
    done = script("comment.sh", ROOT, REPORT=str(downloaded), **COMMENT)
    assert done.returncode == 0, done.stderr
    text = str(downloaded / "report.md")
    own = ["--publish=false", "--watermark-title=Waymark report", "--target=pr/7"]
    where = ["--driver=github", f"--repo={github.url}/owner/name"]
    assert recorded(tmp_path) == [["cml", "comment", "update", *own, *where, text]]


def test_a_forks_report_says_who_wrote_it(
    github: "GitHubServer", downloaded: Path, script: "Script", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder(tmp_path / "bin", "cml", monkeypatch, f'for last; do :; done; cp "$last" {tmp_path}/posted')
    github.open_pull(8, HEAD, "someone/name")
    done = script("comment.sh", ROOT, REPORT=str(downloaded), **COMMENT | {"HEAD_REPOSITORY": "someone/name"})
    assert done.returncode == 0, done.stderr
    note = "> [!NOTE]\n> Code of the fork wrote this report; look at that code before you believe it.\n\n"
    assert (tmp_path / "posted").read_text() == note + (downloaded / "report.md").read_text()


def test_a_commit_of_no_open_pull_request_is_not_commented_on(
    github: "GitHubServer", downloaded: Path, script: "Script", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder(tmp_path / "bin", "cml", monkeypatch)
    github.open_pull(7, "b" * 40)
    done = script("comment.sh", ROOT, REPORT=str(downloaded), **COMMENT)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: owner/name: {HEAD} is the head of no open pull request")
    assert recorded(tmp_path) == []


@pytest.mark.parametrize("kind", ["missing", "link", "too long", "no text"])
def test_what_was_downloaded_is_text_or_nothing(
    kind: str,
    github: "GitHubServer",
    downloaded: Path,
    script: "Script",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder(tmp_path / "bin", "cml", monkeypatch)
    github.open_pull(7, HEAD)
    report = downloaded / "report.md"
    report.unlink()
    if kind == "link":
        (tmp_path / "secret").write_text("of the machine")
        report.symlink_to(tmp_path / "secret")
    elif kind != "missing":
        report.write_bytes(b"x" * 70_000 if kind == "too long" else b"\x7fELF\xff")
    done = script("comment.sh", ROOT, REPORT=str(downloaded), **COMMENT)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {report}: ")
    assert recorded(tmp_path) == []
    assert github.comments == {7: []}


@pytest.mark.skipif(
    not shutil.which("cml"),
    reason="CML is not on this machine (github.com/iterative/cml/releases has it); only its command line was checked",
)
def test_cml_writes_the_comment_then_updates_it_and_waymark_comment_goes_on_with_it(
    github: "GitHubServer", downloaded: Path, script: "Script"
) -> None:
    github.open_pull(7, HEAD)
    for text in ("first", "second"):
        (downloaded / "report.md").write_text(text)
        done = script("comment.sh", ROOT, REPORT=str(downloaded), **COMMENT)
        assert done.returncode == 0, done.stderr
        (comment,) = github.comments[7]
        assert comment["body"].startswith(text)
    command = [sys.executable, "-m", "waymark.cli", "comment", str(downloaded / "report.md"), "--pr", "7"]
    subprocess.run(command, cwd=ROOT, check=True)
    assert len(github.comments[7]) == 1


def test_the_comment_step_imports_only_what_its_job_installs(tmp_path: Path) -> None:
    for name in ("certifi", "charset_normalizer", "idna", "requests", "urllib3"):
        package = importlib.import_module(name).__file__
        assert package
        (tmp_path / name).symlink_to(Path(package).parent)
    paths = {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{tmp_path}"}
    command = [sys.executable, "-S", "-c", "import waymark.cli, waymark.reporting.comment"]  # -S: without this venv
    subprocess.run(command, env=os.environ | paths, check=True)


def test_publishing_pushes_one_image_and_tells_its_digest(
    script: "Script", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker is a recorder here: the image itself is tested where it can be built (tests/service/packaged)."""
    digest = f"sha256:{'d' * 64}"
    answer = f'if [ "$1" = inspect ]; then echo "ghcr.io/owner/name@{digest}"; else cat >>{tmp_path}/stdin; fi'
    recorder(tmp_path / "bin", "docker", monkeypatch, answer)
    image = tmp_path / "image.tar.gz"
    subprocess.run(["gzip", "--stdout"], input=b"layers", stdout=image.open("wb"), check=True)
    settings = {"GITHUB_REPOSITORY": "Owner/Name", "GITHUB_ACTOR": "ada", "GITHUB_TOKEN": "ghs_token", "TAG": "v1.0"}
    done = script("publish.sh", tmp_path, IMAGE=str(image), **settings)
    assert done.returncode == 0, done.stderr
    name = "ghcr.io/owner/name"
    assert recorded(tmp_path)[:4] == [
        ["docker", "load"],
        ["docker", "tag", "waymark:release", f"{name}:v1.0"],
        ["docker", "login", "ghcr.io", "--username", "ada", "--password-stdin"],
        ["docker", "push", f"{name}:v1.0"],
    ]
    assert (tmp_path / "stdin").read_bytes().startswith(b"layersghs_token")
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == f"name={name}\ndigest={digest}\n"


def test_a_model_that_the_lock_does_not_record_is_not_released(
    branch: Branch, script: "Script", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder(tmp_path / "bin", "dvc", monkeypatch, "echo other >>dvc.lock")
    recorder(tmp_path / "bin", "make", monkeypatch)
    done = script("build.sh", branch.clone, IMAGE=str(tmp_path / "image.tar.gz"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: the stages made another model here than dvc.lock records")
    assert recorded(tmp_path) == [["dvc", "repro", "evaluate"]]
