import pytest

from steploop.projects.detection.data.coco import AnnotationError, read_coco
from steploop.projects.detection.data.voc import voc_to_coco, write_coco

XML = """<annotation><filename>a.jpg</filename><size><width>60</width><height>40</height><depth>3</depth></size>
<object><name>dog</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>10</xmax><ymax>21</ymax>
</bndbox></object><object><name>cat</name><difficult>1</difficult>
<bndbox><xmin>5</xmin><ymin>5</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"""


def test_conversion(tmp_path):
    (tmp_path / "a.xml").write_text(XML)
    content = voc_to_coco(tmp_path)
    write_coco(content, tmp_path / "out.json")
    coco = read_coco(tmp_path / "out.json")
    assert list(coco.categories.values()) == ["cat", "dog"]
    dog, cat = coco.annotations[1]
    assert dog["bbox"] == [0, 1, 10, 20] and dog["iscrowd"] == 0 and cat["iscrowd"] == 1
    only = voc_to_coco(tmp_path, names=["a"], classes=["dog"])
    assert len(only["annotations"]) == 1 and only["annotations"][0]["category_id"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "<annotation>",
        "",
        "<!DOCTYPE x [<!ENTITY a 'b'>]><annotation/>",
        "<annotation/>",
        XML.replace("<xmin>1</xmin>", ""),
        XML.replace("<xmin>1<", "<xmin>nan<"),
        XML.replace("<name>dog</name>", ""),
        "\x00",
    ],
)
def test_mistakes_name_the_file(tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(AnnotationError, match=r"a.xml"):
        voc_to_coco(tmp_path)
    with pytest.raises(FileNotFoundError):
        voc_to_coco(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        voc_to_coco(tmp_path, names=["b"])
