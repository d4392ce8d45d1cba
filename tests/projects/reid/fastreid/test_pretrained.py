import pytest

from steploop.projects.reid.fastreid.pretrained import find_pretrained, pretrained_file


@pytest.mark.parametrize(
    ("builder", "depth", "flags", "name"),
    [
        ("resnet", "50x", {}, "resnet50-19c8e357.pth"),
        ("resnet", "101x", {"with_ibn": True}, "resnet101_ibn_a-59ea0ac6.pth"),
        ("resnet", "101x", {"with_ibn": True, "with_se": True}, "se_resnet101_ibn_a-fabed4e2.pth"),
        ("resnest", "50x", {}, "resnest50-528c19ca.pth"),
        ("osnet", "x1_0", {}, "osnet_x1_0_imagenet.pth"),
        ("regnet", "400y", {}, "RegNetY-400MF_dds_8gpu.pyth"),
        ("mobilenetv2", "1.0x", {}, "mobilenetv2_1.0-0c6065bc.pth"),
        ("mobilenetv3", "Large", {}, "mobilenet_v3_large-8738ca79.pth"),
        ("repvgg", "B1g2", {}, "RepVGG-B1g2-train.pth"),
        ("vit", "base", {}, "jx_vit_base_p16_224-80ecf9dd.pth"),
    ],
)
def test_the_file_of_a_backbone(builder, depth, flags, name):
    assert pretrained_file(f"build_{builder}_backbone", depth, **flags) == name


def test_no_file_is_known():
    with pytest.raises(ValueError, match="PRETRAIN False to start from random weights"):
        pretrained_file("build_resnext_backbone", "50x")


def test_a_file_is_looked_for_in_the_usual_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    wanted = "/export/home/someone/resnet50-19c8e357.pth"
    with pytest.raises(FileNotFoundError, match=r"checkpoints.*It comes from https://download.pytorch.org"):
        find_pretrained(wanted)
    for folder in ("home/.cache/torch/hub/checkpoints", "torch/hub/checkpoints", "torch/checkpoints"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "resnet50-19c8e357.pth").touch()
        assert find_pretrained(wanted) == str(tmp_path / folder / "resnet50-19c8e357.pth")
    (tmp_path / "own.pth").touch()
    assert find_pretrained(str(tmp_path / "own.pth")) == str(tmp_path / "own.pth")
