"""A training step as configured, beside the same step as a plain loop has it, and compiled by torch.

python benchmarks/training_step.py --steps 20 --rounds 7

As configured is forward, backward and optimizer of `waymark.learning.training.fit`: its precision, its channels-last
memory. The plain loop computes in fp32 and NCHW. Compiled is as configured, through torch.compile, whose first step
waits for the compilation. All learn from the same batch with twins of one network, and take turns.
"""

import argparse
import contextlib
import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from waymark.learning import training  # before Lightning: it makes torchvision importable

# isort: split

import data_loading
import machine
import pytorch_lightning as pl
import torch
from torch import nn

from waymark import params, paths
from waymark.errors import reason
from waymark.learning import recipes
from waymark.learning.classifier import Classifier
from waymark.learning.data import PreparedData
from waymark.learning.machine import precision

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 3  # steps of each that are not counted: kernels are chosen, memory is first touched
GTSRB = 39_209  # training images
OURS, PLAIN, COMPILED = "as configured", "fp32, NCHW", "compiled"

Step = Callable[[], None]


class Turns(pl.Callback):
    """Before the first step of a fit: seconds of a step, of each kind and turn, and those of the compilation."""

    def __init__(self, steps: int, rounds: int, compiled: bool) -> None:
        self.steps, self.rounds, self.compiled = steps, rounds, compiled
        self.seconds: dict[str, list[float]] = {}
        self.compilation = 0.0
        self.trouble = ""  # why there is nothing compiled

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        classifier = cast(Classifier, pl_module)
        data = cast(PreparedData, trainer.datamodule)  # type: ignore[attr-defined]
        with torch.no_grad():
            images, labels = classifier.augmented(next(iter(data.train_dataloader())))
        arithmetic = trainer.precision_plugin.forward_context

        def make(
            layout: torch.memory_format, context: Callable[[], contextlib.AbstractContextManager[None]], fast: bool
        ) -> Step:
            inputs = images.contiguous(memory_format=layout)
            twin = copy.deepcopy(classifier.network).train()
            twin.to(memory_format=layout)  # type: ignore[call-overload]  # torch's types do not know this form
            optimizer = data_loading.optimizer_of(classifier, twin)
            network: nn.Module = cast(nn.Module, torch.compile(twin)) if fast else twin

            def step() -> None:
                with torch.enable_grad():
                    with context():
                        loss = classifier.loss(network(inputs), labels)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()

            return step

        kinds = {OURS: make(torch.channels_last, arithmetic, False)}
        kinds[PLAIN] = make(torch.contiguous_format, contextlib.nullcontext, False)
        if self.compiled:
            kinds |= self._compile(make(torch.channels_last, arithmetic, True))
        for step in kinds.values():
            timed(step, WARM_UP)
        for _ in range(self.rounds):
            for kind, step in kinds.items():
                self.seconds.setdefault(kind, []).append(timed(step, self.steps) / self.steps)

    def _compile(self, step: Step) -> dict[str, Step]:
        try:
            self.compilation = timed(step, 1)
        except Exception as error:  # no C++ compiler, or a network that torch cannot trace
            self.trouble = reason(error).partition(" Set TORCH")[0][:200]
            return {}
        return {COMPILED: step}


def timed(step: Step, times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        step()
    return time.perf_counter() - began


def report(turns: Turns, batch_size: int, epochs: int) -> None:
    for kind, seconds in turns.seconds.items():
        rates = [batch_size / value for value in seconds]
        ratios = [plain / value for value, plain in zip(seconds, turns.seconds[PLAIN], strict=True)]
        print(
            f"{kind:14}  {1000 * statistics.median(seconds):8.2f} ms  {statistics.median(rates):8,.0f} images/s  "
            f"× {statistics.median(ratios):.2f}  ({min(ratios):.2f} to {max(ratios):.2f}) of the plain loop"
        )
    if turns.trouble:
        print(f"torch.compile: not here: {turns.trouble}")
    if COMPILED in turns.seconds:
        saved = statistics.median(turns.seconds[OURS]) - statistics.median(turns.seconds[COMPILED])
        steps = epochs * GTSRB // batch_size
        print(
            f"torch.compile: {turns.compilation:.0f} s to compile; {1000 * saved:+.2f} ms saved a step, in the "
            f"{steps:,} steps of {epochs} epochs of {GTSRB:,} images {steps * saved - turns.compilation:+,.0f} s in all"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=20, help="steps of a turn")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each kind")
    parser.add_argument("--no-compile", dest="compiled", action="store_false", help="leave torch.compile out")
    data_loading.add_settings(parser)
    arguments = parser.parse_args()
    epochs = recipes.recipe(params.load(ROOT / paths.PARAMS).model_copy(update={"dataset": "gtsrb"})).epochs
    settings = data_loading.settings_of(arguments)
    with tempfile.TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        contract = data_loading.prepare(settings, settings.batch_size)
        turns = Turns(arguments.steps, arguments.rounds, arguments.compiled)
        with (
            data_loading.watched(turns, steps=1),
            torch._inductor.config.patch(force_disable_caches=True),  # the compiler works as for the first time
        ):
            training.fit(settings, contract)
    size = f"{settings.image_size} × {settings.image_size}"
    print(
        f"{settings.network}, width {settings.width}, batches of {settings.batch_size} images of {size} px, configured "
        f"{precision(settings.precision)}, {settings.threads} threads; median of {arguments.rounds} turns of "
        f"{arguments.steps} steps (least to most)"
    )
    print(machine.line("torch", "pytorch-lightning", "timm"))
    report(turns, settings.batch_size, epochs)


if __name__ == "__main__":
    main()
