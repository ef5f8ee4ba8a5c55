"""One rank of a job over two nodes, started by torchrun; each writes down what it saw and whether it scanned.

Run as ``torchrun --nnodes 2 --nproc-per-node 2 … node_job.py '{"files": …, "folder": …, "data": {…}}'``.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

from lightning.pytorch import Trainer
from recording import Recorder

from h5lightning import H5DataModule


class Scanned(H5DataModule):
    """Notes on which ranks Lightning calls `prepare_data`."""

    def prepare_data(self) -> None:
        super().prepare_data()
        note = Path(self.folder, f"scanned-by-rank-{os.environ['RANK']}")
        note.write_text(str(self._lifecycle._survey.scanned))


def make_trainer(epochs: int) -> Trainer:
    return Trainer(
        accelerator="cpu", devices=2, num_nodes=2, strategy="ddp", max_epochs=epochs, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip


def main(job: dict) -> None:
    warnings.simplefilter("ignore")
    folder = Path(job["folder"])
    dm = Scanned(job["files"], ["x", "y"], provenance=True, **job["data"])
    dm.folder = str(folder)
    trainer = make_trainer(epochs=2)
    model = Recorder(str(folder))
    trainer.fit(model, datamodule=dm)
    trainer.test(model, datamodule=dm, verbose=False)
    balanced = H5DataModule(job["files"], ["x", "y"], shuffle={"balance": "y"}, provenance=True)
    make_trainer(epochs=1).fit(Recorder(str(folder / "balanced")), datamodule=balanced)
    (folder / f"splits-{trainer.global_rank}.json").write_text(json.dumps(dm.splits))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
