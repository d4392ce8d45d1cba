"""What detections are worth."""

from .coco_evaluator import CocoEvaluator as CocoEvaluator
