"""What the ranks of the tests of hooks do: starting them takes longest, so they do all of it in one go."""

import json
from pathlib import Path

import torch
from torch import nn

from parallel_runs import Regression, part_of
from steploop.engine import (
    CallbackHook,
    EarlyStopping,
    EvalHook,
    LayerFreeze,
    SimpleTrainer,
    ValidationLoss,
    comm,
    create_ddp_model,
)

STEPS = 6


def batches():
    for step in range(10**9):
        yield part_of(step, comm.get_world_size(), comm.get_rank())


def trainer(model: nn.Module, **options) -> SimpleTrainer:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    return SimpleTrainer(create_ddp_model(model, **options), batches(), optimizer, 3)


def stop(folder: str) -> tuple[list, list]:
    """Stop when what only the main process measures gets no better; read metrics at other steps than those."""
    results = iter([3.0, 2.0, 1.0, 0.0])
    stopping = EarlyStopping(1, "set/mAP", patience=2)
    training = trainer(Regression())

    def evaluate():
        value = next(results)
        return {"set/mAP": value} if comm.is_main_process() else {}

    training.register_hooks([EvalHook(1, evaluate), stopping])
    training.load_state_dict({**training.state_dict(), "iteration": 0})
    training.train(1, STEPS)
    stopped = [training.completed_iter, training.stop_reason]
    state = comm.all_gather(training.state_dict())[0]
    again = trainer(Regression())
    again.register_hooks([EarlyStopping(1, "set/mAP", patience=2)])
    again.load_state_dict(state)
    again.train(again.iter + 1, STEPS)
    return stopped, [again.completed_iter, again.start_iter - 1]


def validate() -> list:
    """Measure on five batches, of which ranks have different numbers, each rank with statistics of its own."""
    torch.manual_seed(0)
    model = Regression()
    training = trainer(model)
    held_out = [part_of(100 + number, 4, 0) for number in range(5)]
    mine = held_out[comm.get_rank() :: comm.get_world_size()]
    training.register_hooks([ValidationLoss(2, training.model, mine)])
    training.train(0, 1)  # before the weights of one and two processes differ in rounding
    return training.storage.history("validation/total_loss").values()


def freeze(folder: str) -> list[bool]:
    """Freeze the first layer for three steps; tell in which steps it was still the same."""
    torch.manual_seed(0)
    model = Regression()
    before = model.layers[0].weight.detach().clone()
    same = []
    training = trainer(model, find_unused_parameters=True)

    def look(training):
        same.append(torch.equal(before, model.layers[0].weight))

    training.register_hooks([LayerFreeze(training.model, ["layers.0"], 3), CallbackHook(after_step=look)])
    training.train(0, STEPS)
    if comm.is_main_process():
        torch.save(model.state_dict(), Path(folder, f"weights{comm.get_world_size()}.pt"))
    return same


def train(folder: str) -> None:
    torch.set_num_threads(1)
    stopped, resumed = stop(folder)
    seen = {"stopped": stopped, "resumed": resumed, "validation": validate(), "frozen": freeze(folder)}
    Path(folder, f"{comm.get_rank()}of{comm.get_world_size()}.json").write_text(json.dumps(seen))
