"""Trains and evaluates person re-identification, also with fast-reid's config files; ``--help`` shows how."""

from steploop.engine import main
from steploop.projects.reid import add_reid_config
from steploop.projects.reid.fastreid.command_line import setup_reid_config
from steploop.projects.reid.trainer import ReidTrainer

if __name__ == "__main__":
    main(
        ReidTrainer,
        add_reid_config,
        read_config=setup_reid_config,
        description="Trains and evaluates person re-identification.",
    )
