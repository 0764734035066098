"""Local training: losses, optimizers, the loop, evaluation."""
