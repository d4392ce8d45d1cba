"""Metrics for experiment trackers: the writers "wandb" (Weights & Biases) and "mlflow" of the key WRITERS."""

from steploop.config import CfgNode
from steploop.engine import EventWriter

__all__ = ["mlflow_writer", "wandb_writer"]


def wandb_writer(cfg: CfgNode) -> EventWriter:
    """Return a writer for Weights & Biases; RuntimeError where `wandb` is not installed."""
    from .wandb_runs import WandbWriter

    return WandbWriter(cfg)


def mlflow_writer(cfg: CfgNode) -> EventWriter:
    """Return a writer for MLflow; RuntimeError where `mlflow` is not installed."""
    from .mlflow_runs import MLflowWriter

    return MLflowWriter(cfg)
