import pytest

from market_folder import write_image
from steploop.projects.reid.data.csv_file import read_csv


@pytest.fixture
def table(tmp_path):
    """Return a function that writes a CSV file beside the images 0.png .. 7.png."""
    for number in range(8):
        write_image(tmp_path / f"{number}.png", number)

    def table(text, encoding="utf-8"):
        file = tmp_path / "data.csv"
        file.write_bytes(text.encode(encoding))
        return file

    return table


def test_all_columns_in_any_order(table, tmp_path):
    file = table(
        "Split,identity,note,path,camera\ntrain,ann,x,0.png,gate\ntrain,ann,,1.png,door\n\nquery,bob,,2.png,door\n"
        f'gallery,bob,"a, b",{tmp_path / "3.png"},gate\n'
    )
    train, query, gallery = read_csv(file)
    assert [item.img_path for item in (*train, *query, *gallery)] == [str(tmp_path / f"{n}.png") for n in range(4)]
    assert [(item.pid, item.camid) for item in (*train, *query, *gallery)] == [(1, 1), (1, 0), (2, 0), (2, 1)]


def test_paths_and_identities_are_enough(table):
    train, query, gallery = read_csv(
        table("\ufeffpath,identity\r\n" + "".join(f"{n}.png,{n // 2}\r\n" for n in range(8)))
    )
    assert len(train) == 4 and len(query) == len(gallery) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column path and identity in its first line, ''; expected path,identity,camera,split"),
        ("path;identity\n0.png;1\n", "no column path and identity .*; separate them by commas"),
        ("path,identity,path\n", "the column path twice"),
        ("path,identity\n0.png,1,2\n", "line 2: 3 values for the 2 columns path, identity"),
        ("path,identity\n0.png,\n", "line 2: the identity is empty"),
        (
            "path,identity,split\n0.png,1,train\n1.png,1,galery\n",
            r"line 3: unknown split 'galery'; did you mean 'gallery'",
        ),
        ("path,identity,split\n0.png,1,train\n1.png,1,\n", "line 3: no split, but other lines have one"),
        ('path,identity\n"0.png,1\n', "line 2: unexpected end of data"),
    ],
)
def test_what_is_no_such_table_is_an_error_with_its_line(table, text, message):
    with pytest.raises(ValueError, match=message):
        read_csv(table(text))


def test_another_encoding_is_an_error(table):
    with pytest.raises(ValueError, match="is not UTF-8 .*: save it as 'CSV UTF-8'"):
        read_csv(table("path,identity\n0.png,Zoë\n", "latin-1"))


def test_missing_images_are_an_error(table):
    with pytest.raises(FileNotFoundError, match=r"line 3: no image .*8\.png, and 1 others are missing"):
        read_csv(table("path,identity\n0.png,1\n8.png,1\n9.png,2\n"))
