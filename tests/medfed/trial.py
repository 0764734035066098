"""A small scenario, as text and as a value."""

from medfed.config import parse_scenario

TEXT = """
name = "trial"
task = { kind = "classification", classes = ["normal", "pneumonia"] }
model = "small_cnn"

[data]
path = "images/labels.csv"
image_size = 28

[training]
rounds = 4
local_epochs = 2
batch_size = 8
loss = "cross_entropy"
transforms = ["flip", { name = "affine", degrees = 5.0 }]
"""

BASE = parse_scenario(TEXT)
