"""Code that users write around DefaultTrainer, also the one that was written for detectron2's."""

import torch

from steploop.engine import DefaultTrainer, HookBase, SimpleTrainer, hooks
from tiny_project import TinyTrainer, tiny_cfg


class Records(HookBase):
    def __init__(self):
        self.steps = []

    def after_step(self):
        self.steps.append(self.trainer.iter)


def trained(cls, folder, *overrides):
    trainer = cls(tiny_cfg(folder, *overrides))
    trainer.resume_or_load(resume=False)
    trainer.train()
    return trainer


def test_a_step_of_its_own_is_run(tmp_path):
    class Trainer(TinyTrainer):
        steps = 0

        def run_step(self):
            self.steps += 1
            super().run_step()

    assert trained(Trainer, tmp_path).steps == 10


def test_batches_of_its_own_are_trained_on(tmp_path):
    class Trainer(TinyTrainer):
        def next_batch(self):
            return {"x": torch.full_like(super().next_batch()["x"], 7.0)}

        def forward(self, batch):
            assert torch.all(batch["x"] == 7.0)
            self.seen = getattr(self, "seen", 0) + 1
            return super().forward(batch)

    assert trained(Trainer, tmp_path).seen == 10


def test_a_forward_pass_of_its_own_gives_the_losses(tmp_path):
    class Trainer(TinyTrainer):
        def forward(self, batch):
            losses = super().forward(batch)
            return {"loss": 0.0 * losses["loss"] + 3.0}

    trainer = trained(Trainer, tmp_path, "LOG_PERIOD", 1)
    assert trainer.storage.history("total_loss").latest() == 3.0


def test_a_hook_is_inserted_before_the_last_one(tmp_path):
    class Trainer(TinyTrainer):
        def build_hooks(self):
            found = super().build_hooks()
            self.mine = Records()
            found.insert(-1, self.mine)
            found.insert(-1, hooks.EvalHook(5, lambda: {"mine": 1.0}))
            return found

    trainer = trained(Trainer, tmp_path)
    assert trainer.mine.steps == list(range(10))
    names = [type(hook).__name__ for hook in trainer.hooks]
    assert names[-2:] == ["PeriodicWriter", "PeriodicCheckpointer"]
    assert trainer.storage.history("mine").values() == [(1.0, 4), (1.0, 10)]


def test_the_inner_trainer_of_detectron2_is_the_trainer(tmp_path):
    trainer = TinyTrainer(tiny_cfg(tmp_path))
    assert trainer._trainer is trainer
    assert isinstance(trainer, SimpleTrainer)
    assert trainer._trainer.data_loader is trainer.data_loader
    assert trainer._trainer.model is trainer.model and trainer._trainer.optimizer is trainer.optimizer
    try:
        trainer._trainer = None
    except AttributeError:
        return
    raise AssertionError("_trainer can be set")


def test_a_loop_of_its_own_around_a_simple_trainer(tmp_path):
    model = torch.nn.Linear(3, 1)

    class Losses(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = model

        def forward(self, batch):
            return {"loss": self.layer(batch).square().mean()}

    def train_loop(steps):
        trainer = SimpleTrainer(Losses(), iter(torch.ones(100, 4, 3)), torch.optim.SGD(model.parameters(), lr=0.1))
        record = Records()
        trainer.register_hooks([record, hooks.EvalHook(2, lambda: {"a": float(len(record.steps))})])
        trainer.train(0, steps)
        return record.steps

    assert train_loop(4) == [0, 1, 2, 3]


def test_the_users_own_generator_is_not_closed():
    def batches():
        while True:
            yield torch.ones(4, 3)

    loader = batches()
    layer = torch.nn.Linear(3, 1)

    class Losses(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, batch):
            return {"loss": self.layer(batch).square().mean()}

    trainer = SimpleTrainer(Losses(), loader, torch.optim.SGD(layer.parameters(), lr=0.1))
    for _ in range(2):
        trainer.train(0, 3)
        assert trainer.iter == 3
    next(loader)


def test_a_trainer_from_a_notebook_needs_no_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = tiny_cfg("", "SEED", -1)
    cfg.freeze()
    trainer = TinyTrainer(cfg)
    trainer.train()
    assert trainer.cfg.SEED >= 0 and cfg.SEED == -1
    assert {path.name for path in tmp_path.iterdir()} == {"output"}
    assert (tmp_path / "output" / "default" / "model_final.pth").is_file()


def test_default_trainer_is_one_class(tmp_path):
    assert DefaultTrainer.__mro__[1] is SimpleTrainer
    state = TinyTrainer(tiny_cfg(tmp_path)).state_dict()
    assert set(state["_trainer"]) == {"iteration", "optimizer"}
