"""Which classes were in the batch: counted from the change of the last bias.

The gradient of the mean cross-entropy by the last bias is mean_i p_ic - n_c / B (Zhao et al. 2020, iDLG, for B = 1; Yin
et al. 2021 for larger batches). With a guess of the mean probability the counts follow, rounded to integers that sum to
B. The guess is the model's answer to images of noise: near the truth on an untrained network, off on a trained one.
"""

import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from medfed.training.heads import probabilities
from medfed.training.losses.bce import BinaryCrossEntropy
from medfed.training.losses.cross_entropy import CrossEntropy, weight_tensor
from medfed.training.optimizers import SGD
from privacy.inversion.errors import InversionError
from privacy.inversion.local_steps import plain
from privacy.inversion.observation import Observation
from privacy.inversion.targets import positive_weight

_PROBES = 8


def counted_labels(observation: Observation) -> Int[Tensor, " examples"]:
    """The attacker's labels in ascending order; see :func:`label_counts`."""
    counts = label_counts(observation)
    return torch.repeat_interleave(torch.arange(len(counts)), counts)


def label_counts(observation: Observation) -> Int[Tensor, " class"]:
    """How many images of each class took part.

    With plain SGD the gradient is the change over -lr times steps (over several steps an average along the way). With
    another, or an unknown, optimizer its length is unknown: it is set so that the class whose bias fell most
    counts as absent.

    Raises:
        InversionError: no class labels in this task, the head has no bias or its change was not sent, or a loss
            without a formula here.
    """
    observed = _bias_change(observation)
    guess = mean_probabilities(observation)
    gradient = torch.cat([-observed, observed]) if len(observed) == 1 else observed  # the logits (0, z) of one output
    gradient = -gradient.double()
    optimizer = observation.optimizer
    if isinstance(optimizer, SGD) and plain(optimizer):
        gradient = gradient / (optimizer.lr * observation.lr_scale * observation.local_steps)
    else:
        gradient = gradient / (gradient / guess).max().clamp_min(1e-30)
    return rounded(_shares(observation, guess, gradient), observation.num_examples)


def rounded(shares: Float[Tensor, " class"], total: int) -> Int[Tensor, " class"]:
    """Integers of the given total, none below 0, each next one where the most is missing of ``shares * total``."""
    missing, counts = shares * total, torch.zeros(len(shares), dtype=torch.int64)
    for _ in range(total):
        chosen = int(missing.argmax())
        counts[chosen] += 1
        missing[chosen] -= 1.0
    return counts


def mean_probabilities(observation: Observation) -> Float[Tensor, " class"]:
    """The model's mean class probabilities at the global weights over images of uniform noise."""
    model = copy.deepcopy(observation.model)
    model.load_state_dict(observation.weights)
    model.float().train(observation.batch_norm == "train")
    for layer in model.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            layer.eval()
    noise = torch.rand(_PROBES, *observation.image_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return probabilities(model(noise)).mean(0).double()


def _bias_change(observation: Observation) -> Float[Tensor, " output"]:
    if observation.task.kind != "classification":
        raise InversionError("labels: only classes can be counted; masks have to be known or searched for")
    heads = [
        name
        for name, layer in observation.model.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features == observation.task.num_outputs
    ]
    name = f"{heads[-1]}.bias" if heads else "of the last layer"
    if name not in observation.change:
        raise InversionError(
            f'labels: expected the change of the last bias ("{name}") to count classes; it was not sent or there is '
            "none; give the labels, or use an attack that searches for them (dlg)"
        )
    return observation.change[name]


def _shares(observation: Observation, guess: Tensor, gradient: Tensor) -> Float[Tensor, " class"]:
    """Share of each class, from the gradient by each logit with every image's probabilities set to ``guess``.

    Cross-entropy with weights w and smoothing e: g_c = p_c - (1 - e) w_c n_c / W - e / C for e = 0 or w = 1, with W the
    sum of w_c n_c. Binary cross-entropy with positive weight w: g_1 = p (1 - s) - w (1 - p) s, s the share of class 1.
    """
    loss = observation.loss
    if isinstance(loss, BinaryCrossEntropy):
        positive, p = positive_weight(loss, observation.class_counts), guess[1]
        positives = ((p - gradient[1]) / (p + positive * (1 - p))).clamp(0.0, 1.0)
        return torch.stack([1.0 - positives, positives])
    if not isinstance(loss, CrossEntropy):
        raise InversionError(f"labels: no formula for loss {type(loss).__name__}; expected cross_entropy or bce")
    smooth = loss.label_smoothing
    scaled = (guess - gradient - smooth / len(guess)) / (1.0 - smooth)
    weight = weight_tensor(loss.class_weights, observation.class_counts, guess[None])
    shares = (scaled if weight is None else scaled / weight).clamp_min(0.0)
    return shares / shares.sum().clamp_min(1e-30)
