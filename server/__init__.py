"""The server's side of a federated run: the round loop, strategies, checks of updates, evaluation."""
