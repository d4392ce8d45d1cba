"""The files with ImageNet weights that fast-reid starts from: which one a backbone needs, and where it may lie."""

import os
from collections.abc import Iterator
from pathlib import Path

from steploop.config.errors import unknown

_TORCHVISION = "https://download.pytorch.org/models/"
_IBN = "https://github.com/XingangPan/IBN-Net/releases/tag/v1.0"
_RESNEST = "https://github.com/zhanghang1989/ResNeSt/releases"
_OSNET = "https://kaiyangzhou.github.io/deep-person-reid/MODEL_ZOO"
_PYCLS = "https://github.com/facebookresearch/pycls/blob/main/MODEL_ZOO.md"
_SHUFFLE = "https://github.com/megvii-model/ShuffleNet-Series"
_MOBILE = "https://github.com/tonylins/pytorch-mobilenet-v2"
_REPVGG = "https://github.com/DingXiaoH/RepVGG"
_TIMM = "https://github.com/rwightman/pytorch-image-models/releases"

# (file, where it comes from) by builder and variant; "ibn" and "se" belong to the variant.
_FILES: dict[str, dict[str, tuple[str, str]]] = {
    "build_resnet_backbone": {
        "18": ("resnet18-5c106cde.pth", _TORCHVISION),
        "34": ("resnet34-333f7ec4.pth", _TORCHVISION),
        "50": ("resnet50-19c8e357.pth", _TORCHVISION),
        "101": ("resnet101-5d3b4d8f.pth", _TORCHVISION),
        "18 ibn": ("resnet18_ibn_a-2f571257.pth", _IBN),
        "34 ibn": ("resnet34_ibn_a-94bc1577.pth", _IBN),
        "50 ibn": ("resnet50_ibn_a-d9d0bb7b.pth", _IBN),
        "101 ibn": ("resnet101_ibn_a-59ea0ac6.pth", _IBN),
        "101 ibn se": ("se_resnet101_ibn_a-fabed4e2.pth", _IBN),
    },
    "build_resnext_backbone": {"101 ibn": ("resnext101_ibn_a-6ace051d.pth", _IBN)},
    "build_resnest_backbone": {
        "50": ("resnest50-528c19ca.pth", _RESNEST),
        "101": ("resnest101-22405ba7.pth", _RESNEST),
        "200": ("resnest200-75117900.pth", _RESNEST),
        "269": ("resnest269-0cc87c48.pth", _RESNEST),
    },
    "build_osnet_backbone": {
        **{name: (f"osnet_{name}_imagenet.pth", _OSNET) for name in ("x1_0", "x0_75", "x0_5", "x0_25")},
        "x1_0 ibn": ("osnet_ibn_x1_0_imagenet.pth", _OSNET),
    },
    "build_regnet_backbone": {
        f"{number}{kind}": (f"RegNet{kind.upper()}-{size}_dds_8gpu.pyth", _PYCLS)
        for kind in "xy"
        for number, size in (
            (200, "200MF"),
            (400, "400MF"),
            (600, "600MF"),
            (800, "800MF"),
            (1600, "1.6GF"),
            (3200, "3.2GF"),
            (4000, "4.0GF"),
            (6400, "6.4GF"),
        )
    },
    "build_effnet_backbone": {f"b{n}": (f"EN-B{n}_dds_8gpu.pyth", _PYCLS) for n in range(6)},
    "build_shufflenetv2_backbone": {
        name: (f"ShuffleNetV2.{name}.pth.tar", _SHUFFLE) for name in ("0.5x", "1.0x", "1.5x", "2.0x")
    },
    "build_mobilenetv2_backbone": {
        "1.0x": ("mobilenetv2_1.0-0c6065bc.pth", _MOBILE),
        "0.75x": ("mobilenetv2_0.75-dace9791.pth", _MOBILE),
        "0.5x": ("mobilenetv2_0.5-eaa6f9ad.pth", _MOBILE),
        "0.35x": ("mobilenetv2_0.35-b2e15951.pth", _MOBILE),
        "0.25x": ("mobilenetv2_0.25-b61d2159.pth", _MOBILE),
        "0.1x": ("mobilenetv2_0.1-7d1d638a.pth", _MOBILE),
    },
    "build_mobilenetv3_backbone": {
        "Large": ("mobilenet_v3_large-8738ca79.pth", _TORCHVISION),
        "Small": ("mobilenet_v3_small-047dcff4.pth", _TORCHVISION),
    },
    "build_repvgg_backbone": {
        name: (f"RepVGG-{name}-train.pth", _REPVGG)
        for name in ("A0", "A1", "A2", "B0", "B1", "B1g2", "B1g4", "B2", "B2g2", "B2g4", "B3", "B3g2", "B3g4")
    },
    "build_vit_backbone": {"base": ("jx_vit_base_p16_224-80ecf9dd.pth", _TIMM)},
}


def pretrained_file(builder: str, depth: str, *, with_ibn: bool = False, with_se: bool = False) -> str:
    """Return the name of the file that a backbone of fast-reid starts from.

    Args:
        builder: MODEL.BACKBONE.NAME.
        depth: MODEL.BACKBONE.DEPTH.
        with_ibn: MODEL.BACKBONE.WITH_IBN.
        with_se: MODEL.BACKBONE.WITH_SE.

    Raises:
        ValueError: no file is known for it.
    """
    files = _FILES.get(builder, {})
    plain = depth.removesuffix("x") if depth[:-1].isdigit() and depth.removesuffix("x") in str(files) else depth
    for candidate in (plain, depth):
        name = candidate + (" ibn" if with_ibn else "") + (" se" if with_se else "")
        if name in files:
            return files[name][0]
    raise ValueError(
        f"MODEL.BACKBONE.PRETRAIN True, but there are no known ImageNet weights: "
        f"{unknown(f'network of {builder}', name, files)}. Name a file in MODEL.BACKBONE.PRETRAIN_PATH, or set "
        "PRETRAIN False to start from random weights"
    )


def find_pretrained(path: str) -> str:
    """Return the file that MODEL.BACKBONE.PRETRAIN_PATH means: itself, or one of its name in a usual place.

    The usual places are the working folder, $TORCH_HOME/checkpoints, $TORCH_HOME/hub/checkpoints and the same two
    below ~/.cache/torch. A path of another machine is looked for by its name.

    Raises:
        FileNotFoundError: it is in none of them; the error says where the file comes from.
    """
    given = Path(os.path.expanduser(path))  # noqa: PTH111  # Path.expanduser may raise
    for candidate in (given, *(folder / given.name for folder in _usual_places())):
        if candidate.is_file():
            return str(candidate)
    source = next((f" It comes from {page}." for name, page in _known() if name == given.name), "")
    places = ", ".join(map(str, dict.fromkeys((given.parent, *_usual_places()))))
    raise FileNotFoundError(
        f"no weights {given.name} to start from; looked in {places}.{source} Put it there, give its path in "
        "MODEL.BACKBONE.PRETRAIN_PATH, or set MODEL.BACKBONE.PRETRAIN False (in a config of ours, PRETRAIN_PATH '') to "
        "start from random weights"
    )


def _usual_places() -> Iterator[Path]:
    yield Path()
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    homes = dict.fromkeys((Path(os.environ.get("TORCH_HOME", cache / "torch")), Path("~/.cache/torch")))
    for home in homes:
        folder = Path(os.path.expanduser(home))  # noqa: PTH111
        yield folder / "checkpoints"
        yield folder / "hub" / "checkpoints"


def _known() -> Iterator[tuple[str, str]]:
    for files in _FILES.values():
        yield from files.values()
