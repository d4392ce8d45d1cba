from steploop.engine import hooks
from tiny import tiny_trainer


def test_the_first_steps_are_not_recorded():
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.IterationTimer()])
    trainer.train(0, 50)
    times = trainer.storage.history("time").values()
    assert len(times) == 48
    assert times[0][1] == 2
    assert all(seconds > 0 for seconds, _ in times)


def test_the_speed_is_logged(caplog):
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.IterationTimer()])
    with caplog.at_level("INFO"):
        trainer.train(0, 10)
    assert "Overall training speed: 8 iterations in 0:00:00" in caplog.text
    assert "Total training time: 0:00:00" in caplog.text


def test_a_run_shorter_than_the_warm_up_ends_without_a_speed(caplog):
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.IterationTimer()])
    with caplog.at_level("INFO"):
        trainer.train(0, 1)
    assert "Overall" not in caplog.text
