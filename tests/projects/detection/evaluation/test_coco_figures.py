import json
import math

import numpy as np
import pytest

from detection_data import write_data
from detection_golden import figures
from shared_files import shared
from steploop.projects.detection.data import build_dataset
from steploop.projects.detection.evaluation import CocoEvaluator
from steploop.projects.detection.evaluation.coco_figures import coco_figures, evaluated, proposal_figures
from steploop.projects.detection.modeling import Detections

torch = pytest.importorskip("torch")
pytest.importorskip("pycocotools")


def golden():
    read = [json.loads(shared(f"golden/detection/coco_{name}.json").read_text()) for name in ("gt", "dets")]
    return *read, figures("coco_eval")


def same(ours, reference):
    reference = np.where(np.isnan(reference), -1, reference)
    np.testing.assert_allclose(np.where(np.isnan(ours), -1, ours), reference, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("coco", {"max_detections": (1, 10, 100)}),
        ("mmdet", {}),
        ("thr", {"thresholds": [0.3, 0.5, 0.7], "max_detections": (1, 10, 100)}),
    ],
)
def test_golden(name, options):
    truth, found, gold = golden()
    ids = [category["id"] for category in truth["categories"]]
    evaluation = evaluated(truth, found, category_ids=ids, **options)
    for part in ("precision", "recall", "scores"):
        same(evaluation.eval[part], gold[f"{name}_{part}"])


def test_golden_figures():
    truth, found, gold = golden()
    names = [category["name"] for category in truth["categories"]]
    ids = [category["id"] for category in truth["categories"]]
    result = coco_figures(truth, found, category_ids=ids, names=names)
    same(np.array(list(result.metrics.values())), gold["mmdet_stats"][:6])
    same(np.array(list(result.per_class.values())), gold["mmdet_ap_per_class"])
    assert any("no ground truth of class44" in note for note in result.notes)
    proposals = proposal_figures(truth, found)
    same(np.array(list(proposals.metrics.values())), gold["proposal_stats"][6:12])


def test_evaluator(tmp_path):
    spec = {"type": "CocoDataset", "ann_file": write_data(tmp_path), "img_prefix": str(tmp_path)}
    data = build_dataset(spec, training=False)
    evaluator = CocoEvaluator("test", data, output_dir=str(tmp_path / "out"), num_pictures=3)
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
    evaluator.reset()
    evaluator.process({"image_id": [record.image_id for record in data.records]}, [nothing] * 6)
    figures_of_nothing = evaluator.evaluate()["test"]
    assert figures_of_nothing["mAP"] == 0 and figures_of_nothing["AP/red"] == 0
    evaluator.reset()
    for record in data.records:
        labels = torch.from_numpy(record.labels)
        right = Detections(torch.from_numpy(record.boxes), torch.ones(len(labels)), labels)
        evaluator.process({"image_id": [record.image_id]}, [right])
    result = evaluator.evaluate()["test"]
    assert result["mAP"] == pytest.approx(1) and result["AP/blue"] == pytest.approx(1) and math.isnan(result["mAP_l"])
    written = json.loads((tmp_path / "out/results_test.json").read_text())
    assert {entry["category_id"] for entry in written} == {7, 3, 44} and written[0]["image_id"] == 100
    for name in ("detections_test.png", "precision_recall_test.png"):
        assert (tmp_path / "out" / name).stat().st_size > 500
    with pytest.raises(ValueError, match="TEST.METRICS"):
        CocoEvaluator("test", data, metrics=("segm",))
