"""Where models are trained and evaluated: on the CPU, or on CUDA GPUs.

It is a property of a machine, not of an experiment: a site's own configuration names it (``device``), or
``medfed simulate --device``, never the scenario. Images, weights that travel, random draws and whatever the server does
stay on the CPU; a model and its batches lie on the device. Bits differ between devices.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from medfed.errors import DeviceError

CPU = torch.device("cpu")

_current: ContextVar[torch.device] = ContextVar("device", default=CPU)


def current_device() -> torch.device:
    """Where a model belongs that is made here and now."""
    return _current.get()


@contextmanager
def computing_on(device: torch.device) -> Iterator[None]:
    """Inside the block models are made on ``device``.

    On a GPU, cuDNN and cuBLAS keep to algorithms that give the same bits each time, and float32 is float32, not TF32.
    """
    token = _current.set(device)
    try:
        if device.type == CPU.type:
            yield
            return
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts; NVIDIA's own advice
        # enabled: torch's own default for the length of such a block is off
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        _current.reset(token)


@contextmanager
def seeded_layers(device: torch.device, seed: int) -> Iterator[None]:
    """Inside the block layers that draw (dropout), on the CPU or on ``device``, do so from ``seed``; then as before.

    Not :func:`torch.manual_seed`, which takes 100 times as long: it seeds absent devices, too.
    """
    generators = [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or 0])
    states = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(seed)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def devices(name: str) -> tuple[torch.device, ...]:
    """What ``cpu``, ``cuda`` (all GPUs) or ``cuda:1`` (the second) stands for; never empty.

    Raises:
        DeviceError: it is none of these, or this machine does not have it.
    """
    if name == "cpu":
        return (CPU,)
    kind, _, number = name.partition(":")
    if kind != "cuda" or (number and not number.isdecimal()) or name.endswith(":"):
        raise DeviceError(f'device: expected "cpu", "cuda" or "cuda:NUMBER", got "{name}"')
    count = torch.cuda.device_count()
    if not count:
        build = f"with CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        raise DeviceError(
            f'device: got "{name}", but torch {torch.__version__}, built {build}, finds no GPU; use "cpu"'
        )
    if number and int(number) >= count:
        raise DeviceError(f'device: got "{name}", but this machine has {count} GPU(s), counted from 0')
    return tuple(torch.device("cuda", int(number) if number else place) for place in range(1 if number else count))
