import io
import logging
import sys
from collections import OrderedDict

import pytest
import torch
from torch import nn

from steploop.config import get_cfg
from steploop.engine.evaluation import evaluator as module
from steploop.engine.evaluation import results as results_module
from steploop.engine.evaluation.evaluator import (
    DatasetEvaluator,
    DatasetEvaluators,
    inference_context,
    inference_on_dataset,
)
from steploop.engine.evaluation.results import (
    flatten_results_dict,
    format_results,
    print_csv_format,
    verify_results,
)


class Recorder(DatasetEvaluator):
    def __init__(self, name="a"):
        self.name, self.rounds = name, 0

    def reset(self):
        self.rounds += 1
        self.pairs = []

    def process(self, inputs, outputs):
        self.pairs.append((inputs, outputs))

    def evaluate(self):
        return {self.name: len(self.pairs)}


class Half(nn.Module):
    """Has a part that was frozen in eval mode before."""

    def __init__(self):
        super().__init__()
        self.free, self.frozen = nn.Sequential(nn.Dropout()), nn.BatchNorm1d(2)
        self.frozen.eval()

    def forward(self, x):
        assert not any(m.training for m in self.modules())
        assert not torch.is_grad_enabled()
        return x + 1


def modes(model):
    return [m.training for m in model.modules()]


def test_each_batch_is_processed_once():
    recorder = Recorder()
    for _ in range(2):
        assert inference_on_dataset(lambda x: x * 10, [1, 2, 3], recorder) == {"a": 3}
    assert recorder.rounds == 2
    assert recorder.pairs == [(1, 10), (2, 20), (3, 30)]


def test_modes_are_restored_module_by_module():
    model = Half()
    before = modes(model)
    assert before == [True, True, True, False]
    inference_on_dataset(model, [torch.zeros(1)], Recorder())
    assert modes(model) == before
    assert torch.is_grad_enabled()


def test_modes_are_restored_on_exceptions():
    model = Half()
    before = modes(model)
    with pytest.raises(ZeroDivisionError), inference_context(model):
        assert not any(modes(model))
        raise ZeroDivisionError
    assert modes(model) == before


def test_callbacks_in_order():
    calls = []
    names = ("on_start", "before_inference", "after_inference", "on_end")
    callbacks = {name: lambda name=name: calls.append(name) for name in names}
    inference_on_dataset(lambda x: calls.append(x), ["b0", "b1"], None, callbacks)
    step = ["before_inference", "b{}", "after_inference"]
    assert calls == ["on_start", *[s.format(i) for i in range(2) for s in step], "on_end"]


def test_unknown_callback():
    with pytest.raises(ValueError, match="after_all.*choose from on_start"):
        inference_on_dataset(lambda x: x, [1], None, {"after_all": print})


def test_several_evaluators_and_none():
    assert inference_on_dataset(lambda x: x, [1], [Recorder("a"), Recorder("b")]) == {"a": 1, "b": 1}
    assert inference_on_dataset(lambda x: x, [1], None) == {}
    assert inference_on_dataset(lambda x: x, [1], DatasetEvaluator()) == {}


def test_clashing_results():
    with pytest.raises(ValueError, match="Recorder returns a,"):
        inference_on_dataset(lambda x: x, [1], DatasetEvaluators([Recorder(), Recorder()]))


def test_empty_loader():
    recorder = Recorder()
    with pytest.raises(ValueError, match="no batch"):
        inference_on_dataset(lambda x: x, [], recorder)
    assert recorder.rounds == 0


def test_loader_without_length():
    with pytest.raises(TypeError, match="length, got generator"):
        inference_on_dataset(lambda x: x, (x for x in [1]), None)


def test_speed_and_remaining_time_are_logged(monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    times = iter(range(0, 4000, 2))
    with caplog.at_level(logging.INFO, module.__name__):
        assert list(module._with_progress(range(20), period=10.0, clock=lambda: next(times))) == list(range(20))
    lines = [message for message in caplog.messages if "ETA" in message]
    assert lines == [
        "Inference done 6/20, 2.0000 s for each batch, ETA 0:00:28",
        "Inference done 11/20, 2.0000 s for each batch, ETA 0:00:18",
        "Inference done 16/20, 2.0000 s for each batch, ETA 0:00:08",
    ]
    assert caplog.messages[-1].startswith("Inference took 44.0 s")


def test_a_terminal_gets_a_bar(monkeypatch, caplog):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    with caplog.at_level(logging.INFO, module.__name__):
        assert inference_on_dataset(lambda x: x, [1, 2, 3], Recorder()) == {"a": 3}
    assert "inference" in terminal.getvalue()
    assert not any("ETA" in message for message in caplog.messages)


def test_no_bar_in_a_file(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    inference_on_dataset(lambda x: x, [1, 2, 3], Recorder())
    assert file.getvalue() == ""


def test_results_in_lines_and_as_table(caplog):
    results = OrderedDict(market=OrderedDict([("Rank-1", 91.25), ("mAP", 77.0)]), duke={"mAP": 60.0}, speed=3)
    with caplog.at_level(logging.INFO, results_module.__name__):
        print_csv_format(results)
    assert caplog.messages[1:4] == ["copypaste: Task: market", "copypaste: Rank-1,mAP", "copypaste: 91.2500,77.0000"]
    assert caplog.messages[-1] == "copypaste: speed=3"
    table = [[cell.strip() for cell in row.split("│")[1:-1]] for row in format_results(results).splitlines()]
    header, market, duke = (row for row in table[1:5] if row)
    assert header == ["", "Rank-1", "mAP", "speed"]
    assert market == ["market", "91.25", "77.00", "-"]
    assert duke == ["duke", "-", "60.00", "-"]


def test_flatten():
    assert flatten_results_dict({"a": {"b": {"c": 1}, "d": 2}, "e": 3}) == {"a/b/c": 1, "a/d": 2, "e": 3}


def expecting(*rows):
    cfg = get_cfg()
    cfg.TEST.EXPECTED_RESULTS = list(rows)
    return cfg


def test_expected_results_are_met():
    assert verify_results(expecting(), {})
    assert verify_results(expecting(["market", "mAP", 77.0, 0.5]), {"market": {"mAP": 77.5}})


def test_every_mismatch_is_listed():
    cfg = expecting(
        ["market", "mAP", 77.0, 0.1],
        ["market", "Rank-1", 90.0, 0.1],
        ["duke", "mAP", 1.0, 0.1],
        ["market", "mINP", 5.0, 1.0],
    )
    with pytest.raises(ValueError) as error:
        verify_results(cfg, {"market": {"mAP": 77.2, "Rank-1": 90.0, "mINP": float("nan")}})
    lines = str(error.value).splitlines()
    assert len(lines) == 4
    assert lines[1].strip() == "market/mAP: expected 77.0 +- 0.1, got 77.2"
    assert "duke/mAP" in lines[2]
    assert "got nan" in lines[3]


def test_malformed_expectation():
    with pytest.raises(ValueError, match=r"\[task, metric, expected, tolerance\]"):
        verify_results(expecting(["market", "mAP", 77.0]), {"market": {"mAP": 77.0}})
