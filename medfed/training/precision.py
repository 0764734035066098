"""Mixed precision of training (Micikevicius et al., ICLR 2018), with bfloat16 (Kalamkar et al., arXiv:1905.12322).

Weights, losses, gradients of weights and the optimizer stay float32; only convolutions and matrix products, and what
runs between them, are computed in bfloat16: 8 bits of mantissa, the range of float32, so that no loss is scaled. Used
only where the processor multiplies bfloat16 itself: emulated, a U-Net step takes 2 (AVX-512) to 8 times (AVX2) as long
as in float32.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def has_bfloat16() -> bool:
    """Whether this processor has instructions that multiply bfloat16 (x86: AVX512_BF16 or AMX)."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def forward_in(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """Run the forward pass inside the block in ``precision``; its backward pass follows by itself.

    One block per forward pass: the block keeps bfloat16 copies of the weights until its end, which a step would
    outdate. Evaluation never enters one. "bfloat16" means float32 on a processor without it; a GPU
    without it is refused by torch.
    """
    if precision == "float32" or (device.type == "cpu" and not has_bfloat16()):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
