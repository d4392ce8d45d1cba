import numpy as np
import pytest
import torch
from PIL import Image

from detection_data import write_data
from detection_golden import close, figures
from steploop.data import MappedDataset
from steploop.projects.detection.data import Pipeline, PipelineMapper, build_dataset, collate_padded
from steploop.projects.detection.data.pipeline import pixels_of
from steploop.projects.detection.data.transforms import RandomCrop, Resize, flip, resize
from steploop.projects.detection.modeling.structures import view_of

NORMALIZE = {"type": "Normalize", "mean": [1.0, 2, 3], "std": [1.0, 1, 1], "to_rgb": False}
TRAIN = [
    {"type": "LoadImageFromFile"},
    {"type": "LoadAnnotations", "with_bbox": True},
    {"type": "Resize", "img_scale": [(120, 80), (90, 60)], "multiscale_mode": "value"},
    {"type": "RandomFlip", "flip_ratio": 0.5},
    NORMALIZE,
    {"type": "Pad", "size_divisor": 32},
    {"type": "DefaultFormatBundle"},
    {"type": "Collect", "keys": ["img", "gt_bboxes", "gt_labels"]},
]
STEPS = [{"type": "Resize", "keep_ratio": True}, {"type": "RandomFlip"}, NORMALIZE, {"type": "Pad", "size_divisor": 32}]


def views(**options):
    spec = {"type": "MultiScaleFlipAug", "img_scale": (120, 80), "flip": False, "transforms": STEPS}
    return [{"type": "LoadImageFromFile"}, {**spec, **options}]


def sample(height=40, width=60, boxes=((10, 5, 20, 30),)):
    pixels = torch.arange(3 * height * width, dtype=torch.int64).reshape(3, height, width) % 251
    return {
        "image": pixels.to(torch.uint8),
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.zeros(len(boxes), dtype=torch.long),
        "ignored": torch.zeros(0, 4),
        "scale": (1.0, 1.0),
        "flip": False,
    }


def dataset(tmp_path, pipeline=TRAIN, **options):
    path = write_data(tmp_path)
    spec = {"type": "CocoDataset", "ann_file": path, "img_prefix": str(tmp_path), "pipeline": pipeline, **options}
    data = build_dataset(spec, training=True)
    return MappedDataset(data.records, PipelineMapper(data.built_pipelines()), 0)


def test_golden_sizes():
    for w, h, first, second, new_w, new_h, across, down in figures("data")["resize_rows"].tolist():
        given = sample(int(h), int(w))
        given["image"] = torch.zeros(1, int(h), int(w), dtype=torch.uint8)
        resize(given, (int(first), int(second)))
        assert given["image"].shape[1:] == (new_h, new_w)
        close(np.array(given["scale"]), np.array([across, down]), 1e-6)


def test_golden_image():
    gold = figures("data")
    given = sample()
    given["image"] = torch.from_numpy(gold["img_in_bgr"][..., ::-1].copy()).permute(2, 0, 1)
    resize(given, (90, 60))
    expected = torch.from_numpy(gold["img_resized_cv2"][..., ::-1].copy()).permute(2, 0, 1)
    # cv2 computes with fixed-point weights.
    assert (given["image"].int() - expected.int()).abs().max() <= 1


def test_boxes_move_with_the_image():
    given = sample()
    flip(given)
    assert given["boxes"].tolist() == [[40, 5, 50, 30]] and given["flip"]
    resize(given, (120, 80))
    assert given["boxes"].tolist() == [[80, 10, 100, 60]] and given["scale"] == (2.0, 2.0)
    (box,) = given["boxes"]
    batch = {"image": given["image"][None], "scale": [given["scale"]], "flip": [True], "size": [(80, 120)]}
    assert view_of(batch).to_original(0, box[None]).tolist() == [[10, 5, 20, 30]]


def test_crop_keeps_what_reaches_into_it():
    crop = RandomCrop((20, 30))
    for number in range(20):
        given = sample(boxes=((10, 5, 20, 30), (0, 0, 3, 3)))
        crop(given, np.random.default_rng(number))
        assert given["image"].shape == (3, 20, 30) and 1 <= len(given["boxes"]) == len(given["labels"])
        assert (given["boxes"] >= 0).all() and (given["boxes"][:, 2] <= 30).all() and (given["boxes"][:, 3] <= 20).all()
    given = sample(boxes=())
    crop(given, np.random.default_rng(0))
    assert given["image"].shape == (3, 20, 30)
    for kind in ("relative", "relative_range", "absolute_range"):
        RandomCrop((0.5, 0.5) if "relative" in kind else (10, 20), crop_type=kind)(sample(), np.random.default_rng(1))
    with pytest.raises(ValueError, match="crop_type"):
        RandomCrop((1, 1), crop_type="round")


