"""The output maps of the network and the small convolution stacks that make them."""

from dataclasses import dataclass

from torch import nn

# Initial score of a heat map's cell: sigmoid(-4.6) is about 0.01 (arXiv:1708.02002).
PRIOR_BIAS = -4.6

PRIMARY = {"hm": 10, "reg": 2, "wh": 2, "dep": 1, "rot": 8, "dim": 3, "amodel_offset": 2}
FROM_RADAR = {"dep_sec": 1, "rot_sec": 8}
MOTION = {"nuscenes_att": 8, "velocity": 3}


@dataclass(frozen=True)
class HeadNames:
    """Which output maps a network has, {name: channels}; the order is that of the published state dict."""

    primary: dict[str, int]
    secondary: dict[str, int]

    @classmethod
    def of(cls, radar: bool) -> "HeadNames":
        """Return the maps of CenterFusion (radar), or of its CenterNet baseline."""
        if radar:
            return cls(dict(PRIMARY), {**FROM_RADAR, **MOTION})
        return cls({**PRIMARY, **MOTION}, {})


def build_head(name: str, in_channels: int, hidden: int, out_channels: int, num_hidden: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution, further 1x1 ones, and a 1x1 one to the output, with ReLU between them.

    Biases start at 0, those of "hm" at `PRIOR_BIAS`.

    Args:
        name: of the output map.
        in_channels: channels of the input.
        hidden: channels of the hidden layers.
        out_channels: channels of the output map.
        num_hidden: number of hidden layers, at least 1.
    """
    layers: list[nn.Module] = [nn.Conv2d(in_channels, hidden, 3, padding=1), nn.ReLU(inplace=True)]
    for _ in range(num_hidden - 1):
        layers += [nn.Conv2d(hidden, hidden, 1), nn.ReLU(inplace=True)]
    last = nn.Conv2d(hidden, out_channels, 1)
    layers.append(last)
    assert last.bias is not None
    if name == "hm":
        nn.init.constant_(last.bias, PRIOR_BIAS)
    else:
        for layer in layers:
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)
