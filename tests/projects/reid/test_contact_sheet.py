import pytest
from PIL import Image

from market_folder import write_market
from steploop.projects.reid.contact_sheet import write_contact_sheet
from steploop.projects.reid.data.check import check_dataset
from steploop.projects.reid.data.report import Report


@pytest.fixture
def report(tmp_path):
    return check_dataset(str(write_market(tmp_path / "market")))


def size(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.size


def test_it_grows_with_what_it_shows_and_is_the_same_twice(report, tmp_path):
    write_contact_sheet(report, tmp_path / "a.png")
    write_contact_sheet(report, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    write_contact_sheet(report, tmp_path / "low.png", num_ids=1)
    write_contact_sheet(report, tmp_path / "narrow.png", num_images=1)
    assert size(tmp_path / "low.png")[1] < size(tmp_path / "a.png")[1]
    assert size(tmp_path / "narrow.png")[0] <= size(tmp_path / "a.png")[0]


def test_every_subset_has_its_colour(report, tmp_path):
    write_contact_sheet(report, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(2**24)}
    assert {(0xB8, 0xBF, 0xCC), (0xE0, 0x82, 0x2F), (0x4C, 0x7F, 0xD1)} <= colours


def test_nothing_to_draw_is_an_error(report, tmp_path):
    with pytest.raises(ValueError, match="no image that can be read"):
        write_contact_sheet(Report("mine", {"train": [], "query": [], "gallery": []}, {}, []), tmp_path / "a.png")
    with pytest.raises(ValueError, match="at least one identity and one image, got 0 and 1"):
        write_contact_sheet(report, tmp_path / "a.png", num_ids=0, num_images=1)
    assert not (tmp_path / "a.png").exists()
