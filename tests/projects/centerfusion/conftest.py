"""Fixtures of several tests of CenterFusion."""

import zipfile

import pytest
import torch

from shared_files import shared
from steploop.projects.centerfusion.data.records import read_records


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """Return {split: {image id: record}} of files of the published converter."""
    folder = tmp_path_factory.mktemp("published")
    with zipfile.ZipFile(shared("golden/centerfusion/nuscenes_synthetic.zip")) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if "annotations" in name])
    return {
        split: {r["image_id"]: r for r in read_records(folder / "annotations_3sweeps" / f"{split}.json", folder)}
        for split in ("mini_train", "mini_val")
    }


@pytest.fixture
def one_thread():
    """Let a tiny network not wait for a second thread, which takes many times longer on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
