import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_folder import write_folders
from steploop.data import DatasetCatalog
from steploop.projects.reid.data import ReidDataset, ReidItem, get_dataset, get_train_dataset, merge_train
from steploop.projects.reid.data.dataset import turn_identities

ITEMS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=30)


def dataset(pairs, name="a", *, query=(), gallery=()):
    return ReidDataset(name, [ReidItem(f"{name}.jpg", pid, camid) for pid, camid in pairs], query, gallery)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPLOOP_DATASETS", str(tmp_path))
    return tmp_path


@pytest.fixture
def catalog(monkeypatch):
    monkeypatch.setattr(DatasetCatalog, "_makers", dict(DatasetCatalog._makers))
    return DatasetCatalog


@settings(deadline=None)
@given(ITEMS)
def test_training_identities_are_relabelled_in_their_order(pairs):
    made = dataset(pairs)
    order = sorted({pid for pid, _ in pairs})
    assert [order[item.pid] for item in made.train] == [pid for pid, _ in pairs]
    assert [item.camid for item in made.train] == [camid for _, camid in pairs]
    assert made.num_pids == len(order)
    assert made.num_cams == len({camid for _, camid in pairs})


def test_test_identities_stay_as_they_are():
    query, gallery = [ReidItem("q", 40, 0)], [ReidItem("g", 40, 1), ReidItem("d", 0, 1)]
    made = dataset([(7, 0)], query=query, gallery=gallery)
    assert (made.train[0].pid, made.query, made.gallery) == (0, query, gallery)


def test_items_of_another_type_are_refused():
    with pytest.raises(TypeError, match=r"data set 'a': expected items of type ReidItem, got \('x.jpg', 1, 0\)"):
        ReidDataset("a", [("x.jpg", 1, 0)], [], [])


@settings(deadline=None)
@given(st.lists(ITEMS, max_size=4))
def test_merged_sets_keep_identities_and_cameras_apart(raw):
    names = [f"set{n}" for n in range(len(raw))]
    parts = [dataset(pairs, name) for name, pairs in zip(names, raw)]
    merged = merge_train(parts)
    assert merged.name == "+".join(names)
    assert [item.img_path for item in merged.train] == [item.img_path for part in parts for item in part.train]
    assert {item.pid for item in merged.train} == set(range(sum(part.num_pids for part in parts)))
    before = [(name, label) for name, pairs in zip(names, raw) for label in pairs]
    for place, after in enumerate(([item.pid for item in merged.train], [item.camid for item in merged.train])):
        changes = {(name, label[place], new) for (name, label), new in zip(before, after)}
        assert len(changes) == len({change[:2] for change in changes}) == len(set(after))


@pytest.mark.parametrize(("turns", "expected"), [(1, [0]), (2, [0, 2]), (4, [0, 1, 2, 3])])
def test_each_turn_makes_identities_of_its_own(turns, expected):
    query = [ReidItem("q", 9, 0)]
    made = turn_identities(dataset([(4, 0), (4, 1), (6, 0)], query=query), turns)
    assert (made.num_pids, len(made.train), made.query) == (2 * turns, 3 * turns, query)
    assert sorted({(item.pid, item.turns) for item in made.train}) == [
        (2 * n + pid, turn) for n, turn in enumerate(expected) for pid in (0, 1)
    ]


def test_turns_add_up():
    turned = turn_identities(ReidDataset("a", [ReidItem("a", 0, 0, turns=3)], [], []), 4)
    assert [item.turns for item in turned.train] == [3, 0, 1, 2]


def test_turns_of_an_eighth_are_refused():
    with pytest.raises(ValueError, match=r"INPUT\.TURNS is 1, 2 or 4 .* got 8"):
        turn_identities(dataset([(1, 0)]), 8)


def test_statistics_count_identities_images_and_cameras():
    query = [ReidItem("q", 9, 0)]
    gallery = [ReidItem(f"g{n}", n % 7, n % 3) for n in range(1234)]
    table = dataset([(1, 0), (1, 1), (5, 0)], query=query, gallery=gallery).statistics()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert rows[0] == ["subset", "ids", "images", "cameras"]
    assert rows[2:] == [["train", "2", "3", "2"], ["query", "1", "1", "1"], ["gallery", "7", "1,234", "3"]]


def test_require_names_the_empty_subset():
    made = dataset([(1, 0)], "half", gallery=[ReidItem("g", 1, 0)])
    made.require("train", "gallery")
    with pytest.raises(ValueError, match=r"'half' has no query images: name another one in DATASETS\.TEST"):
        made.require("query", "gallery")
    with pytest.raises(ValueError, match=r"no train images: name another one in DATASETS\.TRAIN"):
        dataset([]).require("train")


def test_a_folder_is_found_by_its_name(root):
    write_folders(root / "market")
    write_folders(root / "deep" / "Market-1501")
    found = get_dataset("market")
    assert (found.name, found.num_pids, found.query[0].pid, found.gallery[0].camid) == ("market", 1, 3, 1)
    assert get_dataset("deep/Market-1501").num_pids == 1


def test_a_registered_name_comes_before_a_folder(root, catalog):
    write_folders(root / "both")
    catalog.register("both", lambda: dataset([(1, 0), (2, 0)], "both"))
    assert get_dataset("both").num_pids == 2


def test_something_else_is_registered(catalog):
    catalog.register("numbers", lambda: [1, 2])
    with pytest.raises(TypeError, match="'numbers' is registered, but as a list, not a ReidDataset"):
        get_dataset("numbers")


def test_an_unknown_name_says_what_is_near_and_what_there_is(root, catalog):
    write_folders(root / "market1501")
    (root / ".synthetic.x1").mkdir()
    catalog.register("omniglot", lambda: dataset([(1, 0)]))
    with pytest.raises(FileNotFoundError, match="did you mean 'market1501'") as error:
        get_dataset("markt1501")
    hints = (
        f"no folder {root}/markt1501",
        "Known: market1501, omniglot",
        "Set $STEPLOOP_DATASETS",
    )
    for hint in hints:
        assert hint in str(error.value)
    with pytest.raises(FileNotFoundError, match="did you mean 'omniglot'"):
        get_dataset("omniglott")
    with pytest.raises(FileNotFoundError, match="unknown data set ''"):
        get_dataset("")


def test_the_folder_of_data_sets_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPLOOP_DATASETS", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=re.escape(f"the folder {tmp_path}/nowhere does not exist")):
        get_dataset("market1501")


def test_several_names_train_together(catalog):
    catalog.register("one", lambda: dataset([(3, 0), (8, 1)], "one", query=[ReidItem("q", 3, 0)]))
    catalog.register("two", lambda: dataset([(3, 0)], "two"))
    assert get_train_dataset(["one"]).query
    assert get_train_dataset(["one"], turns=2).num_pids == 4
    both = get_train_dataset(("one", "two"))
    assert (both.name, both.num_pids, both.num_cams, both.query) == ("one+two", 3, 3, [])


def test_names_to_train_on_are_checked(catalog):
    catalog.register("one", lambda: dataset([(3, 0)], "one"))
    catalog.register("test only", lambda: dataset([], "test only"))
    with pytest.raises(ValueError, match=r"DATASETS\.TRAIN is empty"):
        get_train_dataset([])
    with pytest.raises(ValueError, match="names one more than once"):
        get_train_dataset(["one", "one"])
    with pytest.raises(ValueError, match="'test only' has no train images"):
        get_train_dataset(["one", "test only"])
