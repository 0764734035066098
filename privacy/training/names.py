"""Words that a scenario may use."""

from typing import Literal

TrainingUnit = Literal["record", "patient"]
"""Who is protected. ``record``: one image; ``patient``: all images of one patient at the site."""

BackendName = Literal["auto", "vmap", "hooks", "ew", "ghost", "loop"]
"""How gradients of single images are computed: :mod:`privacy.training.backends`, or the first that is right."""
