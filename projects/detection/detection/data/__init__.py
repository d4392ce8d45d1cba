"""The data of detectors: annotations, pipelines and loaders."""

from .coco import AnnotationError as AnnotationError
from .coco import Record as Record
from .coco import read_coco as read_coco
from .datasets import DATASET_REGISTRY as DATASET_REGISTRY
from .datasets import DetectionData as DetectionData
from .datasets import build_dataset as build_dataset
from .pipeline import STEP_REGISTRY as STEP_REGISTRY
from .pipeline import Pipeline as Pipeline
from .pipeline import PipelineMapper as PipelineMapper
from .pipeline import collate_padded as collate_padded
from .street import generate_streets as generate_streets
