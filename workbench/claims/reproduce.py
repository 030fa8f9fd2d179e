"""Claims reproduced: what is fixed is kept first, then it is measured, judged, drawn, and kept as one run each.

The verdict's run has the tag ``kind=verdict`` and lies in the MLflow experiment of the claim's runs, as the own run of
their sweep; its artifacts are the registration, the verdict as JSON, the tables behind it and the figure. A verdict
that is there already, by the same registration, profile and code, is taken from there.
"""

import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from rich.console import Console

from workbench.claims.catalog import Entry, choose
from workbench.claims.claim import SEEDS
from workbench.claims.claim_figure import Drawn, draw, draw_curve, suffix
from workbench.claims.evidence import Cell
from workbench.claims.map_rules import MAP
from workbench.claims.parallel import OnError, each_in_a_process, telling
from workbench.claims.registration import REGISTRATION, Registration, code_digest, composed, refuse_changed, register
from workbench.claims.request import PICTURES, SEED_OFFSET, Request
from workbench.claims.sequential import in_looks, looks
from workbench.claims.specification_map import deciding_of, map_verdict, measure_map, pictures_digests
from workbench.claims.stored_verdicts import TABLE, VERDICT, kept_tables, read_kept
from workbench.claims.study import Study
from workbench.claims.tracked_runs import TrackedRuns
from workbench.claims.verdict import MapVerdict, PartVerdict, Reproduction, judge, overall, within_claim
from workbench.core.errors import unknown_name
from workbench.engine.threads import one_thread
from workbench.sweeps.jobs import environment_tags
from workbench.tracking.artifact_writes import attach
from workbench.tracking.base import VERDICT as OF_VERDICT
from workbench.tracking.base import Outcome, RunInfo, outcome_of
from workbench.tracking.mlflow_sink import MlflowSink
from workbench.tracking.reader import ReadVerdict, read_verdicts
from workbench.tracking.store import Store, find_store, run_link, ui_base

MOST_SAID = 24  # lines of what gradients disagree
Figures = tuple[Drawn, Drawn | None]  # of the claim, and of its specification map


@dataclass(frozen=True)
class Reproduced:
    """A verdict, its figure, its run's address, whether it was kept, and its specification curve if there is one."""

    record: Reproduction
    figure: Drawn
    link: str
    kept: bool
    curve: Drawn | None = None


def reproduce(request: Request, console: Console, on_error: OnError | None = None) -> Iterator[Reproduced]:
    """Every claim asked for: one after the other, or several at once, those that are done first.

    Names, profile, rules and code of all of them are checked before the first is measured. Where one fails then,
    `on_error` is told and the others go on; without it the error is raised.
    """
    entries = choose(list(request.names), request.folder)
    for entry in entries:
        if request.profile not in entry.claim.profiles:
            raise unknown_name(f"claim {entry.name}: --profile", request.profile, entry.claim.profiles)
    store = find_store(request.uri)
    attempts = read_verdicts(store, unfinished=True)
    loaded = [(entry, entry.load(), composed(entry)) for entry in entries]
    for entry, module, _ in loaded:
        if entry.claim.specifications:
            deciding_of(entry, module)
        entry.load_figure()  # its mistakes too are found before the first is measured
    pictures = pictures_digests(entries, request)
    fixed = [(one[0], one[1], register(one[0], one[2]), code_digest(one[0], one[2])) for one in loaded]
    for entry, _, registration, _ in fixed:
        refuse_changed(entry, registration, attempts, store)
    waiting = []
    for (entry, module, registration, code), digest in zip(fixed, pictures, strict=True):
        with telling(on_error, entry.name):
            identity = {**_identity(entry, request, registration, code), PICTURES: digest}
            if kept := None if request.again else _kept(entry, identity, store):
                yield kept
            else:
                alone = request.alone(entry.name, entry.claim)
                waiting.append(_Measurement(entry, module, alone, store, console, registration, identity))
    if min(request.processes, len(waiting)) > 1:
        requests = {one.entry.name: one.request for one in waiting}
        processes = min(request.processes, len(requests))
        console.print(f"{len(requests)} claims to measure, {processes} at a time", highlight=False)
        yield from each_in_a_process(partial(_alone, requests), list(requests), processes, on_error)
        return
    for one in waiting:
        with telling(on_error, one.entry.name):
            yield one.run()


