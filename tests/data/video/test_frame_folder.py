import numpy as np
import pytest
from PIL import Image

from steploop.data.video import FrameFolder, VideoError


@pytest.fixture
def folder(tmp_path):
    for number in range(1, 6):
        Image.fromarray(np.full((8, 12, 3), number, dtype=np.uint8)).save(tmp_path / f"img_{number:05}.png")
    return tmp_path


def test_frames_by_number(folder):
    frames = FrameFolder(folder, "img_{:05}.png")
    assert frames.span() == (1, 5)
    assert frames.read([5, 1, 5])[:, 0, 0, 0].tolist() == [5, 1, 5]
    assert frames.read([2], short_side=4).shape == (1, 4, 6, 3)


def test_a_missing_frame_is_named_with_what_is_there(folder):
    with pytest.raises(FileNotFoundError, match=r"img_00009.png does not exist; the folder has the frames 1 to 5"):
        FrameFolder(folder, "img_{:05}.png").read([9])
    (folder / "img_00003.png").unlink()
    with pytest.raises(VideoError, match=r"lacks the frame img_00003.png"):
        FrameFolder(folder, "img_{:05}.png").span()


def test_a_folder_that_is_not_there_or_has_no_frames(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        FrameFolder(tmp_path / "none").span()
    with pytest.raises(VideoError, match=r"no frame like img_00001.jpg"):
        FrameFolder(tmp_path).span()


def test_frames_that_are_no_images_or_differ_in_size(folder):
    Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(folder / "img_00002.png")
    with pytest.raises(VideoError, match="differ in size"):
        FrameFolder(folder, "img_{:05}.png").read([1, 2])
    (folder / "img_00002.png").write_text("text")
    with pytest.raises(VideoError, match=r"img_00002.png"):
        FrameFolder(folder, "img_{:05}.png").read([2])


@pytest.mark.parametrize("template", ["img.jpg", "{}/{}.jpg", "../{:05}.jpg", "{x}.jpg", "{:05"])
def test_a_template_without_a_number_is_refused(tmp_path, template):
    with pytest.raises(ValueError, match="template"):
        FrameFolder(tmp_path, template)
