"""The threat model of gradient inversion as a value: what the attacker knows beside the message itself.

Zhu et al. (NeurIPS 2019) know no labels; Geiping et al. (NeurIPS 2020) know them; Yin et al. (CVPR 2021) know the
statistics of BatchNorm, without which Huang et al. (NeurIPS 2021, "Evaluating gradient inversion attacks") find the
attack much weaker: so each is a field of its own, and a report says which were granted.
"""

from medfed.registry import plugin
from privacy.inversion.observation import Observation


@plugin
class Knowledge:
    """What is granted to the attacker. The default is an honest-but-curious server that wrote the scenario.

    Attributes:
        labels: the classes of the images; granted, an upper bound of the leak.
        masks: the masks of a segmentation task.
        batch_norm_statistics: the running statistics that a site sends as part of its change; without them, they
            stayed at the site.
        class_counts: how many images of each class the site holds, which a loss that says "balanced" is weighted by;
            without them, that loss is taken as unweighted.
        hyper_parameters: optimizer, learning rate and number of local steps. Without them the attacker takes the
            change as the direction of a single step.
    """

    labels: bool = False
    masks: bool = False
    batch_norm_statistics: bool = True
    class_counts: bool = True
    hyper_parameters: bool = True

    def restrict(self, full: Observation) -> Observation:
        """``full`` without what is not granted; what is not in it cannot be granted either."""
        seen = full
        granted = self.masks if full.task.kind == "segmentation" else self.labels
        if not granted:
            seen = seen.replace(labels=None)
        if not self.batch_norm_statistics:
            seen = seen.replace(change=seen.parameters)
        if not self.class_counts:
            seen = seen.replace(class_counts=None)
        if not self.hyper_parameters:
            seen = seen.replace(optimizer=None, lr_scale=1.0, local_steps=1, batch_size=seen.num_examples)
        return seen
