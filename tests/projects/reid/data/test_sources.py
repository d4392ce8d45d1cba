import pytest

from market_folder import write_image, write_market
from steploop.projects.reid.data.sources import find_source, read_subsets


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPLOOP_DATASETS", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


def test_a_name_is_looked_for_below_the_root_first(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert find_source("mine").resolve() == tmp_path / "mine"
    (root / "mine").mkdir(parents=True)
    assert find_source("mine") == root / "mine"
    assert find_source("") is None and find_source("nowhere") is None


def test_another_file_than_a_csv_is_an_error(tmp_path):
    (tmp_path / "data.txt").touch()
    with pytest.raises(ValueError, match="expected a folder or a .csv file"):
        find_source(str(tmp_path / "data.txt"))


def test_each_layout_is_recognised(root, tmp_path):
    write_market(root / "market")
    for number in range(4):
        write_image(root / "plain" / str(number // 2) / f"{number}.png")
    (root / "table.csv").write_text("path,identity\n" + "".join(f"plain/{n // 2}/{n}.png,{n // 2}\n" for n in range(4)))
    assert [len(part) for part in read_subsets(root / "market")] == [16, 4, 4]
    assert [len(part) for part in read_subsets(root / "plain")] == [2, 1, 1]
    assert read_subsets(root / "table.csv") == read_subsets(root / "plain")


def test_half_a_market_is_no_folder_of_identities(root):
    write_image(root / "market" / "bounding_box_train" / "0001_c1s1_0.jpg")
    with pytest.raises(FileNotFoundError, match="is not in the Market-1501 layout: query, bounding_box_test missing"):
        read_subsets(root / "market")