def _alone(requests: Mapping[str, Request], name: str) -> Reproduced:
    """Measure one claim by its request without a word."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        (found,) = reproduce(requests[name], Console(file=nowhere))
    return found


def _kept(entry: Entry, identity: Mapping[str, str], store: Store) -> Reproduced | None:
    """Find the verdict that is there already; its figure is drawn from the tables kept with it."""
    for verdict in read_verdicts(store):
        if all(verdict.tags.get(key) == value for key, value in identity.items()):
            return _drawn_again(entry, verdict, store)
    return None


def _drawn_again(entry: Entry, verdict: ReadVerdict, store: Store) -> Reproduced:
    """A verdict as it was kept, with the figure of its tables."""
    record = read_kept(store, verdict)
    study = Study(entry, record.settings, tables=kept_tables(store, verdict))
    return Reproduced(record, draw(study), verdict.tags.get("link", ""), kept=True, curve=draw_curve(study))


def newest_verdicts(entries: Sequence[Entry], profile: str | None, stores: Sequence[Store]) -> Iterator[Reproduced]:
    """Yield the newest verdict of each claim by its present rules and this profile (None: any), if there is one.

    Code that measures may have changed since.
    """
    stored = [(verdict, store) for store in stores for verdict in read_verdicts(store)]
    stored.sort(key=lambda pair: -pair[0].start_ms)
    for entry in entries:
        tags = {"claim": entry.name, "rule_hash": entry.claim.rule_hash} | ({"profile": profile} if profile else {})
        fitting = ((verdict, store) for verdict, store in stored if tags.items() <= verdict.tags.items())
        if newest := next(fitting, None):
            yield _drawn_again(entry, *newest)


def _identity(entry: Entry, request: Request, registration: Registration, code: str) -> dict[str, str]:
    """Tags that identify a verdict: two with the same tags are the same verdict."""
    claim = entry.claim
    return {
        "kind": OF_VERDICT,
        "claim": entry.name,
        "version": str(claim.version),
        "rule_hash": claim.rule_hash,
        "profile": request.profile,
        SEED_OFFSET: str(request.seed_offset),
        "sequential": str(request.sequential),
        "registration": registration.digest,
        "code": code,
    }


@dataclass
class _Measurement:
    """Measures one claim from its rule to its kept verdict; its run is also the own run of its sweep."""

    entry: Entry
    module: ModuleType
    request: Request
    store: Store
    console: Console
    registration: Registration
    identity: Mapping[str, str]

    def run(self) -> Reproduced:
        (spec,) = Study(self.entry, {}, store=self.request.uri).specs(seeds=[0])
        sink = MlflowSink(self.store, spec.config.tracking.experiment)
        runs = TrackedRuns(self.entry.name, sink, self.console)
        (run,) = sink.open([self._info(runs.sweep)])
        try:
            with TemporaryDirectory() as folder:
                fixed = Path(folder) / REGISTRATION
                fixed.write_text(self.registration.text, encoding="utf-8")
                attach(self.store, run, [fixed], "")
                record, figures, files = self._measure(run, runs, Path(folder))
                attach(self.store, run, files, "")
            sink.write(run, 0, int(time.time() * 1000), dict(_numbers(record)))
        except BaseException as error:
            sink.close(run, outcome_of(error), {"error": f"{type(error).__name__}: {error}"[:500]})
            raise
        link = run_link(ui_base(self.store), sink.experiment_id, run)
        sink.close(run, Outcome.finished, {"verdict": str(record.label), "link": link})
        return Reproduced(record, figures[0], link, kept=False, curve=figures[1])

    def _info(self, sweep: str) -> RunInfo:
        claim, name = self.entry.claim, self.entry.name
        rules = "\n".join(f"- {part.says} *{part.rule.says}*" for part in claim.parts.values())
        note = (
            f"**{claim.title}**: {claim.statement}\n\n{rules}\n\nRepeat it with\n\n    {self.request.command(name)}\n"
        )
        params = {key: str(value) for key, value in self.request.settings(self.entry.claim).items()}
        tags = {**environment_tags(), **self.identity, "sweep": sweep}
        return RunInfo(f"{name} {self.request.profile} v{claim.version}", params, tags, note, {}, None)

    def _measure(self, run: str, runs: TrackedRuns, folder: Path) -> tuple[Reproduction, Figures, list[Path]]:
        start, now = time.perf_counter(), datetime.now().astimezone()
        claim = self.entry.claim
        studies, parts, settings = self._judged(runs)
        study = studies[-1]
        mapped = self._mapped(study, parts)
        disagreements_found = [*(line for one in studies for line in one.disagreements), *runs.disagreements]
        record = Reproduction(
            name=self.entry.name,
            title=claim.title,
            statement=claim.statement,
            slides=claim.slides,
            anchors=claim.anchors,
            notes=claim.notes,
            pilots=claim.pilots,
            figure=claim.figure,
            version=claim.version,
            rule_hash=claim.rule_hash,
            registration=self.registration.digest,
            profile=self.request.profile,
            settings=settings,
            label=overall(parts),
            parts=parts,
            date=now.isoformat(timespec="seconds"),
            seconds=time.perf_counter() - start,
            runs=max(one.runs for one in studies),
            sweeps=runs.links(run),
            tuning=study.tuning,
            environment=_environment(),
            command=self.request.command(self.entry.name),
            run=run,
            disagreements=list(dict.fromkeys(disagreements_found))[:MOST_SAID],
            specifications=mapped,
        )
        figures = draw(study), draw_curve(study)
        files = [folder / VERDICT]
        files[0].write_text(record.model_dump_json(indent=1), encoding="utf-8")
        for name, drawn in zip(("figure", MAP), figures, strict=True):
            if drawn is not None:
                files.append(folder / f"{name}{suffix(drawn.wide)}")
                files[-1].write_bytes(drawn.wide)
        for name, table in study.tables.items():
            files.append(folder / f"{name}{TABLE}")
            table.to_csv(files[-1], index=False)
        return record, figures, files

    def _mapped(self, study: Study, parts: list[PartVerdict]) -> MapVerdict | None:
        plan = self.entry.claim.specifications
        if plan is None or not self.request.maps(self.entry.claim):
            return None
        with one_thread():
            return map_verdict(plan, measure_map(study, deciding_of(self.entry, self.module)), parts)

    def _judged(self, runs: TrackedRuns) -> tuple[list[Study], list[PartVerdict], dict[str, object]]:
        """The parts, with the settings they were judged at; look by look where that was asked for."""
        claim, settings = self.entry.claim, self.request.settings(self.entry.claim)
        studies: list[Study] = []

        def measured(size: dict[str, object]) -> list[Cell]:
            studies.append(Study(self.entry, settings | size, runs.train_kept, self.request.uri))
            return studies[-1].measured(self.module.measure)

        with one_thread():
            if not self.request.sequential:
                return studies, within_claim(judge(claim, measured({}))), settings
            sizes = looks(self.entry.name, settings.get(SEEDS))
            parts, reached = in_looks(claim, sizes, lambda seeds: measured({SEEDS: seeds}))
        return studies, parts, settings | {SEEDS: reached, "looks": str(sizes)}


def _numbers(record: Reproduction) -> Iterator[tuple[str, float]]:
    for part in record.parts:
        judgment = part.deciding.judgment
        for name in ("effect", "low", "high"):
            value = getattr(judgment, name)
            if value is not None:
                yield f"{name}/{part.name}", value
    yield "seconds", record.seconds


def _environment() -> dict[str, str]:
    libraries = {name: version(name) for name in ("workbench", "torch", "scipy", "scikit-learn")}
    return {
        **libraries,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
