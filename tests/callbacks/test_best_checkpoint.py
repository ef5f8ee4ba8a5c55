"""Which checkpoint stays, with and without a validation split."""

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from h5lightning import H5DataModule
from h5lightning.callbacks.best_checkpoint import BestCheckpoint


class Worsening(LightningModule):
    """Its validation gets worse with each epoch."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(6, 1)

    def training_step(self, batch):
        return self.layer(batch["x"].flatten(1)).mean()

    def validation_step(self, batch):
        self.log("val_loss", float(self.current_epoch), batch_size=len(batch["x"]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-6)


@pytest.mark.parametrize(("val", "kept"), [(0.2, 0), (None, 2)], ids=["validated", "not-validated"])
@pytest.mark.filterwarnings(
    "ignore:Total length of `list` across ranks is zero"
)  # no validation, as asked for
def test_the_best_epoch_is_kept_or_else_the_latest(write_files, tmp_path, val, kept):
    datamodule = H5DataModule(write_files(), ["x"], split={"val": val, "test": None}, batch_size=64)
    checkpoint = BestCheckpoint(dirpath=tmp_path / "kept", monitor="val_loss", filename="{epoch}")
    trainer = Trainer(
        accelerator="cpu", max_epochs=3, callbacks=[checkpoint], logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(Worsening(), datamodule=datamodule)
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [f"epoch={kept}.ckpt"]
