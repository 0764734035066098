"""The threat model of gradient inversion as a value: what the attacker knows beside the message itself.

Zhu et al. (NeurIPS 2019) know no labels; Geiping et al. (NeurIPS 2020) know them; Yin et al. (CVPR 2021) know the
statistics of BatchNorm, without which Huang et al. (NeurIPS 2021, "Evaluating gradient inversion attacks") find the
attack much weaker: so each is a field of its own, and a report says which were granted.
"""

from typing import Literal

from medfed.registry import plugin
from privacy.inversion.observation import Observation

Party = Literal["server", "aggregate"]


@plugin
class Knowledge:
    """What is granted to the attacker. The default is an honest-but-curious server that wrote the scenario.

    Attributes:
        party: ``server`` sees each site's own message; ``aggregate`` only the sum over sites (secure aggregation), so
            that images of all sites have to be told apart.
        labels: the classes of the images; granted, an upper bound of the leak.
        masks: the masks of a segmentation task.
        batch_norm_statistics: the running statistics that a site sends as part of its change; without them, they
            stayed at the site.
        hyper_parameters: optimizer, learning rate and number of local steps. Without them the attacker takes the
            change as the direction of a single step.
    """

    party: Party = "server"
    labels: bool = False
    masks: bool = False
    batch_norm_statistics: bool = True
    hyper_parameters: bool = True

    def restrict(self, full: Observation) -> Observation:
        """``full`` without what is not granted; what is not in it cannot be granted either.

        For ``aggregate`` the caller gives the aggregate's change and counts; nothing is added up here.
        """
        seen = full
        granted = self.masks if full.task.kind == "segmentation" else self.labels
        if not granted:
            seen = seen.replace(labels=None)
        if not self.batch_norm_statistics:
            seen = seen.replace(change=seen.parameters)
        if not self.hyper_parameters:
            seen = seen.replace(optimizer=None, lr_scale=1.0, local_steps=1, batch_size=seen.num_examples)
        return seen
