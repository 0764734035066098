"""From logits to classes. Oracle: numpy's argmax, which names the first of equals."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medfed.training.heads import most_probable

SHAPES = st.sampled_from([(3, 2), (2, 3, 4, 5), (1, 4, 3, 3)])


@given(SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.25, 0.5]))))
def test_the_most_probable_class_is_the_first_of_equals(p):
    assert most_probable(torch.from_numpy(p)).tolist() == p.argmax(axis=1).tolist()
