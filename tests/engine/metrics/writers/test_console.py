import pytest
import torch

from steploop.engine import CommonMetricPrinter, EventStorage


@pytest.fixture
def storage():
    with EventStorage(19) as storage:
        yield storage


def line(caplog, printer):
    with caplog.at_level("INFO"):
        printer.write()
    return caplog.messages[-1] if caplog.messages else None


def test_the_line_shows_losses_metrics_times_rate_and_memory(storage, caplog):
    storage.put_scalars(total_loss=2.34567, accuracy=0.5, time=0.25, data_time=0.125, hidden=1.0)
    storage.put_scalar("[metric]scale", 8.0)
    storage.put_scalar("lr", 0.001, smoothing_hint=False)
    storage.headlines.update(dict.fromkeys(["total_loss", "accuracy"]))
    text = line(caplog, CommonMetricPrinter(100))
    assert text.startswith(
        "eta: 0:00:20  iter: 19  total_loss: 2.346  accuracy: 0.5  [metric]scale: 8  "
        "time: 0.2500  last_time: 0.2500  data_time: 0.1250  last_data_time: 0.1250  lr: 0.001  max_mem: "
    )
    assert "hidden" not in text
    assert storage.latest()["eta_seconds"] == (20.0, 19)


def test_the_epoch_of_this_very_iteration_and_the_momentum_are_shown(storage, caplog):
    storage.put_scalar("epoch", 2.5, smoothing_hint=False)
    storage.put_scalar("momentum", 0.9, smoothing_hint=False)
    storage.put_scalar("lr", 0.001, smoothing_hint=False)
    printer = CommonMetricPrinter()
    text = line(caplog, printer)
    assert text.startswith("epoch: 2.50  iter: 19  lr: 0.001  momentum: 0.9  max_mem")
    storage.iter = 20
    assert "epoch" not in line(caplog, printer)


def test_it_is_silent_after_the_end(storage, caplog):
    storage.iter = 100
    assert line(caplog, CommonMetricPrinter(100)) is None


def test_without_a_timer_the_eta_comes_from_its_own_clock(storage, caplog):
    printer = CommonMetricPrinter(100)
    assert line(caplog, printer).startswith("iter: 19")
    storage.iter = 39
    assert line(caplog, printer).startswith("eta: 0:00:00  iter: 39")


def test_the_memory_of_a_run_that_leaves_a_gpu_idle_is_its_process(storage, caplog, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not line(caplog, CommonMetricPrinter()).endswith("max_mem: 0M")
