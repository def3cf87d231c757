"""Settings of torch that decide the last bits: threads, deterministic kernels, arithmetic."""

import os
from typing import Any, Literal, cast

import numpy as np
import pytorch_lightning as pl
import torch

Precision = Literal["32-true", "bf16-mixed"]


def make_repeatable(seed: int, threads: int) -> None:
    """Same seed, same thread count, same machine type: the same bits."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # asked for by deterministic CUDA matrix products
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    pl.seed_everything(seed, verbose=False)


def precision(wanted: str) -> Precision:
    """Resolve `auto`: bf16 where the processor computes in it, else fp32; elsewhere bf16 is emulated and slow."""
    if wanted != "auto":
        return cast(Precision, wanted)
    if torch.cuda.is_available():
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = torch.cpu.get_capabilities().get("avx512_bf16", False)
    return "bf16-mixed" if has_bf16 else "32-true"


class SeededSteps(pl.Callback):
    """What a network draws at random in a step, as dropout does, is a pure function of (seed, step, process)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        sequence = np.random.SeedSequence([self.seed, trainer.global_step, trainer.global_rank])
        torch.manual_seed(int(sequence.generate_state(1)[0]))
