"""Attacks on membership: was this image in the training data? One file each, one line here."""

from privacy.membership.contract import MembershipAttack
from privacy.membership.lira_offline import LiraOffline
from privacy.membership.lira_online import LiraOnline
from privacy.membership.loss_threshold import LossThreshold
from privacy.membership.rmia import Rmia

MEMBERSHIP_ATTACKS: dict[str, type[MembershipAttack]] = {
    "loss_threshold": LossThreshold,
    "lira_offline": LiraOffline,
    "lira_online": LiraOnline,
    "rmia": Rmia,
}
