import pytest

from steploop.engine import DefaultTrainer
from steploop.engine.cli.script import config_and_trainer, load_script


@pytest.fixture
def script(tmp_path):
    def script(*lines):
        (tmp_path / "train.py").write_text("from steploop.engine import DefaultTrainer\n" + "\n".join(lines))
        return str(tmp_path / "train.py")

    return script


MINE = "class Mine(DefaultTrainer): pass"
KEYS = "def add_my_config(cfg):\n    cfg.MINE = 1"


def test_the_trainer_and_the_keys_are_those_of_the_script(script):
    trainer, add_keys = load_script(script(MINE, KEYS, "if __name__ == '__main__': raise SystemExit(3)"))
    assert trainer.__name__ == "Mine" and issubclass(trainer, DefaultTrainer)
    assert [function.__name__ for function in add_keys] == ["add_my_config"]


def test_a_script_without_a_class_of_its_own_trains_with_the_engines(script):
    assert load_script(script()) == (DefaultTrainer, [])


def test_several_trainers_are_an_error(script):
    with pytest.raises(ValueError, match="one trainer.*found: Mine, Other"):
        load_script(script(MINE, "class Other(DefaultTrainer): pass"))


def test_a_script_without_a_trainer_is_an_error(tmp_path):
    (tmp_path / "train.py").write_text("")
    with pytest.raises(ValueError, match="found: none"):
        load_script(tmp_path / "train.py")


def test_the_config_is_that_of_the_trainings_command_line(script):
    cfg, trainer = config_and_trainer(["--script", script(MINE, KEYS), "--seed", "4", "MINE", "2"])
    assert (cfg.MINE, cfg.SEED, trainer.__name__) == (2, 4, "Mine")


def test_an_unknown_key_without_a_script_tells_of_it():
    with pytest.raises(KeyError) as caught:
        config_and_trainer(["MINE", "2"])
    assert "--script" in caught.value.__notes__[0]
