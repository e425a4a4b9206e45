"""Part 6: how much of a second GPU arrives: steps of data-parallel training on one and on two devices."""

import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from context import Context, synchronize
from torch import distributed, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from noisyflywheel.backbones import PreActResNet18, SmallResNet


def efficiency(context: Context) -> dict[str, Any]:
    """Pictures per second on one and two devices, each with its own batch.

    On the CPU two processes stand in for two devices: that shows that it runs, not how fast.
    """
    batch, steps = (16, 2) if context.tiny else (512, 50)
    rates = {}
    for world in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            arguments = (world, context.device.type, context.tiny, batch, steps, folder)
            if world == 1:
                worker(0, *arguments)
            else:
                mp.spawn(process, args=arguments, nprocs=world)
            seconds = max(float(path.read_text()) for path in Path(folder).glob("*.seconds"))
        rates[world] = world * batch * steps / seconds
    found = {"batch": batch, "one": rates[1], "two": rates[2], "efficiency": rates[2] / rates[1] / 2}
    return found | {"net": "SmallResNet" if context.tiny else "PreActResNet18"}


def process(*arguments: Any) -> None:
    """`worker` in a process of its own, which ends at once.

    torch keeps threads of a group alive that DistributedDataParallel has used, and a process that ends in the usual way
    beside them is aborted now and then.
    """
    worker(*arguments)
    os._exit(0)


def worker(rank: int, world: int, kind: str, tiny: bool, batch: int, steps: int, folder: str) -> None:
    """Train on one device and leave the seconds of the timed steps in a file."""
    torch.set_num_threads(1)
    device = torch.device(kind, rank) if kind == "cuda" else torch.device("cpu")
    backend, meeting = ("nccl" if kind == "cuda" else "gloo"), f"file://{folder}/meeting"
    distributed.init_process_group(
        backend, init_method=meeting, rank=rank, world_size=world, timeout=timedelta(minutes=1)
    )
    try:
        net = (SmallResNet(width=8) if tiny else PreActResNet18()).to(device, memory_format=torch.channels_last)
        seconds = train(DistributedDataParallel(net), device, batch, steps)
        Path(folder, f"{rank}.seconds").write_text(str(seconds))
        distributed.barrier()  # one that leaves while the other still talks to it may abort it
    finally:
        distributed.destroy_process_group()


def train(net: nn.Module, device: torch.device, batch: int, steps: int) -> float:
    """Seconds of ``steps`` steps after a few to warm up, bf16 on a GPU."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    x = torch.randn(batch, 3, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    y = torch.arange(batch, device=device) % 10
    start = 0.0
    for step in range(steps + steps // 5 + 1):
        if step == steps // 5 + 1:
            synchronize(device)
            start = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = cross_entropy(net(x).float(), y)
        loss.backward()
        optimizer.step()
    synchronize(device)
    return time.perf_counter() - start
