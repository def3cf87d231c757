"""`waymark sweep`: try values that a sampler chooses, each as a DVC experiment."""

import argparse
import shlex
from pathlib import Path

from waymark.commands.arguments import Subcommands, whole
from waymark.errors import WaymarkError

# As in waymark.sweeping.store, which takes a second to import; a test holds them together.
METRICS = (
    "accuracy",
    "balanced_accuracy",
    "min_class_recall",
    "macro_f1",
    "coverage",
    "negative_log_likelihood",
    "brier_score",
    "expected_calibration_error",
)

_EPILOG = """\
what -S takes, once for each key of params.yaml:
  -S 'width=16,24,32'           one of these
  -S 'label_smoothing=0..0.1'   any number in between, both ends included
  -S 'lr=log(0.003..0.1)'       the same on a logarithmic scale
  -S epochs=4                   this, in each trial

examples:
  waymark sweep signs -S 'lr=log(0.003..0.1)' -S 'width=16,24,32' --trials 20 -j 2
  waymark sweep signs           goes on, after Ctrl-C, kill or a power cut, with the same values
  waymark sweep signs --trials 40
  waymark sweep signs --show
  dvc exp apply $(waymark sweep signs --best)

Each trial is the DVC experiment NAME-NUMBER (`dvc exp show`, `waymark runs`), run in a folder of its own on the files
that the sweep began with, committed or not; the workspace can be worked in meanwhile. Trials are judged on val, never
on test. In MLflow they stand below one run that has the sweep's name. Sweeps are kept in sweeps.db, Optuna's own store:
`optuna-dashboard sqlite:///sweeps.db` draws them. `dvc exp run --queue -S 'lr=0.01,0.02'` works beside them.
"""


def add(commands: Subcommands) -> None:
    sweep = commands.add_parser(
        "sweep",
        help="search for better parameters: DVC experiments that Optuna chooses",
        description="Try values of params.yaml, each as a DVC experiment; Optuna chooses them by what the earlier came "
        "to on val, and ends early what promises little. Without NAME: list the sweeps there are.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sweep.add_argument("name", metavar="NAME", nargs="?", help="of the sweep; one that there is goes on")
    sweep.add_argument(
        "-S",
        "--set-param",
        action="append",
        default=[],
        metavar="KEY=VALUES",
        help="what to try, see below; checked against what params.yaml may say before anything runs",
    )
    sweep.add_argument(
        "--trials",
        type=whole(1),
        metavar="N",
        help="until so many have ended, pruned ones too, failed ones not (default: all combinations; with ranges 20)",
    )
    sweep.add_argument("-j", "--jobs", type=whole(1, 64), default=1, metavar="N", help="at a time (default: 1)")
    sweep.add_argument(
        "--metric", choices=METRICS, help="of val, as reports/export.json has it (default: accuracy)", metavar="NAME"
    )
    sweep.add_argument(
        "--no-prune",
        action="store_true",
        help="let each trial run to its end; else one is stopped that, after an epoch, is below the median of the "
        "earlier ones (from the fifth trial and the third epoch on, where all have as many epochs)",
    )
    sweep.add_argument("--show", action="store_true", help="print the table of its trials, and run nothing")
    sweep.add_argument("--best", action="store_true", help="print the name of its best experiment, and run nothing")
    sweep.set_defaults(run=_sweep)


def _sweep(arguments: argparse.Namespace) -> int:
    root, name, jobs = Path(), arguments.name, arguments.jobs
    if arguments.show or arguments.best or not name:
        return _tell(root, name, arguments)
    from waymark.sweeping import beginning, results, running

    sweep = beginning.open_sweep(
        root, name, arguments.set_param, arguments.trials, arguments.metric, prune=not arguments.no_prune
    )
    beginning.warn_of_load(root, sweep.plan.space, jobs)
    settings = " ".join(f"-S {shlex.quote(setting)}" for setting in sweep.plan.settings)
    running.run(root, sweep, jobs, f"waymark sweep {name} {settings} --trials {sweep.plan.trials}")
    print(results.table(root, sweep))
    return 0 if len(sweep.over()) >= sweep.plan.trials else 1


def _tell(root: Path, name: str | None, arguments: argparse.Namespace) -> int:
    if arguments.set_param or (name is None and (arguments.show or arguments.best)):
        raise WaymarkError("name the sweep, as in `waymark sweep signs --show`; -S goes with none of --show and --best")
    from waymark.sweeping import results, store

    if name is None:
        print(results.listing(root))
        return 0
    store.check_name(name)
    sweep = store.find(root, name)
    if sweep is None:
        raise WaymarkError(f"{name}: no such sweep; `waymark sweep` lists those there are")
    print(results.best(root, sweep) if arguments.best else results.table(root, sweep))
    return 0
