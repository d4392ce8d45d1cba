"""Re-ID data: the Market-1501 layout, P x K sampling and the loaders."""

from .build import (
    ReidMapper,
    build_reid_test_loader,
    build_reid_train_loader,
    build_test_transforms,
    build_train_transforms,
)
from .dataset import ReidDataset, each_dataset_read_once, get_dataset, get_train_dataset, merge_train
from .identity_sampler import IdentitySampler
from .items import ReidItem
from .market1501 import read_market1501
from .synthetic import generate_pedestrians

__all__ = [
    "IdentitySampler",
    "ReidDataset",
    "ReidItem",
    "ReidMapper",
    "build_reid_test_loader",
    "build_reid_train_loader",
    "build_test_transforms",
    "build_train_transforms",
    "each_dataset_read_once",
    "generate_pedestrians",
    "get_dataset",
    "get_train_dataset",
    "merge_train",
    "read_market1501",
]
