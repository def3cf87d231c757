"""What the README and docs/ tell people to type and to open exists."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from waymark import params
from waymark.errors import WaymarkError
from waymark.sweeping import space

ROOT = Path(__file__).resolve().parents[1]
PAGES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
COMMANDS = [
    line.split("#")[0].strip()
    for text in PAGES.values()
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    for line in block.splitlines()
]


def mentioned(pattern: str) -> list[str]:
    """What `pattern` finds on any page, each once."""
    return sorted({found for text in PAGES.values() for found in re.findall(pattern, text)})


def outputs() -> set[str]:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    return {path for stage in stages for out in stage.get("outs", []) + stage.get("metrics", []) for path in names(out)}


def names(out: str | dict[str, object]) -> list[str]:
    return [out] if isinstance(out, str) else list(out)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make")])
def test_each_make_target_is_one_of_the_makefile_s(command: str) -> None:
    target = command.split()[1]
    assert re.search(rf"^{target}: .*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


SWEEPS = [command for command in COMMANDS if command.startswith("waymark sweep") and " -S " in command]


@pytest.mark.parametrize("command", SWEEPS)
def test_each_sweep_s_space_is_one_that_params_yaml_allows(command: str) -> None:
    words = shlex.split(command)
    settings = [words[place + 1] for place, word in enumerate(words) if word == "-S"]
    space.check(
        space.parse(settings), settings, params.load(ROOT / "params.yaml"), frozenset(params.Params.model_fields)
    )


@pytest.mark.parametrize("command", [command for command in COMMANDS if " -S " in command and command not in SWEEPS])
def test_each_setting_is_one_of_params_yaml_and_valid(tmp_path: Path, command: str) -> None:
    words = shlex.split(command)
    changed = dict(words[place + 1].split("=", 1) for place, word in enumerate(words) if word == "-S")
    document = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    first = {key: value.split(",")[0] if "--queue" in words else value for key, value in changed.items()}
    document |= {key: yaml.safe_load(value) for key, value in first.items()}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize("script", mentioned(r"python ((?:scripts|benchmarks)/\w+\.py)"))
def test_each_script_is_there(script: str) -> None:
    assert (ROOT / script).is_file()


@pytest.mark.parametrize("path", mentioned(r"`((?:data|models|reports)/[\w./]+)`"))
def test_each_output_is_one_of_the_graph_s(path: str) -> None:
    assert any(out.startswith(path.rstrip("/")) or path.startswith(out) for out in outputs())


LINKS = [(page, target) for page, text in PAGES.items() for target in re.findall(r"\]\(((?!https?:)[^)]+)\)", text)]


@pytest.mark.parametrize(("page", "target"), LINKS, ids=lambda value: getattr(value, "name", value))
def test_each_link_leads_to_a_file_and_a_heading_of_it(page: Path, target: str) -> None:
    name, _, anchor = target.partition("#")
    file = page.parent / name if name else page
    assert file.exists()
    if anchor:
        headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_error_that_the_readme_shows_is_the_one_that_is_raised(tmp_path: Path) -> None:
    document = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) | {"lr": 20.0}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(WaymarkError) as raised:
        params.load(tmp_path / "params.yaml")
    assert f"error: {str(raised.value).replace(str(tmp_path) + '/', '')}\n" in PAGES[ROOT / "README.md"]
