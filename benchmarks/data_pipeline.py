"""Prints how many images a second come out of the training pipeline of re-ID, beside a plain one.

Makes JPEGs of 128 x 64 pixels like Market-1501's, and brings them to 256 x 128 with flip, pad, crop and erasing:

    plain                Pillow, float tensors, normalised, torch's DataLoader with its default collate
    ours                 build_reid_train_loader: uint8 tensors; the model normalises them, on its device
    cache, first epoch   the same with DATALOADER.CACHE, while the cache fills
    cache                ... and when it is full

"+ normalised" adds what the model does then, on this CPU and in the main process: the same floats that the plain
pipeline ends with. Each round measures all of them in turn. A ratio compares images a second with the plain pipeline's
of the same round; the table holds medians, with the smallest and the largest in brackets. Before that it is checked
that all give the same pixels, at the same draws.

    OMP_NUM_THREADS=1 python benchmarks/data_pipeline.py
    OMP_NUM_THREADS=1 python benchmarks/data_pipeline.py --rounds 9 --images 4096 --workers 0 2 --json data.json
"""

import argparse
import itertools
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from tabulate import tabulate
from torch.utils.data import DataLoader, Dataset

from steploop.config import CfgNode, get_cfg
from steploop.data import Draw, StepBatchSampler, TrainingSampler, sample_rng
from steploop.projects.reid import add_reid_config
from steploop.projects.reid.data import ReidDataset, ReidItem, build_reid_train_loader

SMALL, LARGE, PADDING = (128, 64), (256, 128), 10
SEED = 1
PLAIN, OURS, FIRST, CACHED = "plain", "ours", "cache, first epoch", "cache"
NORMALISED = " + normalised"


def make_image(rng: np.random.Generator) -> Image.Image:
    """Return an image with large patches, smaller ones and noise; its JPEG has the 2 to 4 kB of a photograph."""
    height, width = SMALL
    image = Image.new("RGB", (width, height))
    for cells, weight in ((4, 1.0), (16, 0.35), (64, 0.05)):
        patches = rng.integers(0, 256, size=(2 * cells, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC)
        image = Image.blend(image, layer, weight)
    return image


def make_dataset(folder: Path, count: int) -> ReidDataset:
    """Write `count` images and return them as a data set."""
    rng = np.random.default_rng(SEED)
    items = []
    for number in range(count):
        path = folder / f"{number:06d}.jpg"
        make_image(rng).save(path, quality=90)
        items.append(ReidItem(str(path), number // 4, number % 4))
    return ReidDataset("benchmark", items, [], [])


def make_cfg(batch_size: int, workers: int, cache: int) -> CfgNode:
    """Return the config of our pipeline."""
    cfg = get_cfg()
    add_reid_config(cfg)
    cfg.MODEL.DEVICE = "cpu"
    cfg.INPUT.SIZE_TRAIN = list(LARGE)
    cfg.INPUT.PADDING.SIZE = PADDING
    cfg.DATALOADER.SAMPLER_TRAIN = "TrainingSampler"
    cfg.DATALOADER.NUM_WORKERS = workers
    cfg.DATALOADER.CACHE = cache
    cfg.SOLVER.IMS_PER_BATCH = batch_size
    return cfg


class PlainDataset(Dataset[Any]):
    """The pipeline as one writes it at first, with what is constant made once.

    Args:
        items: images and identities.
        cfg: its PIXEL_MEAN and PIXEL_STD are used.
        exact: draw each sample's random numbers as our pipeline does, to compare pixels. Otherwise all come from one
            generator, which costs less.
    """

    def __init__(self, items: Sequence[ReidItem], cfg: CfgNode, *, exact: bool) -> None:
        self.items = items
        self.mean = torch.tensor(cfg.MODEL.PIXEL_MEAN).view(3, 1, 1) / 255
        self.std = torch.tensor(cfg.MODEL.PIXEL_STD).view(3, 1, 1) / 255
        self.exact = exact
        self.rng = np.random.default_rng(SEED)

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        """Return the sample."""
        item = self.items[draw.index]
        rng = sample_rng(SEED, draw.position) if self.exact else self.rng
        height, width = LARGE
        image = Image.open(item.img_path).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        if rng.random() < 0.5:
            image = ImageOps.mirror(image)
        image = ImageOps.expand(image, PADDING)
        left, top = int(rng.integers(2 * PADDING + 1)), int(rng.integers(2 * PADDING + 1))
        image = image.crop((left, top, left + width, top + height))
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div_(255)
        tensor.sub_(self.mean).div_(self.std)
        if rng.random() < 0.5:
            erase(tensor, rng)
        return {"images": tensor, "targets": item.pid, "camids": item.camid, "img_paths": item.img_path}


def erase(image: torch.Tensor, rng: np.random.Generator) -> None:
    """Set a rectangle to the mean, in place."""
    _, height, width = image.shape
    while True:
        area = rng.uniform(0.02, 0.4) * height * width
        aspect = math.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3)))
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < h < height and 0 < w < width:
            top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
            image[:, top : top + h, left : left + w] = 0.0
            return


