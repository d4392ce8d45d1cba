"""The stream of samples: catalog, samplers, transforms and loaders."""

from steploop.config.nested import map_tensors

from .build_sampler import SAMPLER_REGISTRY, build_train_sampler
from .cache import ImageCache
from .catalog import Catalog, DatasetCatalog, datasets_root
from .collate import collate
from .config import add_sampler_config
from .from_config import build_train_loader, test_loader_from_config, train_loader_from_config
from .grouped import GroupSampler, aspect_ratio_groups
from .image import read_image
from .loader import TrainLoader, build_test_loader
from .mapped import MappedDataset, SampleError
from .prefetch import Prefetcher, is_on_gpu
from .repeat_factor import RepeatFactorTrainingSampler, repeat_factors
from .resize import Resize, ResizeToTensor, ToTensor
from .samplers import InferenceSampler, StepBatchSampler, TrainingSampler, check_multiple
from .stream import Draw, StreamSampler, check_seed, run_rng, sample_rng
from .transforms import (
    Compose,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    Seeded,
    Transform,
)
from .weighted import RandomSubsetTrainingSampler, WeightedTrainingSampler
from .wrappers import ClassBalancedDataset, ConcatDataset, RandomSubset, RepeatDataset, Subset

__all__ = [
    "SAMPLER_REGISTRY",
    "Catalog",
    "ClassBalancedDataset",
    "Compose",
    "ConcatDataset",
    "DatasetCatalog",
    "Draw",
    "GroupSampler",
    "ImageCache",
    "InferenceSampler",
    "MappedDataset",
    "Pad",
    "Prefetcher",
    "RandomAffine",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomSubset",
    "RandomSubsetTrainingSampler",
    "RepeatDataset",
    "RepeatFactorTrainingSampler",
    "Resize",
    "ResizeToTensor",
    "SampleError",
    "Seeded",
    "StepBatchSampler",
    "StreamSampler",
    "Subset",
    "ToTensor",
    "TrainLoader",
    "Transform",
    "TrainingSampler",
    "WeightedTrainingSampler",
    "add_sampler_config",
    "aspect_ratio_groups",
    "build_test_loader",
    "build_train_loader",
    "build_train_sampler",
    "check_multiple",
    "check_seed",
    "collate",
    "datasets_root",
    "is_on_gpu",
    "map_tensors",
    "read_image",
    "repeat_factors",
    "run_rng",
    "sample_rng",
    "test_loader_from_config",
    "train_loader_from_config",
]
