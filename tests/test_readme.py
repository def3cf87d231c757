"""What the README tells people to type and to open exists."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from waymark import params
from waymark.errors import WaymarkError

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]


def outputs() -> set[str]:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    return {path for stage in stages for out in stage["outs"] + stage.get("metrics", []) for path in names(out)}


def names(out: str | dict[str, object]) -> list[str]:
    return [out] if isinstance(out, str) else list(out)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make")])
def test_each_make_target_is_one_of_the_makefile_s(command: str) -> None:
    target = command.split()[1]
    assert re.search(rf"^{target}: .*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("command", [command for command in COMMANDS if " -S " in command])
def test_each_setting_is_one_of_params_yaml_and_valid(tmp_path: Path, command: str) -> None:
    words = shlex.split(command)
    changed = dict(words[place + 1].split("=", 1) for place, word in enumerate(words) if word == "-S")
    document = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    document |= {key: yaml.safe_load(value) for key, value in changed.items()}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize("script", re.findall(r"python ((?:scripts|benchmarks)/\w+\.py)", README))
def test_each_script_is_there(script: str) -> None:
    assert (ROOT / script).is_file()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:data|models|reports)/[\w./]+)`", README))))
def test_each_output_is_one_of_the_graph_s(path: str) -> None:
    assert any(out.startswith(path.rstrip("/")) or path.startswith(out) for out in outputs())


@pytest.mark.parametrize("target", re.findall(r"\]\(((?!https?:)[^)]+)\)", README))
def test_each_link_leads_to_a_file(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_error_that_the_readme_shows_is_the_one_that_is_raised(tmp_path: Path) -> None:
    document = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) | {"lr": 20.0}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(WaymarkError) as raised:
        params.load(tmp_path / "params.yaml")
    assert f"error: {str(raised.value).replace(str(tmp_path) + '/', '')}\n" in README
