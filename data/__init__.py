"""The stream of samples: catalog, samplers, transforms and loaders."""

from .catalog import Catalog, DatasetCatalog, datasets_root
from .collate import collate
from .from_config import test_loader_from_config, train_loader_from_config
from .image import read_image
from .loader import TrainLoader, build_test_loader
from .mapped import MappedDataset, SampleError
from .samplers import InferenceSampler, StepBatchSampler, TrainingSampler, check_multiple
from .stream import Draw, StreamSampler, check_seed, sample_rng
from .transforms import (
    Compose,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    Resize,
    Seeded,
    ToTensor,
    Transform,
)

__all__ = [
    "Catalog",
    "Compose",
    "DatasetCatalog",
    "Draw",
    "InferenceSampler",
    "MappedDataset",
    "Pad",
    "RandomAffine",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "Resize",
    "SampleError",
    "Seeded",
    "StepBatchSampler",
    "StreamSampler",
    "ToTensor",
    "TrainLoader",
    "Transform",
    "TrainingSampler",
    "build_test_loader",
    "check_multiple",
    "check_seed",
    "collate",
    "datasets_root",
    "read_image",
    "sample_rng",
    "test_loader_from_config",
    "train_loader_from_config",
]
