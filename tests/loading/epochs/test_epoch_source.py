"""The division of samples: a state of other samples is refused, and too few samples are an error."""

from __future__ import annotations

import pytest

from h5lightning.errors import ResumeError, ShardingError

pytestmark = pytest.mark.timeout(120)


WRONG = {
    "seed": ({"seed": 4}, "order is"),
    "shuffle": ({"shuffle": "none"}, "order is"),
    "split": ({"split": {"val": 0.3, "test": 0, "by": "sample"}}, "samples is 18, expected 25|samples is 25"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_the_state_of_other_samples_is_refused(make, options, message) -> None:
    loader, other = make().train_dataloader(), make(**options).train_dataloader()
    next(iter(loader))
    with pytest.raises(ResumeError, match=message):
        other.load_state_dict(loader.state_dict())
    with pytest.raises(ResumeError, match="kind is 'training', expected 'evaluation'"):
        make(split={"val": 25 / 50, "test": 0, "by": "sample"}).val_dataloader().load_state_dict(
            loader.state_dict()
        )


def test_too_few_samples_are_said_when_the_loader_is_made(make) -> None:
    with pytest.raises(ShardingError, match="25 training samples make no step"):
        make(drop_last=True, batch_size=26).train_dataloader()
