import numpy as np
import pytest

from shared_files import shared
from steploop.projects.reid.schedules import EpochSchedule

SETTINGS = {
    "bagtricks_R50": {"name": "EpochMultiStepLR", "num_epochs": 120, "steps": (40, 90)},
    "sbs_R50": {"name": "EpochCosineLR", "num_epochs": 60, "delay_epochs": 30, "end": 7e-7 / 3.5e-4},
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("epoch", [100, 187])
def test_reference_figures(name, epoch):
    golden = np.load(shared("golden/schedules.npz"))[f"{name}_ipe{epoch}"]
    schedule = EpochSchedule(**SETTINGS[name], epoch_iters=epoch, warmup_iters=2000)
    assert len(golden) == epoch * SETTINGS[name]["num_epochs"]
    rates = [3.5e-4 * schedule(iteration / len(golden)) for iteration in range(len(golden))]
    assert np.abs(np.array(rates) - golden).max() <= 1e-4 * golden.max()
    np.testing.assert_allclose(rates, golden, rtol=1e-9)


def test_warm_ups():
    def first(method):
        schedule = EpochSchedule(
            "EpochMultiStepLR", epoch_iters=10, num_epochs=10, warmup_iters=20, warmup_factor=0.25, warmup_method=method
        )
        return [schedule.at(iteration) for iteration in (0, 10, 20)]

    assert first("linear") == [0.25, 0.625, 1.0]
    assert first("constant") == [0.25, 0.25, 1.0]
    assert first("exponential") == [0.25, 0.5, 1.0]


@pytest.mark.parametrize(
    "wrong", [{"name": "Other"}, {"warmup_method": "x"}, {"epoch_iters": 0}, {"num_epochs": 0}, {"delay_epochs": -1}]
)
def test_wrong_settings(wrong):
    with pytest.raises(ValueError, match="expected a schedule|needs at least"):
        EpochSchedule(**{"name": "EpochCosineLR", "epoch_iters": 1, "num_epochs": 1, **wrong})
