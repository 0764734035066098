"""Server rules: how a round's updates become the next global model. One file per rule, one line here."""

from server.strategies.fedavg import FedAvg

STRATEGIES = {"fedavg": FedAvg}
