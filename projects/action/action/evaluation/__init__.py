"""Figures of action recognition."""

from .evaluator import ActionEvaluator as ActionEvaluator
from .metrics import average_views as average_views
from .metrics import confusion_matrix as confusion_matrix
from .metrics import mean_average_precision as mean_average_precision
from .metrics import mean_class_accuracy as mean_class_accuracy
from .metrics import mmit_mean_average_precision as mmit_mean_average_precision
from .metrics import top_k_accuracy as top_k_accuracy
