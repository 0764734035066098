"""Client strategies: the site's side of a strategy. One file each, one line here."""

from client.strategies.ditto import Ditto
from client.strategies.normalized import Normalized
from client.strategies.plain import Plain
from client.strategies.proximal import Proximal
from client.strategies.scaffold import Scaffold

CLIENT_STRATEGIES = {
    "ditto": Ditto,
    "normalized": Normalized,
    "plain": Plain,
    "proximal": Proximal,
    "scaffold": Scaffold,
}
