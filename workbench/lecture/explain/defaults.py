"""A net small enough to read, where an explanation is not told otherwise."""

from collections.abc import Sequence

XOR = ("data=xor", "split.standardize=false", "loss=binary_nll")  # the lecture's four points and their loss
SMALL = ("architecture.hidden=[2]", "activation=sigmoid", "init=glorot", "bias=small_positive", "optimizer.lr=0.5")
BITS = ("data=parity", "data.bits=3", "split.standardize=false", "loss=binary_nll")  # one bit at each step
PAIR = ("data=recall", "data.pairs=1", "data.keys=2", "data.values=2", "data.length=3", "data.examples=40")
NARROW = ("architecture.width=2", "init=glorot", "bias=small_positive")
PICTURE = ("data=digits", "split.standardize=false", "loss=softmax_nll")  # of whole numbers from 0 to 16
OTHERS = {  # data and net of architectures beside the mlp
    "elman": (BITS, ("architecture.embedding=2", "activation=tanh", "optimizer.lr=0.5", *NARROW)),
    "cnn": (
        PICTURE,
        (
            "architecture.channels=[1]",
            "architecture.pool=4",
            "architecture.hidden=[]",
            "architecture.dropout=0",
            "norm=none",
            "init=glorot",
            "bias=small_positive",
            "optimizer.lr=0.001",
        ),
    ),
    "gru": (BITS, ("architecture.embedding=2", "optimizer.lr=0.5", *NARROW)),
    "lstm": (BITS, ("architecture.embedding=2", "optimizer.lr=0.5", *NARROW)),
    "transformer": (
        (*PAIR, "loss=softmax_nll"),
        (
            "architecture.blocks=1",
            "architecture.heads=1",
            "architecture.feed_forward=2",
            "norm=none",
            "optimizer.lr=0.05",
            *NARROW,
        ),
    ),
}
EXAMPLE = 2  # from 1


def with_defaults(arguments: Sequence[str]) -> list[str]:
    """Add overrides for a net small enough to read, before the user's.

    A default yields to an override of its key or its group, those of the data to another data set, all to an
    experiment. Which they are, is said by the architecture.
    """
    overridden = {argument.lstrip("+~").partition("=")[0].partition("@")[0] for argument in arguments}
    if "experiment" in overridden:
        return list(arguments)
    chosen = next((option for option in OTHERS if f"architecture={option}" in arguments), "")
    data, net = OTHERS.get(chosen, (XOR, SMALL))
    overridden -= {"architecture"} if chosen else set()
    defaults = net if "data" in overridden else (*data, *net)
    keys = [(default, default.partition("=")[0]) for default in defaults]
    added = [default for default, key in keys if not {key, key.partition(".")[0]} & overridden]
    return [*added, *arguments]
