"""What the ranks of the tests of evaluation do."""

import json
import logging
from pathlib import Path

import torch

from steploop.data import build_test_loader
from steploop.engine import ClassificationEvaluator, DatasetEvaluator, comm, inference_on_dataset
from tiny_project import TinyTrainer, tiny_cfg

SAMPLES = 21


def samples():
    generator = torch.Generator().manual_seed(1)
    return [{"x": torch.randn(6, generator=generator), "label": index % 6} for index in range(SAMPLES)]


class Dataset(torch.utils.data.Dataset):
    def __init__(self):
        self.samples = samples()

    def __len__(self):
        return SAMPLES

    def __getitem__(self, draw):
        sample = self.samples[draw.index]
        return {"x": sample["x"], "label": torch.tensor(sample["label"])}


class Alone(DatasetEvaluator):
    """Gathers nothing: counts the samples of its process, or returns the same everywhere."""

    def __init__(self, result):
        self.result = result

    def reset(self):
        self.count = 0

    def process(self, inputs, outputs):
        self.count += len(outputs)

    def evaluate(self):
        return {"figure": self.count if self.result is None else self.result}


class Fails(ClassificationEvaluator):
    def process(self, inputs, outputs):
        if comm.get_rank() == 1:
            raise MemoryError("cannot allocate the distances")
        super().process(inputs, outputs)


def loader():
    def collate(samples):
        return {name: torch.stack([sample[name] for sample in samples]) for name in ("x", "label")}

    return build_test_loader(
        Dataset(), batch_size=4, collate_fn=collate, rank=comm.get_rank(), world_size=comm.get_world_size()
    )


def evaluate(evaluator, data_loader=None):
    """Return the results, or the error as text, and the warnings."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    handler.setLevel(logging.WARNING)
    log = logging.getLogger("steploop")
    log.addHandler(handler)
    try:
        results = dict(inference_on_dataset(lambda batch: batch["x"], data_loader or loader(), evaluator))
    except (ValueError, RuntimeError, MemoryError) as error:
        results = f"{type(error).__name__}: {error}"
    finally:
        log.removeHandler(handler)
    return [results, lines]


def train(folder: str) -> None:
    torch.set_num_threads(1)
    seen = {
        "classification": evaluate(ClassificationEvaluator((1, 3))),
        "alone": evaluate(Alone(None)),
        "same": evaluate(Alone(0.5)),
        "fails": evaluate(Fails()),
        "half": evaluate(ClassificationEvaluator((1,)), Half(loader())),
    }
    Path(folder, f"{comm.get_rank()}of{comm.get_world_size()}.json").write_text(json.dumps(seen))


class Half:
    """A loader that gives the first batch of each process only."""

    def __init__(self, whole):
        self.whole, self.dataset = whole, whole.dataset

    def __len__(self):
        return 1

    def __iter__(self):
        yield next(iter(self.whole))


class FailingTrainer(TinyTrainer):
    """Its evaluation fails on rank 1, in the middle of a run."""

    @classmethod
    def build_evaluator(cls, cfg, dataset_name):
        return FailsInTraining()


class FailsInTraining(DatasetEvaluator):
    def process(self, inputs, outputs):
        if comm.get_rank() == 1:
            raise MemoryError("cannot allocate the distances")


def train_and_fail(folder: str) -> None:
    torch.set_num_threads(1)
    options = ("DATASETS.TEST", "('tiny',)", "TEST.EVAL_PERIOD", 3, "SOLVER.CHECKPOINT_PERIOD", 0)
    FailingTrainer(tiny_cfg(folder, *options, "TEST.IMS_PER_BATCH", 4, "WRITERS", "('json',)")).train()
