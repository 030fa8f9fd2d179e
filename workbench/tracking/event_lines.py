"""Events as lines of JSON, and back: anybody may have edited a line, so all of it is checked."""

import json
from base64 import b64decode, b64encode
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from workbench.core.errors import TrackingError
from workbench.tracking.base import Ended, Event, File, Opened, Reopened, Rows, Tagged
from workbench.tracking.mlflow_limits import check_name
from workbench.tracking.safe_names import check_file

KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Opened, Reopened, Rows, Tagged, File, Ended)}
MOST = 2**53  # of a step or a time: what every store and every JSON keeps exactly
LONGEST_VALUE = 8000  # characters of a tag or a param
LONGEST_NAME, LONGEST_DIGEST = 500, 36  # characters that MLflow keeps of a run's or a data set's
ID_DIGITS = 32


def line_of(event: Event) -> str:
    """An event as a line of JSON; bytes in base64."""
    content = dict(vars(event))
    match event:
        case File():
            content["content"] = b64encode(event.content).decode()
        case Ended():
            content["outcome"] = event.outcome.value
        case Opened():
            dataset = event.info.dataset
            content["info"] = {**vars(event.info), "dataset": None if dataset is None else vars(dataset)}
    return json.dumps({"kind": type(event).__name__, **content})


def event_of(line: str) -> Event:
    """Parse a line of `line_of`. Raises TrackingError for anything that it cannot have written."""
    try:
        content = json.loads(line)
        if "\\ud" in line.lower():
            json.dumps(content, ensure_ascii=False).encode()  # half a character is none
        kind = content.pop("kind")
        if kind == File.__name__:
            content["content"] = b64decode(content["content"], validate=True)
        event: Event = _adapter(kind).validate_python(content)
        _check(event)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise TrackingError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TrackingError(f"no event: {type(error).__name__}: {str(error)[:100]}") from error
    return event


@lru_cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(KINDS[kind])


def _check(event: Event) -> None:
    """Raise TrackingError or ValueError for an event that no store takes, or that would be stored elsewhere."""
    runs = event.runs if isinstance(event, Rows) else (event.run,)
    for run in runs:
        if len(run) != ID_DIGITS or not set(run) <= set("0123456789abcdef"):
            raise ValueError(f"a run's id must have {ID_DIGITS} hexadecimal digits")
    for number in (getattr(event, "time_ms", 0), getattr(event, "step", 0)):
        if not 0 <= number < MOST:
            raise ValueError(f"a step or time must be from 0 to {MOST}")
    match event:
        case File():
            check_file(event.name)
        case Rows():
            if any(len(values) != len(runs) for values in event.metrics.values()):
                raise ValueError("rows must have a number for each run")
            _check_names("metric", event.metrics)
        case Opened():
            _check_info(event)
        case _:
            _check_texts("tag", event.tags)


def _check_info(event: Opened) -> None:
    """Raise TrackingError or ValueError for texts of a run that are too long."""
    info, dataset = event.info, event.info.dataset
    _check_texts("tag", info.tags)
    _check_texts("param", info.params)
    if len(info.name) > LONGEST_NAME or "\0" in info.name:
        raise ValueError(f"a run's name must have at most {LONGEST_NAME} characters")
    if dataset and (len(dataset.name) > LONGEST_NAME or len(dataset.digest) > LONGEST_DIGEST):
        raise ValueError("the name or digest of a data set is too long")


def _check_texts(kind: str, texts: Any) -> None:
    """Raise TrackingError or ValueError for tags or params that are too long."""
    _check_names(kind, texts)
    if any(len(text) > LONGEST_VALUE or "\0" in text for text in texts.values()):
        raise ValueError(f"the value of a {kind} must have at most {LONGEST_VALUE} characters")


def _check_names(kind: str, names: Any) -> None:
    for name in names:
        check_name(kind, name)
