"""The detectors and their parts."""

from .build import build_detector as build_detector
from .detectors import Detector as Detector
from .detectors import Pixels as Pixels
from .detectors import SingleStageDetector as SingleStageDetector
from .detectors import TwoStageDetector as TwoStageDetector
from .registry import PART_REGISTRY as PART_REGISTRY
from .structures import Detections as Detections
