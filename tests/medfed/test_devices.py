"""Which device is asked for. Oracles: the lines that a user reads; ``placement.py`` for what lies where."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from flwr.app import Context, RecordDict

from client.site import site_device
from medfed.devices import CPU, computing_on, current_device, devices, seeded_layers
from medfed.errors import DeviceError


def test_all_of_a_step_lies_on_the_device_of_the_model() -> None:
    """In a process of its own: a pretended device cannot be forgotten."""
    file = Path(__file__).with_name("placement.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:]


def _context(**config: str) -> Context:
    return Context(1, 1, dict(config), RecordDict(), {})


def test_a_site_names_its_device() -> None:
    assert site_device(_context(site="a")) == site_device(_context(site="a", device="cpu")) == CPU
    assert current_device() == CPU


def test_on_a_gpu_cudnn_is_on_and_repeats_its_bits() -> None:
    """Naive: torch's context manager of these flags turns cuDNN off unless it is told to leave it on."""
    before = torch.backends.cudnn.enabled
    with computing_on(torch.device("cuda")):
        assert torch.backends.cudnn.enabled
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.enabled == before


def test_layers_draw_from_the_seed_on_the_gpu_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Naive: dropout on a GPU draws from a generator that nobody seeds. Here two of the CPU stand for those of GPUs."""
    gpus = (torch.Generator().manual_seed(5), torch.Generator().manual_seed(5))
    monkeypatch.setattr(torch.cuda, "default_generators", gpus)
    expected = torch.rand(3, generator=torch.Generator().manual_seed(9))
    outside = torch.rand(2, 3, generator=torch.Generator().manual_seed(5))
    here = torch.get_rng_state()
    with seeded_layers(torch.device("cuda", 1), 9):
        assert torch.equal(torch.rand(3), expected)
        assert torch.equal(torch.rand(3, generator=gpus[1]), expected)
    assert torch.equal(torch.get_rng_state(), here)
    assert all(torch.equal(torch.rand(2, 3, generator=gpu), outside) for gpu in gpus)


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", ""])
def test_no_device_has_such_a_name(name: str) -> None:
    with pytest.raises(DeviceError, match='expected "cpu", "cuda" or "cuda:NUMBER"'):
        devices(name)


def test_without_a_gpu_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(DeviceError, match=r'got "cuda", but torch .* finds no GPU; use "cpu"'):
        devices("cuda")


def test_cuda_is_all_gpus_or_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices("cuda") == (torch.device("cuda", 0), torch.device("cuda", 1))
    assert devices("cuda:1") == (torch.device("cuda", 1),)
    with pytest.raises(DeviceError, match="has 2 GPU"):
        devices("cuda:2")
