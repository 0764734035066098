"""The site of ``flower_cohort.py``, in a module of its own so that Ray's actors import it and keep data and model warm.

``COHORT_DATA`` and ``COHORT_WIDTH`` in the environment say where the images lie and how wide the network is.
"""

import os
from functools import lru_cache

import numpy as np
import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from simulations.benchmarks.peers.two_conv import two_conv

BATCH, RATE = 10, 0.1

app = ClientApp()


@lru_cache(maxsize=1)
def training_images() -> tuple[Tensor, Tensor, int]:
    """All images and labels, decoded once per process, and the number of users."""
    with np.load(os.environ["COHORT_DATA"]) as data:
        images = torch.from_numpy(data["train_images"]).unsqueeze(1)
        return images, torch.from_numpy(data["train_labels"]).long(), int(data["num_users"])


@lru_cache(maxsize=1)
def network() -> nn.Module:
    """The network, kept warm: its weights come with every message."""
    return two_conv(1, training_images()[0].shape[2], 2, int(os.environ["COHORT_WIDTH"]))


@app.train()
def train(message: Message, context: Context) -> Message:
    """One epoch over the user's images in shuffled batches."""
    torch.set_num_threads(1)
    images, labels, users = training_images()
    model = network().train()
    model.load_state_dict(message.content.array_records["arrays"].to_torch_state_dict())
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    size = len(images) // users
    first = int(str(context.node_config["partition-id"])) * size
    order = first + torch.randperm(size)
    for begin in range(0, size, BATCH):
        rows = order[begin : begin + BATCH]
        optimizer.zero_grad()
        cross_entropy(model(images[rows].float() / 255), labels[rows]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    metrics = MetricRecord({"num-examples": size})
    return Message(RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics}), reply_to=message)
