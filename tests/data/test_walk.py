import logging

from steploop.data import files_below


def test_links_count_as_if_the_files_were_there(tmp_path, caplog):
    store, root = tmp_path / "store", tmp_path / "root"
    (store / "deep" / ".hidden").mkdir(parents=True)
    for name in ("a.jpg", "deep/b.jpg", "deep/.c.jpg", "deep/.hidden/d.jpg"):
        (store / name).write_text("")
    root.mkdir()
    (root / "folder").symlink_to(store)
    (root / "file.jpg").symlink_to(store / "a.jpg")
    (root / "broken.jpg").symlink_to("/nowhere/x.jpg")
    (store / "deep" / "circle").symlink_to(root)
    with caplog.at_level(logging.WARNING):
        found = [path.relative_to(root).as_posix() for path in files_below(root)]
    assert found == ["file.jpg", "folder/a.jpg", "folder/deep/b.jpg"]
    assert (
        "broken.jpg is a link to nowhere" in caplog.text and "circle links to a folder that contains it" in caplog.text
    )
