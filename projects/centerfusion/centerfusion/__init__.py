"""CenterFusion: 3D detection from cameras and radar on data in nuScenes' format (arXiv:2011.04841)."""

from .config import add_centerfusion_config

__all__ = ["add_centerfusion_config"]
