"""The error tree, and the words for an unknown name."""

import pytest

from workbench.core import errors
from workbench.core.errors import closest, unknown_name


def test_unknown_name_lists_the_options_and_the_closest() -> None:
    """An unknown name gives a sentence with the closest option and all options in order."""
    error = unknown_name("activation", "rellu", ["tanh", "relu", "sigmoid"])
    assert type(error) is errors.UnknownNameError
    assert str(error) == ("activation: unknown name 'rellu'; did you mean 'relu'? options: relu, sigmoid, tanh")


def test_unknown_name_suggests_nothing_far_fetched() -> None:
    """An unknown name that is near no option gets the list of options and no suggestion."""
    error = unknown_name("activation", "qqq", iter(["tanh", "relu"]))
    assert str(error) == "activation: unknown name 'qqq'; options: relu, tanh"


@pytest.mark.parametrize(
    ("name", "expected"), [("softplos", "softplus"), ("Sigmoid", "sigmoid"), ("zzz", None), ("", None)]
)
def test_closest_is_near_or_none(name: str, expected: str | None) -> None:
    """A slip of a letter finds its option."""
    assert closest(name, ["relu", "sigmoid", "softplus"]) == expected


def test_every_error_is_a_workbench_error() -> None:
    """The command line catches one class; a termination is no error and passes every handler."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__module__ == errors.__name__]
    assert {kind.__name__ for kind in kinds if not issubclass(kind, errors.WorkbenchError)} == {"Terminated"}
    assert not issubclass(errors.Terminated, Exception)
    assert issubclass(errors.UnknownNameError, errors.ConfigError)
