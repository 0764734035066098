"""Which entries of a model's state dict are trained, and which belong to normalization."""

from torch import nn

_BATCH_NORM = nn.modules.batchnorm._BatchNorm
_NORMS = (_BATCH_NORM, nn.GroupNorm, nn.LayerNorm, nn.modules.instancenorm._InstanceNorm)


def parameter_names(model: nn.Module) -> frozenset[str]:
    """State-dict names of what is trained by gradients: neither buffers nor frozen parameters."""
    named = model.named_parameters(remove_duplicate=False)  # tied weights have several names
    return frozenset(name for name, parameter in named if parameter.requires_grad)


def norm_entries(model: nn.Module) -> frozenset[str]:
    """State-dict names of all normalization layers: batch, group, layer and instance; buffers included."""
    return _entries(model, _NORMS)


def batch_norm_entries(model: nn.Module) -> frozenset[str]:
    """State-dict names of the BatchNorm layers, statistics included."""
    return _entries(model, (_BATCH_NORM,))


def freeze_batch_norm(model: nn.Module) -> None:
    """Make the BatchNorm layers use, and keep, the statistics that they have; their weights are trained on."""
    for module in model.modules():
        if isinstance(module, _BATCH_NORM):
            module.eval()


def _entries(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> frozenset[str]:
    return frozenset(
        f"{layer}.{name}"
        for layer, module in model.named_modules()
        if isinstance(module, kinds)
        for name in module.state_dict()
    )
