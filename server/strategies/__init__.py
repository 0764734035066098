"""Server rules: how a round's updates become the next global model. One file per rule, one line here."""

from server.strategies.cyclic import Cyclic
from server.strategies.ditto import Ditto
from server.strategies.fedadagrad import FedAdagrad
from server.strategies.fedadam import FedAdam
from server.strategies.fedavg import FedAvg
from server.strategies.fedavgm import FedAvgM
from server.strategies.fedbn import FedBN
from server.strategies.fednova import FedNova
from server.strategies.fedper import FedPer
from server.strategies.fedprox import FedProx
from server.strategies.fedyogi import FedYogi
from server.strategies.scaffold import Scaffold

STRATEGIES = {
    "cyclic": Cyclic,
    "ditto": Ditto,
    "fedadagrad": FedAdagrad,
    "fedadam": FedAdam,
    "fedavg": FedAvg,
    "fedavgm": FedAvgM,
    "fedbn": FedBN,
    "fednova": FedNova,
    "fedper": FedPer,
    "fedprox": FedProx,
    "fedyogi": FedYogi,
    "scaffold": Scaffold,
}
