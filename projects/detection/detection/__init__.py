"""Object detection: MMDetection's Faster R-CNN and RetinaNet, with its configs and its checkpoints."""

from .config import add_detection_config as add_detection_config
from .mm_config import detection_from_mm as detection_from_mm
