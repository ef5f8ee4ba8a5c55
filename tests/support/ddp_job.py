"""Trains, validates, tests and predicts with two gloo ranks; each rank writes down what it saw.

Run as ``python ddp_job.py '{"files": …, "folder": …, "strategy": "ddp", "data": {…}}'``.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

from lightning.pytorch import Trainer
from recording import Recorder

from h5lightning import H5DataModule


def main(job: dict) -> None:
    warnings.simplefilter("ignore")
    folder = Path(job["folder"])
    dm = H5DataModule(job["files"], job.get("fields", ["x", "y"]), provenance=True, **job["data"])
    trainer = Trainer(
        accelerator="cpu", devices=2, strategy=job["strategy"], max_epochs=job.get("epochs", 2), logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        use_distributed_sampler=job.get("use_distributed_sampler", True),
    )  # fmt: skip
    model = Recorder(str(folder))
    trainer.fit(model, datamodule=dm)
    trainer.test(model, datamodule=dm, verbose=False)
    if job["strategy"] == "ddp":  # each stage under ddp_spawn starts both ranks again
        trainer.predict(model, datamodule=dm, return_predictions=False)
        (folder / f"splits-{trainer.global_rank}.json").write_text(json.dumps(dm.splits))
        statistics = {key: [one.mean.tolist(), one.count.tolist()] for key, one in dm.statistics.items()}
        (folder / f"statistics-{trainer.global_rank}.json").write_text(json.dumps(statistics))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
