"""A training on samples of different shapes: bags of patches and their labels, with a real Trainer."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from h5lightning import Field, H5DataModule, Split, Whole

pytestmark = pytest.mark.timeout(300)
BAGS = 40


@pytest.fixture
def bags(tmp_path):
    """A file for each bag: some patches, of which one is large in a positive bag, and the label of the bag."""
    rng = np.random.default_rng(0)
    for number in range(BAGS):
        label = number % 2
        patches = rng.normal(size=(int(rng.integers(3, 30)), 4)).astype("f4")
        patches[0, 0] += 8 * label
        with h5py.File(tmp_path / f"{number:02}.h5", "w") as file:
            file["patches"], file["label"] = patches, np.full(1, label, "f4")
    return str(tmp_path / "*.h5")


class Bags(LightningModule):
    """Scores patches that lie one after the other, and takes the largest score of each bag; padding must not count."""

    def __init__(self) -> None:
        super().__init__()
        self.score = torch.nn.Linear(4, 1)
        self.losses = []
        self.seen = 0

    def training_step(self, batch, batch_number):
        counts = batch["n"]
        assert isinstance(batch["x"], torch.Tensor)
        assert len(batch["x"]) == int(counts.sum())
        assert batch["padded"].shape == (*batch["p"].shape, 4)
        assert (~batch["p"]).sum(dim=1).tolist() == counts.tolist()
        assert torch.equal(batch["padded"][~batch["p"]], batch["x"])
        assert [len(one) for one in batch["listed"]] == counts.tolist()
        scores = self.score(batch["x"]).squeeze(1)
        bags = torch.stack([one.max() for one in scores.split(counts.tolist())])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(bags, batch["y"])
        self.losses.append(float(loss.detach()))
        self.seen += len(counts)
        self.log("loss", loss, batch_size=len(counts))
        return loss

    def validation_step(self, batch, batch_number):
        assert len(batch["x"]) == int(batch["n"].sum())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.3)


@pytest.mark.parametrize("options", [{"threads": 2}, {"num_workers": 2}], ids=["threads", "workers"])
def test_a_model_learns_from_bags(bags, tmp_path, options):
    fields = {
        "x": Field("patches", ragged="concat"),
        "padded": Field("patches", ragged="pad"),
        "listed": Field("patches", ragged="list"),
        "n": "length:x",
        "p": "pad:padded",
        "y": Field("label", constant=True, dtype="float32"),
    }
    dm = H5DataModule(
        bags,
        fields,
        Whole(),
        batch_size=8,
        split=Split(val=0.2, test=0),
        transform=lambda sample: sample | {"y": sample["y"][0]},
        **options,
    )
    torch.manual_seed(0)  # the model begins alike in each run
    model = Bags()
    trainer = Trainer(
        max_epochs=12,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(model, dm)
    assert model.seen == 12 * len(dm.train_dataset)
    assert np.mean(model.losses[-5:]) < 0.5 * np.mean(model.losses[:5])
