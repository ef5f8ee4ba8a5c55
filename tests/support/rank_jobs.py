"""Trains with any number of gloo ranks, again and again: one process imports, and forks the ranks of each job.

Run as ``python rank_jobs.py``; each line of standard input is a job as JSON, each line of standard output says how
its ranks ended. A rank that takes longer than ``timeout_s`` is killed. With ``kill_after_saves`` all of them are killed
``kill_after_s`` seconds after so many checkpoints were written.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from torch import distributed
from torchmetrics import MeanMetric

from h5lightning import H5DataModule


class Counting(LightningModule):
    """Counts in its own state how often it was trained with each sample: what a checkpoint holds, it has seen.

    Args:
        samples: samples of the index.
        epochs: epochs that are counted.
        fails_at: the step of the second epoch that fails.
        slow_s: what each step takes at least.
        asks_for_steps: configure the optimizer with ``estimated_stepping_batches``, as OneCycleLR does.
    """

    def __init__(
        self,
        samples: int,
        epochs: int,
        fails_at: int | None = None,
        *,
        slow_s: float = 0,
        asks_for_steps: bool = False,
    ) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.register_buffer("seen", torch.zeros(epochs, samples, dtype=torch.int64))
        self.register_buffer("validated", torch.zeros(epochs, samples, dtype=torch.int64))
        self.mean = MeanMetric()
        self.fails_at = fails_at
        self.slow_s = slow_s
        self.asks_for_steps = asks_for_steps
        self.steps: list[tuple[int, int, list[int]]] = []

    def training_step(self, batch: dict[str, torch.Tensor], number: int) -> torch.Tensor:
        if (self.current_epoch, number) == (1, self.fails_at):
            raise RuntimeError("the model fails")
        time.sleep(self.slow_s)
        ids = batch["sample_id"].tolist()
        self.steps.append((self.current_epoch, number, ids))
        self.seen[self.current_epoch] += self._counted(ids)
        return self.weight * batch["x"].float().mean()

    def validation_step(self, batch: dict[str, torch.Tensor], _: int) -> None:
        self.validated[self.current_epoch, batch["sample_id"]] += 1
        self.mean.update(batch["sample_id"].float())
        self.log("mean", self.mean)

    def _counted(self, ids: list[int]) -> torch.Tensor:
        counts = torch.bincount(torch.tensor(ids), minlength=self.seen.shape[1])
        if distributed.is_initialized():
            distributed.all_reduce(counts)
        return counts

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.01)
        if not self.asks_for_steps:
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps + 100)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class Saving(Callback):
    """Saves ``EPOCH-STEP.ckpt`` after each step and validation, each as a whole."""

    def __init__(self, folder: Path, every: int, terminates_after: int | None = None) -> None:
        self.folder = folder
        self.every = every
        self.terminates_after = terminates_after

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *rest: Any) -> None:
        if trainer.global_step == self.terminates_after:
            os.kill(os.getpid(), signal.SIGTERM)
        if (rest[-1] + 1) % self.every == 0:
            self._save(trainer, f"{trainer.current_epoch}-{rest[-1] + 1}")

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._save(trainer, f"{trainer.current_epoch}-validated")

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._save(trainer, f"{trainer.current_epoch}-end")

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        self._save(trainer, "exception")

    def _save(self, trainer: Trainer, name: str) -> None:
        trainer.save_checkpoint(self.folder / f"{name}.part")
        if trainer.is_global_zero:
            (self.folder / f"{name}.part").rename(self.folder / f"{name}.ckpt")


def fails_once(sample: dict[str, Any], info: Any) -> dict[str, Any]:
    """A transform that fails at one sample."""
    if info.id == int(os.environ["FAILS_AT_SAMPLE"]):
        raise LookupError("the transform fails")
    return sample


def fit(job: dict[str, Any], rank: int) -> None:
    folder = Path(job["folder"])
    folder.mkdir(exist_ok=True)
    if "seed_everything" in job:
        seed_everything(job["seed_everything"] + (rank if job.get("seeds_differ") else 0), verbose=False)
    transform = fails_once if "FAILS_AT_SAMPLE" in os.environ else None
    data = {**job["data"], **job.get("data_of_rank", {}).get(str(rank), {})}
    dm = H5DataModule(job["files"], job.get("fields", ["x"]), provenance=True, transform=transform, **data)
    saving = []
    if "save_every" in job:
        saving = [Saving(folder, job["save_every"], job.get("terminate_after_step"))]
    for number in range(job.get("fits", 1)):
        slow_s, fails_at = job.get("slow_s", 0), job.get("fails_at")
        model = Counting(job["samples"], job["epochs"], fails_at, slow_s=slow_s, **job.get("model", {}))
        trainer = Trainer(
            accelerator="cpu", devices=job["world"], strategy="ddp" if job["world"] > 1 else "auto",
            max_epochs=job["epochs"], logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=saving, **{"num_sanity_val_steps": 0, **job.get("trainer", {})},
        )  # fmt: skip
        trainer.fit(model, datamodule=dm, ckpt_path=job.get("checkpoint"))
        seen = {"steps": model.steps, "seen": model.seen.tolist(), "validated": model.validated.tolist()}
        seen["metrics"] = {name: float(value) for name, value in trainer.callback_metrics.items()}
        seen["reload"] = trainer.reload_dataloaders_every_n_epochs
        (folder / f"rank-{rank}-{number}.json").write_text(json.dumps(seen))


# ── processes ────────────────────────────────────────────────────────────────────────────────────────


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Fork the ranks, wait for them, and say how they ended."""
    port = free_port()
    ranks = [fork(job, rank, port) for rank in range(job["world"])]
    deadline = time.monotonic() + job.get("timeout_s", 60)
    running, killed = set(ranks), False
    while running:
        running -= {pid for pid in running if os.waitpid(pid, os.WNOHANG)[0]}
        if deadline == float("inf") or time.monotonic() > deadline:
            kill(running)
            running, killed = set(), True
        elif len(list(Path(job["folder"]).glob("*.ckpt"))) >= job.get("kill_after_saves", 1000):
            time.sleep(job["kill_after_s"])
            deadline = float("inf")
        time.sleep(0.005)
    errors = [text.read_text() for text in sorted(Path(job["folder"]).glob("error-*.txt"))]
    return {"killed": killed, "errors": errors}


def kill(pids: Collection[int]) -> None:
    """Kill processes, with the workers that they started."""
    for pid in pids:
        os.killpg(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)


def fork(job: dict[str, Any], rank: int, port: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.setpgid(0, 0)
    os.environ.update(job.get("environment", {}))
    if job["world"] > 1:
        os.environ.update(LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), NODE_RANK="0")
    torch.set_num_threads(1)
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the process ends
    try:
        fit(job, rank)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the test wants to see it
        text = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
        Path(job["folder"], f"error-{rank}.txt").write_text(text)
    finally:
        os._exit(0)
    return 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()
