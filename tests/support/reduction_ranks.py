"""What the ranks of tests/engine/metrics/test_reduction.py do."""

import json
from pathlib import Path

import torch

from steploop.engine import EventStorage, JSONWriter, comm, hooks
from steploop.engine.metrics.reduction import MetricReducer
from tiny import tiny_trainer


def reduce_spans(folder: str) -> None:
    """Reduce three spans of what each rank measured, and write what this rank got."""
    rank = comm.get_rank()
    reducer = MetricReducer()
    spans = []
    with EventStorage(0) as storage:
        for step in range(3):
            storage.iter = step
            storage.put_scalar("loss", torch.tensor(10.0 * rank + step))
            storage.put_scalar("time", 1.0 + rank, reduce="max")
            storage.put_scalar("own", float(rank))
            if rank == 1 and step == 1:
                storage.put_scalar("rare", torch.tensor(5.0))
        seen_before = sorted(storage.latest())
        spans.append(reducer(storage.local_values(), 0, 2, flag=rank))
        storage.set_reduced(spans[-1][0])
        # The second span: nothing of "rare"; names that are new, in another order on each rank.
        for step in range(3, 5):
            storage.iter = step
            storage.put_scalar("loss", torch.tensor(float("nan") if rank and step == 4 else float(step)))
            for name in ("late_a", "late_b") if rank else ("late_b", "late_a"):
                storage.put_scalar(name, torch.tensor(2.0 * rank), reduce="max" if name == "late_a" else "mean")
        spans.append(reducer(storage.local_values(), 3, 4))
        spans.append(reducer(storage.local_values(), 5, 5, flag=2 - rank))
    record = {"spans": spans, "seen_before": seen_before, "own": storage.latest()["own"][0]}
    Path(folder, f"rank{rank}.json").write_text(json.dumps(record))


def train_with_metrics(folder: str) -> None:
    """Train with hooks that put tensors at each hook point; write what each rank has in its storage."""
    rank = comm.get_rank()
    trainer = tiny_trainer(gather_metric_period=4)

    def put(name):
        return lambda trainer: trainer.storage.put_scalar(name, torch.tensor(float(rank + trainer.iter)))

    seen = {}
    trainer.register_hooks(
        [
            hooks.CallbackHook(before_step=put("before"), after_backward=put("backward"), after_step=put("after")),
            hooks.CallbackHook(
                after_step=lambda t: t.storage.put_scalar("put after", torch.tensor(float(rank + t.iter)), False)
            ),
            hooks.CallbackHook(after_step=lambda t: seen.update({t.iter: t.storage.latest().get("before")})),
        ]
    )
    if rank == 0:
        writer = JSONWriter(Path(folder, "metrics.json"))
        trainer.register_hooks([hooks.PeriodicWriter([writer], 4)])
    trainer.train(0, 10)
    points = {name: trainer.storage.history(name).values() for name in ("before", "backward", "after")}
    record: dict[str, object] = {"points": points, "seen": seen}
    if rank == 0:
        written = [json.loads(line) for line in Path(folder, "metrics.json").read_text().splitlines()]
        record["lines"] = [[line["iteration"], line["put after"]] for line in written if "put after" in line]
    Path(folder, f"rank{rank}.json").write_text(json.dumps(record))


def stop_and_fail(folder: str) -> None:
    """One rank asks to stop; then, in another run, one rank's loss is NaN."""
    rank = comm.get_rank()
    trainer = tiny_trainer(gather_metric_period=4)
    trainer.register_hooks(
        [hooks.CallbackHook(before_step=lambda t: rank == 1 and t.iter == 5 and t.request_stop("mine", requeue=True))]
    )
    trainer.train(0, 20)
    record = {"iter": trainer.iter, "reason": trainer.stop_reason, "requeue": trainer.must_requeue}
    trainer = tiny_trainer(gather_metric_period=4)

    def poison(trainer):
        if rank == 1 and trainer.iter == 6:
            trainer.model.layer.weight.data.fill_(float("nan"))

    trainer.register_hooks([hooks.CallbackHook(before_step=poison)])
    try:
        trainer.train(0, 20)
    except FloatingPointError as error:
        record |= {"error": str(error), "failed_at": trainer.iter}
    Path(folder, f"rank{rank}.json").write_text(json.dumps(record))


def all_of_it(folder: str) -> None:
    for function in (reduce_spans, train_with_metrics, stop_and_fail):
        path = Path(folder, function.__name__)
        path.mkdir(exist_ok=True)
        function(str(path))
