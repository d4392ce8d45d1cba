"""The parts that read a whole config: DefaultTrainer, the list of its hooks, DefaultPredictor."""

from .config import build_default_config as build_default_config
from .predictor import DefaultPredictor as DefaultPredictor
from .pretrained import load_pretrained as load_pretrained
from .trainer import DefaultTrainer as DefaultTrainer