class Bench:
    """Measures pipelines over the same images.

    Args:
        dataset: the images.
        batch_size: of every pipeline.
        cache: DATALOADER.CACHE, in MiB.
    """

    def __init__(self, dataset: ReidDataset, batch_size: int, cache: int) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.cache = cache
        self.batches_per_epoch = len(dataset.train) // batch_size
        cfg = make_cfg(batch_size, 0, 0)
        self.mean = torch.tensor(cfg.MODEL.PIXEL_MEAN).view(3, 1, 1)
        self.std = torch.tensor(cfg.MODEL.PIXEL_STD).view(3, 1, 1)

    def plain(self, workers: int, *, exact: bool = False) -> Any:
        """Return a new loader of the plain pipeline."""
        cfg = make_cfg(self.batch_size, workers, 0)
        sampler = StepBatchSampler(TrainingSampler(len(self.dataset.train), seed=SEED), self.batch_size)
        plain = PlainDataset(self.dataset.train, cfg, exact=exact)
        return DataLoader(plain, batch_sampler=sampler, num_workers=workers)

    def ours(self, workers: int, cache: int = 0) -> Any:
        """Return a new loader of our pipeline."""
        return build_reid_train_loader(make_cfg(self.batch_size, workers, cache), self.dataset, seed=SEED)

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Return what the model makes of a batch."""
        return images.float().sub_(self.mean).div_(self.std)

    def rates(self, loader: Any, parts: Sequence[str]) -> Iterator[tuple[str, float]]:
        """Yield the images a second of one epoch for each part; its first batch, with the start, is left out."""
        batches = iter(loader)
        for part in parts:
            next(batches)
            start = time.perf_counter()
            for batch in itertools.islice(batches, self.batches_per_epoch - 1):
                if part.endswith(NORMALISED):
                    self.normalise(batch["images"])
            seconds = time.perf_counter() - start
            yield part, (self.batches_per_epoch - 1) * self.batch_size / seconds
        if hasattr(loader, "close"):
            loader.close()

    def round(self, workers: int) -> dict[str, float]:
        """Return the images a second of each pipeline, measured one after another."""
        return {
            **dict(self.rates(self.plain(workers), [PLAIN])),
            **dict(self.rates(self.ours(workers), [OURS, OURS + NORMALISED])),
            **dict(self.rates(self.ours(workers, self.cache), [FIRST, CACHED, CACHED + NORMALISED])),
        }

    def check(self, workers: int) -> None:
        """Compare two epochs of all pipelines.

        Raises:
            RuntimeError: they do not give the same pixels.
        """
        loaders = [self.plain(workers, exact=True), self.ours(workers), self.ours(workers, self.cache)]
        for plain, ours, cached in itertools.islice(zip(*loaders), 2 * self.batches_per_epoch):
            if not torch.equal(ours["images"], cached["images"]):
                raise RuntimeError(f"the cache changes pixels, with {workers} workers")
            # What is erased is the mean, rounded to 8 bits in ours; a step of one pixel is 0.017.
            if not torch.allclose(plain["images"], self.normalise(ours["images"]), rtol=0, atol=0.01):
                raise RuntimeError(f"the plain pipeline does not do the same work, with {workers} workers")
        for loader in loaders[1:]:
            loader.close()


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return the median and the spread."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summarise(rounds: dict[int, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """Return a row for each number of workers and pipeline."""
    return [
        {
            "workers": workers,
            "pipeline": name,
            "images_per_second": summary([one[name] for one in measured]),
            "ratio": summary([one[name] / one[PLAIN] for one in measured]),
        }
        for workers, measured in rounds.items()
        for name in measured[0]
    ]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as text."""
    lines = []
    for row in rows:
        rate, ratio = row["images_per_second"], row["ratio"]
        speed = f"{rate['median']:,.0f} ({rate['min']:,.0f}..{rate['max']:,.0f})"
        times = f"{ratio['median']:.2f} ({ratio['min']:.2f}..{ratio['max']:.2f})"
        lines.append((row["workers"], row["pipeline"], speed, times))
    return tabulate(lines, headers=["workers", "pipeline", "images / s", "times plain"], tablefmt="pipe")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="measurements of each (default: 5)")
    parser.add_argument("--images", type=int, default=2048, metavar="N", help="images, an epoch (default: 2048)")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="images of a batch (default: 64)")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], metavar="N", help="(default: 0 2)")
    parser.add_argument("--cache", type=int, default=512, metavar="MIB", help="DATALOADER.CACHE (default: 512)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all measurements here")
    return parser


def main() -> None:
    """Measure, and print a table."""
    parser = build_parser()
    args = parser.parse_args()
    if args.images % args.batch_size or args.images < 2 * args.batch_size or args.rounds < 1:
        parser.error("expected --images to be at least twice --batch-size and a multiple of it, and --rounds >= 1")
    torch.set_num_threads(1)  # as in a worker
    rounds: dict[int, list[dict[str, float]]] = {workers: [] for workers in args.workers}
    with tempfile.TemporaryDirectory() as folder:
        dataset = make_dataset(Path(folder), args.images)
        size = statistics.mean(Path(item.img_path).stat().st_size for item in dataset.train)
        bench = Bench(dataset, args.batch_size, args.cache)
        for workers in args.workers:
            bench.check(workers)
        print("all pipelines give the same pixels", file=sys.stderr, flush=True)
        for number in range(args.rounds):
            for workers in args.workers:
                rounds[workers].append(bench.round(workers))
            print(f"round {number + 1} of {args.rounds} done", file=sys.stderr, flush=True)
    rows = summarise(rounds)
    print(
        f"{os.cpu_count()} cores; {args.images:,} JPEGs of {size:,.0f} bytes on average, batches of {args.batch_size}, "
        f"medians of {args.rounds} rounds\n\n{table(rows)}"
    )
    if args.json is not None:
        settings = {**vars(args), "json": str(args.json), "cores": os.cpu_count(), "bytes_per_image": size}
        args.json.write_text(json.dumps({"settings": settings, "rows": rows, "rounds": rounds}, indent=2) + "\n")


if __name__ == "__main__":
    main()
