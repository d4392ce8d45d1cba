"""Trains and evaluates person re-identification; ``--help`` shows how."""

from steploop.engine import main
from steploop.projects.reid import add_reid_config
from steploop.projects.reid.trainer import ReidTrainer

if __name__ == "__main__":
    main(ReidTrainer, add_reid_config, description="Trains and evaluates person re-identification.")
