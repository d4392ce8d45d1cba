"""What knows a whole config: DefaultTrainer, the list of its hooks, DefaultPredictor."""

from .predictor import DefaultPredictor as DefaultPredictor
from .trainer import DefaultTrainer as DefaultTrainer
