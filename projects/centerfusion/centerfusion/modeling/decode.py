"""From output maps to the best detections of each image."""

from collections.abc import Mapping

import torch
from torch import Tensor

from .association import best_cells, peaks_only
from .losses import depth_of, gather_cells

# Averaged over an image and its mirror image; the other maps are the image's own.
_AVERAGED = ("hm", "wh", "dep", "dim", "dep_sec")


def activate(outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the maps in float32 with their last function: scores of "hm", metres of "dep" and "dep_sec"."""
    maps = {name: value.float() for name, value in outputs.items() if name != "pc_hm"}
    maps["hm"] = maps["hm"].sigmoid()
    for name in ("dep", "dep_sec"):
        if name in maps:
            maps[name] = depth_of(maps[name])
    return maps


def merge_mirrored(maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the activated maps (B, ...) of a batch (2 B, ...): B images followed by their mirror images."""
    merged = {}
    for name, value in maps.items():
        images, mirrored = value.chunk(2)
        if name in _AVERAGED:
            merged[name] = (images + mirrored.flip(3)) / 2
        elif name == "amodel_offset":
            turned = mirrored.flip(3)
            turned = torch.cat((-turned[:, :1], turned[:, 1:]), dim=1)
            merged[name] = (images + turned) / 2
        else:
            merged[name] = images
    return merged


def decode(maps: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Return the `count` best cells of each image, best first, with the values of every map there.

    Args:
        maps: activated, (B, C, H, W).
        count: detections of an image.

    Returns:
        "scores", "classes" (from 0), "x", "y" (B, K) in cells; "boxes" (B, K, 4); "dep" and "rot" are those of the
        second stage, where there is one; other maps (B, K, C).
    """
    width = maps["hm"].shape[3]
    scores, classes, cells = best_cells(peaks_only(maps["hm"]), count)
    values = {name: gather_cells(value, cells) for name, value in maps.items() if name != "hm"}
    x = cells % width + values["reg"][..., 0]
    y = torch.div(cells, width, rounding_mode="floor") + values["reg"][..., 1]
    half = values["wh"].clamp(min=0) / 2
    center = torch.stack((x, y), dim=2)
    out = {"scores": scores, "classes": classes, "x": x, "y": y, "reg": values["reg"]}
    out["boxes"] = torch.cat((center - half, center + half), dim=2)
    for name in ("dep", "rot"):
        out[name] = values.get(f"{name}_sec", values[name])
    if out["dep"].shape[2] > 1:  # one depth for each class
        out["dep"] = out["dep"].gather(2, classes[..., None])
    return out | {name: values[name] for name in ("dim", "amodel_offset", "nuscenes_att", "velocity")}