def test_multi_scale():
    rng = np.random.default_rng(0)
    drawn = {Resize([(1333, 640), (1333, 800)], multiscale_mode="value")._drawn(rng) for _ in range(20)}
    assert drawn == {(1333, 640), (1333, 800)}
    ranged = [Resize([(1333, 640), (1333, 800)], multiscale_mode="range")._drawn(rng) for _ in range(50)]
    assert all(long == 1333 and 640 <= short <= 800 for long, short in ranged) and len(set(ranged)) > 10
    width, height = Resize((100, 50), ratio_range=(0.5, 2.0))._drawn(rng)
    assert 50 <= width <= 200 and abs(width - 2 * height) <= 2
    for options in ({"img_scale": 3}, {"img_scale": [(1, 2)] * 3}, {"img_scale": (1, 2), "multiscale_mode": "x"}):
        with pytest.raises(ValueError, match="Resize"):
            Resize(**options)


def test_samples_and_batches(tmp_path):
    data = dataset(tmp_path)
    first, again = data[1], data[1]
    assert torch.equal(first["image"], again["image"]) and first["scale"] == again["scale"]
    batch = collate_padded([data[index] for index in range(4)])
    heights = [size[0] for size in batch["padded_size"]]
    assert batch["image"].shape[2] == max(heights) and batch["image"].dtype == torch.uint8
    for image, (height, width) in zip(batch["image"], batch["size"]):
        assert not image[:, height:].any() and not image[:, :, width:].any()
    assert batch["image_id"] == [100, 101, 102, 103] and [len(boxes) for boxes in batch["boxes"]] == [1, 2, 3, 1]
    assert pixels_of(TRAIN) == pixels_of(views()) == ((1.0, 2, 3), (1.0, 1, 1), False)


def test_views(tmp_path):
    one = dataset(tmp_path, views())[0]
    assert "views" not in one and one["size"] == (80, 120)
    data = dataset(tmp_path, views(img_scale=[(120, 80), (60, 40)], flip=True))
    batch = collate_padded([data[0], data[1]])
    assert len(batch["views"]) == 4 and batch["image_id"] == [100, 101]
    assert [view["flip"] for view in batch["views"]] == [[False] * 2, [True] * 2] * 2
    plain, mirrored = batch["views"][:2]
    assert torch.equal(plain["image"][0, :, :80, :120].flip(2), mirrored["image"][0, :, :80, :120])


def test_joined_and_repeated(tmp_path):
    path = write_data(tmp_path)
    spec = {"type": "CocoDataset", "ann_file": path, "img_prefix": str(tmp_path), "pipeline": TRAIN}
    other = {**spec, "pipeline": views()}
    data = build_dataset({"type": "ConcatDataset", "datasets": [spec, other]}, training=True)
    assert len(data.records) == 12 and data.records[6].pipeline == 1 and len(data.pipelines) == 2
    repeated = build_dataset({"type": "RepeatDataset", "times": 3, "dataset": spec}, training=True)
    assert len(repeated.records) == 18
    balanced = {"type": "ClassBalancedDataset", "oversample_thr": 0.9, "dataset": spec}
    assert len(build_dataset(balanced, training=True).records) > 6
    listed = {**spec, "ann_file": [path, path], "img_prefix": [str(tmp_path)] * 2}
    assert len(build_dataset(listed, training=True).records) == 12
    with pytest.raises(ValueError, match="must have the same classes"):
        one = {**spec, "classes": ["red"]}
        build_dataset({"type": "ConcatDataset", "datasets": [spec, one]}, training=True)


def test_size_and_orientation_of_the_file(tmp_path):
    data = dataset(tmp_path)
    record = data.items[0]
    Image.new("RGB", (95, 64)).save(record.file)
    with pytest.raises(ValueError, match=r"image 100 .* annotated as 96 x 64 pixels and has 95 x 64"):
        data[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side
    Image.new("RGB", (64, 96)).save(record.file, exif=exif)
    assert data[0]["image"].shape[0] == 3


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"type": "Mosaic"}, "Mosaic"),
        ({"type": "RandomFlip", "flip_ratio": 2}, "flip_ratio"),
        ({"type": "Pad", "size": (800, 800)}, "Pad"),
        ({"type": "Pad", "size_divisor": 0}, "Pad"),
        ({"type": "Resize", "img_scal": (1, 2)}, "img_scal"),
        ({"type": "MultiScaleFlipAug", "transforms": []}, "MultiScaleFlipAug"),
    ],
)
def test_steps_that_are_not_supported(step, message):
    with pytest.raises((ValueError, TypeError, KeyError), match=message):
        Pipeline([step])
