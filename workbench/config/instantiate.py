"""Nodes of a configuration -> objects: the function a ``_target_`` names, called with checked values.

A node's values are checked against the annotations of that function; a value that is itself a node, or a mapping of
names to nodes, is built first.
Parameters marked `PerReplica` are one number in a node, and a tensor [R] where the nodes of R runs are built as one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from inspect import Parameter as InPython
from typing import Annotated, Any, get_args, get_origin

from torch import Tensor

from workbench.config.schema import TARGET
from workbench.config.targets import PACKAGE, hints_of, named, parameters_of, resolve_target, typed_target
from workbench.config.values import Node, Parameter, Signature, checked_values, is_family, is_node, kind_of, member_kind
from workbench.core.axes import PER_REPLICA, is_per_replica
from workbench.core.errors import ConfigError, WorkbenchError
from workbench.data.datasets import Dataset
from workbench.diagnostics.plan import Diagnostics
from workbench.nn.activations import Activation
from workbench.nn.initializers import BiasInitializer, Initializer
from workbench.nn.layers.norms import Norm
from workbench.nn.losses import Loss
from workbench.nn.model import Model
from workbench.nn.optimizers import Optimizer
from workbench.nn.pretraining import Pretraining
from workbench.nn.schedules import Schedule

Stack = Callable[[list[float]], Tensor]

KINDS: dict[str, type] = {
    "architecture": Model,
    "activation": Activation,
    "init": Initializer,
    "bias": BiasInitializer,
    "norm": Norm,
    "loss": Loss,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "pretraining": Pretraining,
    "data": Dataset,
    "diagnostics": Diagnostics,
}


def call(key: str, node: Node, **inputs: Any) -> Any:
    """Call the node's function with its checked values and those of `inputs` that it has parameters for.

    Raises ConfigError where the function or a value is wrong.
    """
    return _called(key, node, KINDS[key], inputs)


def _called(key: str, node: Node, kind: Any, inputs: Mapping[str, Any]) -> Any:
    if is_node(node):
        typed_target(key, node[TARGET], kind)
    given = checked(key, node, tuple(inputs))
    hints = _hints(key, node)
    values = {name: _built(f"{key}.{name}", value, hints.get(name)) for name, value in given.items()}
    return _made(key, node, kind, values, inputs)


def _built(key: str, value: Any, hint: Any) -> Any:
    if is_node(value) and (kind := kind_of(hint)):
        return _called(key, value, kind, {})
    if is_family(value) and (kind := member_kind(hint)):
        return {name: _called(f"{key}.{name}", inner, kind, {}) for name, inner in value.items() if inner is not None}
    return value


def call_stacked(key: str, nodes: Sequence[Node], stack: Stack) -> Any:
    """Build one object from the nodes of R runs: per-replica values stacked to [R], all others the first run's."""
    return _stacked(key, nodes, KINDS[key], stack)


def _stacked(key: str, nodes: Sequence[Node], kind: Any, stack: Stack) -> Any:
    if is_node(nodes[0]):
        typed_target(key, nodes[0][TARGET], kind)
    rows = [checked(key, node) for node in nodes]
    hints = _hints(key, nodes[0])
    values: dict[str, Any] = {}
    for name, value in rows[0].items():
        column = [row[name] for row in rows]
        if is_node(value) and (inner := kind_of(hints.get(name))):
            values[name] = _stacked(f"{key}.{name}", column, inner, stack)
        else:
            values[name] = stack(column) if is_per_replica(hints.get(name)) else value
    return _made(key, nodes[0], kind, values, {})


def per_replica_keys(key: str, node: Node) -> Iterator[str]:
    """Yield dotted keys of the values that may differ within a pack."""
    hints = _hints(key, node)
    for name, value in node.items():
        if is_node(value):
            yield from per_replica_keys(f"{key}.{name}", value)
        elif is_per_replica(hints.get(name)):
            yield f"{key}.{name}"


def asks_for(key: str, node: Node, name: str) -> bool:
    """Whether the node's function has a parameter of this name."""
    return name in parameters_of(resolve_target(key, node[TARGET]))


def checked(key: str, node: Node, supplied: Sequence[str] = ()) -> dict[str, Any]:
    """The node's values in the types of its function's parameters, as `checked_values`; raises ConfigError as it."""
    if not is_node(node):
        raise ConfigError(f"{key}: must name a function in {TARGET}, got {node!r}; choose one of the group's options")
    return checked_values(key, node, _signature(resolve_target(key, node[TARGET])), supplied)


@lru_cache(maxsize=256)
def _signature(function: Any) -> Signature:
    hints = hints_of(function)
    return {
        name: Parameter(_of_value(hints.get(name, Any)), parameter.default is InPython.empty)
        for name, parameter in parameters_of(function).items()
    }


def _of_value(hint: Any) -> Any:
    """Annotation of the value in a configuration: one number for one per replica, all else as it is."""
    if not is_per_replica(hint):
        return hint
    return Annotated[float, *(rule for rule in get_args(hint)[1:] if rule is not PER_REPLICA)]


def _hints(key: str, node: Node) -> dict[str, Any]:
    return hints_of(resolve_target(key, node[TARGET]))


def _made(key: str, node: Node, kind: Any, values: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
    """Call the node's function once its return type is known to be this kind; raises ConfigError where it fails."""
    target = node[TARGET]
    function = typed_target(key, target, kind)
    accepted = {name: value for name, value in inputs.items() if asks_for(key, node, name)}
    try:
        result = function(**values, **accepted)
    except WorkbenchError:
        raise
    except Exception as error:
        if target.startswith(f"{PACKAGE}."):
            raise
        raise ConfigError(f"{key}: {target} raised {error!r}; mend it, or choose other values") from error
    if not isinstance(result, get_origin(kind) or kind):
        raise ConfigError(f"{key}: {target} must return {named(kind)}, got {type(result).__name__}; name another")
    return result
