import json
from datetime import timedelta

import pytest
import torch

import evaluation_ranks
from steploop.engine import ClassificationEvaluator, GatheredEvaluator, inference_on_dataset
from steploop.engine.checkpoint import read_checkpoint
from steploop.engine.distributed.launch import launch


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    for number in (1, 2):
        launch(evaluation_ranks.train, number, device="cpu", args=(str(folder),), timeout=timedelta(minutes=1))
    return {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}


def test_accuracy_does_not_depend_on_the_number_of_processes(ranks):
    samples = evaluation_ranks.samples()
    order = [sample["x"].argsort(descending=True).tolist().index(sample["label"]) for sample in samples]
    expected = {f"top{k}": 100 * sum(place < k for place in order) / len(order) for k in (1, 3)}
    assert ranks["0of1"]["classification"] == ranks["0of2"]["classification"] == [expected, []]
    assert ranks["1of2"]["classification"] == [{}, []]


def test_figures_of_a_part_are_an_error_that_names_the_evaluator(ranks):
    assert ranks["0of1"]["alone"] == [{"figure": evaluation_ranks.SAMPLES}, []]
    for rank in ("0of2", "1of2"):
        text, _ = ranks[rank]["alone"]
        assert text.startswith("ValueError: Alone returns other figures in other processes")
        assert "GatheredEvaluator" in text


def test_figures_in_each_process_are_a_warning(ranks):
    results, warnings = ranks["0of2"]["same"]
    assert results == {"figure": 0.5} and len(warnings) == 1 and "Alone returns figures in each process" in warnings[0]
    assert ranks["0of1"]["same"][1] == []


def test_samples_that_nobody_has_seen_are_a_warning(ranks):
    for rank, seen in (("0of1", 4), ("0of2", 8)):
        (warning,) = ranks[rank]["half"][1]
        assert f"ClassificationEvaluator has seen {seen} samples" in warning and "has 21" in warning


def test_an_error_of_one_process_reaches_all(ranks):
    assert ranks["1of2"]["fails"][0] == "MemoryError: cannot allocate the distances"
    assert "by rank: {1: 'MemoryError" in ranks["0of2"]["fails"][0]


def test_a_failing_evaluation_of_one_process_costs_no_step(tmp_path):
    with pytest.raises(Exception, match="cannot allocate the distances"):
        launch(evaluation_ranks.train_and_fail, 2, device="cpu", args=(str(tmp_path),), timeout=timedelta(minutes=1))
    assert read_checkpoint(tmp_path / "model_0000002.pth")["iteration"] == 2


class Indices(GatheredEvaluator):
    def record(self, inputs, outputs):
        return outputs.tolist()

    def compute(self, records):
        return {"records": records}


def test_records_are_of_the_last_round():
    evaluator = Indices()
    for _ in range(2):
        results = inference_on_dataset(lambda batch: batch, [torch.arange(2), torch.arange(2, 3)], evaluator)
        assert results == {"records": [0, 1, 2]} and evaluator.num_samples == 3


def test_equal_scores_and_nan_are_no_success_by_chance():
    evaluator = ClassificationEvaluator((1,), labels=lambda batch: torch.tensor([1, 0, 1]))
    scores = torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, float("nan")]])
    assert inference_on_dataset(lambda batch: scores, [0], evaluator) == {"top1": pytest.approx(100 / 3)}


@pytest.mark.parametrize(
    "scores, labels, message",
    [
        (torch.zeros(2), torch.zeros(2), "scores \\(N, classes\\)"),
        (torch.zeros(2, 3), torch.zeros(3), "scores \\(N, classes\\)"),
        (torch.zeros(2, 3), torch.tensor([0, 3]), "labels are in 0..2"),
    ],
)
def test_shapes_and_labels_are_checked(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        inference_on_dataset(lambda batch: scores, [(0, labels)], ClassificationEvaluator())


def test_settings_and_batches_without_labels():
    with pytest.raises(ValueError, match="top_k"):
        ClassificationEvaluator((0,))
    with pytest.raises(ValueError, match="labels=..."):
        inference_on_dataset(lambda batch: torch.zeros(1, 2), [0], ClassificationEvaluator())
