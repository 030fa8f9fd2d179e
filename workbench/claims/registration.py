"""Registration of a claim before its first run: rules, resolved configurations, data digests and measuring code.

Two registrations of one version of a claim must be the same. What draws (`figure.py`) is no part of it, nor is what is
only shown: title, notes, pilots, sources.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workbench.claims.catalog import Entry
from workbench.claims.rules import FrozenModel
from workbench.claims.sources import code_of, reached, texts_of
from workbench.claims.study import Study
from workbench.config.prepare import prepare
from workbench.config.schema import GROUPS, NOT_RESULT, RunSpec, packaged
from workbench.config.targets import names_in
from workbench.config.yaml_files import EXPERIMENT
from workbench.core.errors import ConfigError, TrackingError
from workbench.tracking.reader import ReadVerdict, artifact
from workbench.tracking.store import Store

REGISTRATION = "registration.json"
BASE = "every arm"
JUDGES = ("workbench.claims.study", "workbench.claims.verdict", "workbench.claims.specification_map")
CHOOSES = re.compile(r"(\w+)(?:@[\w.]+)?=")  # the group of an override in a text
MOST_SAID = 5  # changes that a refusal lists
LONGEST = 100  # characters of a value that it shows
Arms = Mapping[str, RunSpec]


class Registration(FrozenModel):
    """Rules as the claim's yaml has them; configurations, by arm what differs from `BASE`; data sets; lines of code."""

    rules: dict[str, Any]
    configurations: dict[str, dict[str, Any]]
    data: dict[str, str]
    code: dict[str, str]

    @cached_property
    def text(self) -> str:
        """Serialize as JSON; equal registrations give equal text."""
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of its text."""
        return sha256(self.text.encode()).hexdigest()[:16]


def composed(entry: Entry) -> Arms:
    """The configuration that every arm shares, and that of each arm, by name.

    Raises ConfigError where one cannot be composed.
    """
    study = Study(entry, {})
    return {arm: study.specs(*over, seeds=[0])[0] for arm, over in {BASE: [], **entry.claim.arms}.items()}


def register(entry: Entry, specs: Arms) -> Registration:
    """Build the registration of a claim from its files as they are now."""
    flat = {arm: dict(_flat(_result(spec))) for arm, spec in specs.items()}
    base = flat[BASE]
    for arm in flat.keys() - {BASE}:
        changed = {key: value for key, value in flat[arm].items() if key not in base or base[key] != value}
        flat[arm] = changed | dict.fromkeys(base.keys() - flat[arm].keys())
    return Registration(
        rules=json.loads(entry.claim.rule_text) | {"tuned_by": entry.claim.tuned_by},
        configurations=flat,
        data={_named(spec): prepare(spec).dataset.digest for spec in specs.values()},
        code={name: code_of(file) for name, file in _own_files(entry, specs).items()},
    )


def code_digest(entry: Entry, specs: Arms) -> str:
    """16 hexadecimal digits over the code that a verdict is measured and judged by, and the options it may choose.

    All that `measure.py` imports, and what that imports; of a group of options that the claim's code or arms name, all
    files, else the chosen one; all yaml files of a user's folder.
    """
    files = files_behind(entry, specs)
    content = [code_of(file) if file.suffix == ".py" else file.read_text(encoding="utf-8") for file in files]
    return sha256(json.dumps(content).encode()).hexdigest()[:16]


def files_behind(entry: Entry, specs: Arms) -> list[Path]:
    """The files that `code_digest` is of."""
    files = list(reached([entry.code], [*JUDGES, *_modules(specs)], entry.folder).values())
    own = sorted(entry.folder.rglob("*.yaml")) if entry.folder else []
    return [*files, *_options(entry, specs), entry.yaml, *(file for file in own if file.name != EXPERIMENT)]


def _result(spec: RunSpec) -> dict[str, Any]:
    return {key: value for key, value in spec.resolved.items() if key not in NOT_RESULT}


def _named(spec: RunSpec) -> str:
    values = ", ".join(f"{key}={value}" for key, value in spec.resolved["data"].items() if key != "_target_")
    return f"{spec.choices['data']}({values})"


def _modules(specs: Arms) -> set[str]:
    """The modules of the functions that the configurations name."""
    return {target.rpartition(".")[0] for spec in specs.values() for target in names_in(spec.resolved)}


def _own_files(entry: Entry, specs: Arms) -> dict[str, Path]:
    """The claim's own code: what its `measure.py` and its configurations reach in its folder, or in the user's."""
    place = entry.folder or entry.yaml.parent
    files = reached([entry.code], _modules(specs), entry.folder).values()
    return {str(file.relative_to(place)): file for file in files if file.is_relative_to(place)}


def _options(entry: Entry, specs: Arms) -> Iterator[Path]:
    conf = packaged("conf")
    yield conf / "config.yaml"
    texts = [text for file in _own_files(entry, specs).values() for text in texts_of(file)]
    texts += [override for arm in entry.claim.arms.values() for override in arm]
    texts += entry.claim.specifications.chosen if entry.claim.specifications else []
    named = {group for text in texts for group in CHOOSES.findall(text)}
    for group in GROUPS:
        chosen = {
            spec.choices[key] for spec in specs.values() for key in spec.choices if key.partition("@")[0] == group
        }
        for file in sorted((conf / group).glob("*.yaml")):
            if group in named or file.stem in chosen:
                yield file


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Values by dotted path; an empty mapping and a list of numbers or words are values."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if _is_long(value) else ()
    if not items:
        yield path, value
    for key, inner in items:
        yield from _flat(inner, f"{path}.{key}" if path else str(key))


def _is_long(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(one, list | Mapping) for one in value)


def changes(before: Registration, after: Registration) -> list[str]:
    """List differences as ``path: before -> after``; of code, the first line that does."""
    found = []
    for kind in ("configurations", "rules", "data"):
        old, new = (dict(_flat(getattr(one, kind))) for one in (before, after))
        found += [
            f"{kind.removesuffix('s')} {path}: {_shown(old, path)} -> {_shown(new, path)}"
            for path in dict.fromkeys([*old, *new])
            if old.get(path, ...) != new.get(path, ...)
        ]
    for name in dict.fromkeys([*before.code, *after.code]):
        pairs = zip_longest(*(one.code.get(name, "").splitlines() for one in (before, after)), fillvalue="nothing")
        line = next((pair for pair in pairs if pair[0] != pair[1]), None)
        found += [f"code of {name}: {_short(line[0].strip())} -> {_short(line[1].strip())}"] if line else []
    return found


def _shown(values: Mapping[str, Any], path: str) -> str:
    return _short(json.dumps(values[path], ensure_ascii=False)) if path in values else "nothing"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def refuse_changed(entry: Entry, now: Registration, attempts: Sequence[ReadVerdict], store: Store) -> None:
    """Raise ConfigError where the store holds another registration of this version, saying what of it changed.

    `attempts` are verdicts' runs of any end: what was seen of one that failed was seen. Those of before there were
    registrations hold a digest of the rule alone.
    """
    for attempt in attempts:
        tags = attempt.tags
        if tags.get("claim") != entry.name or tags.get("version") != str(entry.claim.version):
            continue
        fixed = entry.claim.rule_hash, now.digest
        if (tags.get("rule_hash", fixed[0]), tags.get("registration", fixed[1])) == fixed:
            continue
        reasons = _reasons(attempt, now, store)
        more = f"; and {len(reasons) - MOST_SAID} more" * (len(reasons) > MOST_SAID)
        raise ConfigError(
            f"claim {entry.name}: what is fixed before its runs must stay as it is within a version: version "
            f"{entry.claim.version} was registered as {tags.get('registration', tags.get('rule_hash'))} in run "
            f"{attempt.run}, {entry.yaml.parent} is now {now.digest}. Changed: {'; '.join(reasons[:MOST_SAID])}{more}. "
            f"Write version: {entry.claim.version + 1} in {entry.yaml}, or undo the change"
        )


def _reasons(attempt: ReadVerdict, now: Registration, store: Store) -> list[str]:
    try:
        before = Registration.model_validate_json(artifact(store, attempt.run, REGISTRATION))
    except (TrackingError, ValidationError, ValueError):
        return ["its rule, or what cannot be named, as the run does not hold what was registered"]
    return changes(before, now) or ["what was registered, which its digest is no longer that of"]
