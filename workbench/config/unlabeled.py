"""What a language model learns from: inputs of the training part, also of examples whose targets are not kept."""

import json
from dataclasses import replace
from hashlib import sha256

from workbench.config.schema import TARGET, RunSpec, SplitConfig
from workbench.config.shared_objects import SharedObjects
from workbench.core.errors import ConfigError
from workbench.data.datasets import Array
from workbench.data.splits import shuffled
from workbench.nn.inputs import Inputs
from workbench.nn.pretraining import Pretraining

OF_A_BODY = ("architecture", "activation", "norm", "init", "bias", "optimizer", "pretraining")  # groups
NOT_OF_IT = {  # values that change nothing of a body, or are told by its tokens
    "architecture": ("causal", "readout"),  # of the workbench's own, where the stage decides the first
    "optimizer": ("lr",),
    "pretraining": ("examples", "shuffled", "frozen_epochs"),
}
OWN = "workbench.nn."


def unlabeled(shared: SharedObjects, part: SplitConfig, pretraining: Pretraining) -> Array:
    """Draw the tokens [N, T] of the training part that a language model learns from.

    Raises ConfigError where the training part has fewer examples.
    """
    count, x = pretraining.examples, shared.split(part).train.x
    if count is not None and count != len(x):
        whole = len(shared.split(replace(part, limit=None)).train.x)
        if count > whole:
            raise ConfigError(
                f"pretraining.examples: must be at most the {whole} examples of the training part, got {count}; "
                f"write pretraining.examples={whole}"
            )
        x = shared.split(replace(part, limit=count)).train.x
    return shuffled(x, part.seed, shared.inputs.padding) if pretraining.shuffled else x


def body_text(spec: RunSpec, inputs: Inputs, tokens: Array) -> str:
    """Digest of all that determines the body of a language model, as 64 hexadecimal digits."""
    nodes = {group: _of_body(group, spec) for group in OF_A_BODY}
    config = spec.config
    numbers = config.seed, config.train.batch_size, config.train.clip_norm, config.dtype.name, config.device.name
    text = json.dumps([nodes, numbers, repr(inputs), tokens.shape], sort_keys=True)
    return sha256(text.encode() + tokens.tobytes()).hexdigest()


def _of_body(group: str, spec: RunSpec) -> dict[str, object]:
    node = spec.resolved[group]
    left_out = NOT_OF_IT.get(group, ()) if str(node.get(TARGET)).startswith(OWN) else ()
    return {key: value for key, value in node.items() if key not in left_out}
