"""Action recognition: SlowFast and SlowOnly on videos and folders of frames."""

from .config import add_action_config as add_action_config
from .mm_config import action_from_mm as action_from_mm
