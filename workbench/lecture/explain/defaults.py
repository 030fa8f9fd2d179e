"""A net small enough to read, where an explanation is not told otherwise."""

from collections.abc import Sequence

XOR = ("data=xor", "split.standardize=false", "loss=binary_nll")  # the lecture's four points and their loss
SMALL = ("architecture.hidden=[2]", "activation=sigmoid", "init=glorot", "bias=small_positive", "optimizer.lr=0.5")
EXAMPLE = 2  # from 1


def with_defaults(arguments: Sequence[str]) -> list[str]:
    """Add overrides for a net small enough to read, before the user's.

    A default yields to an override of its key or its group, those of XOR to another data set, all to an experiment.
    """
    overridden = {argument.lstrip("+~").partition("=")[0].partition("@")[0] for argument in arguments}
    if "experiment" in overridden:
        return list(arguments)
    defaults = SMALL if "data" in overridden else (*XOR, *SMALL)
    keys = [(default, default.partition("=")[0]) for default in defaults]
    added = [default for default, key in keys if not {key, key.partition(".")[0]} & overridden]
    return [*added, *arguments]
