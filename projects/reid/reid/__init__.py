"""Person re-identification: all of steploop that knows what an identity is."""

from .config import add_reid_config

__all__ = ["add_reid_config"]
