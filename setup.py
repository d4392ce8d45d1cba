"""Maps the repository's folders to the packages below the `steploop` namespace."""

import os
import sys
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def discover() -> dict[str, str]:
    """Return {package: folder}; a new project is found without an edit here."""
    folders = {f"steploop.{name}": name for name in ("config", "engine", "modeling", "data")}
    for init in sorted(ROOT.glob("projects/*/*/__init__.py")):
        package = init.parent
        if package.name == package.parent.name:  # projects/reid/reid -> steploop.projects.reid
            folders[f"steploop.projects.{package.name}"] = package.relative_to(ROOT).as_posix()
            configs = package.parent / "configs"
            if configs.is_dir():
                folders[f"steploop.projects.{package.name}.configs"] = configs.relative_to(ROOT).as_posix()
    return folders


def entry_points() -> dict[str, list[str]]:
    """Return {group: ["name = module:function"]} of the entry_points.txt of all projects."""
    files = ConfigParser(delimiters="=", interpolation=None)
    files.optionxform = str  # names keep their case
    files.read(sorted(ROOT.glob("projects/*/entry_points.txt")), encoding="utf-8")
    return {group: [f"{name} = {place}" for name, place in files[group].items()] for group in files.sections()}


def link(package_dir: dict[str, str]) -> None:
    """Make the links through which mypy and editors find the packages; they cannot follow an editable install."""
    for name, folder in package_dir.items():
        place = ROOT.joinpath(".links", *name.split("."))
        if place.is_symlink() or name.endswith(".configs"):
            continue
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(os.path.relpath(ROOT / folder, place.parent), target_is_directory=True)
        except OSError as error:  # the installed package works without
            print(f"editors will not find {name}: {error}", file=sys.stderr)


package_dir = discover()
link(package_dir)
packages = [
    name
    for base, folder in package_dir.items()
    for name in [base, *(f"{base}.{sub}" for sub in find_packages(str(ROOT / folder)))]
]

setup(
    packages=packages,
    package_dir=package_dir,
    package_data={"": ["*.yaml", "py.typed"]},
    entry_points=entry_points(),
)
