"""Run one stage in this process and print, as JSON, the parameters and the source files that it read."""

import importlib
import json
import sys
from pathlib import Path

import waymark
from waymark.params import Params, load


class RecordingParams:
    """Stands in for Params and remembers which keys were asked for."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self.read: set[str] = set()

    def __getattr__(self, key: str) -> object:
        value = getattr(self._params, key)
        self.read.add(key)
        return value


def main(stage: str) -> None:
    params = RecordingParams(load())
    importlib.import_module(f"waymark.stages.{stage}").run(params)
    sources = [Path(m.__file__) for name, m in sys.modules.items() if name.startswith("waymark") and m.__file__]
    root = Path(waymark.__file__).parents[2]
    read = [path.relative_to(root).as_posix() for path in sources if path.stat().st_size]
    print(json.dumps({"params": sorted(params.read), "sources": sorted(read)}))


if __name__ == "__main__":
    main(sys.argv[1])
