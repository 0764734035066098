"""A linear layer gives its input away: with z = W x + b, the gradients of W_c and b_c are g_c x and g_c."""

from jaxtyping import Float
from torch import Tensor


def layer_input(
    weight_gradient: Float[Tensor, "output input"], bias_gradient: Float[Tensor, " output"]
) -> Float[Tensor, " input"]:
    """The layer's input x = dL/dW_c / dL/db_c, from the row c with the largest bias gradient.

    Exact for one example (Phong et al. 2018, section III; Geiping et al. 2020, proposition 3.1); over a batch, the mean
    of the inputs, each weighted by its own g_c.

    Raises:
        ValueError: every bias gradient is zero.
    """
    row = int(bias_gradient.abs().argmax())
    if not bool(bias_gradient[row]):
        raise ValueError("layer_input: every bias gradient is zero; expected one that is not")
    return (weight_gradient[row].double() / bias_gradient[row].double()).to(weight_gradient.dtype)
