"""Trains and evaluates object detectors; ``--help`` shows how."""

from steploop.engine import main
from steploop.projects.detection import add_detection_config, detection_from_mm
from steploop.projects.detection.trainer import DetectionTrainer

if __name__ == "__main__":
    main(
        DetectionTrainer,
        add_detection_config,
        description="Trains and evaluates object detectors.",
        from_mm=detection_from_mm,
    )
