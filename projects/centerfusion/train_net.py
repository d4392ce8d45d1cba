"""Trains and evaluates 3D detection from cameras and radar; ``--help`` shows how."""

from steploop.engine import main
from steploop.projects.centerfusion import add_centerfusion_config
from steploop.projects.centerfusion.trainer import CenterFusionTrainer

if __name__ == "__main__":
    main(
        CenterFusionTrainer,
        add_centerfusion_config,
        description="Trains and evaluates 3D detection from cameras and radar.",
    )
