"""Base of all rules, and the two that need no sample: always and exists."""

from abc import abstractmethod
from typing import Literal

from workbench.claims.evidence import Evidence, Exact, Witness
from workbench.claims.judgments import FrozenModel, Judgment, Label


class Rule(FrozenModel):
    """Base of all rules."""

    @abstractmethod
    def judge(self, evidence: Evidence, cells: int = 1, alone: Label = Label.refuted) -> Judgment:
        """The verdict of one of several cells, of which any one decides where its label is `alone`.

        Such a label is given at the level divided by the number of cells, as chance has as many tries (Bonferroni).
        Raises TypeError for evidence of another form than the rule's.
        """

    @property
    @abstractmethod
    def says(self) -> str:
        """The rule in words."""


class Always(Rule):
    """One counterexample refutes."""

    kind: Literal["always"] = "always"

    def judge(self, evidence: Evidence, cells: int = 1, alone: Label = Label.refuted) -> Judgment:
        if not isinstance(evidence, Exact):
            raise wrong_form(self.kind, "Exact", evidence)
        failed, checked = evidence.counterexamples, evidence.checked
        found = (
            f"{failed:,} of {checked:,} fail" if failed or checked > 1 else "holds" if checked else "nothing checked"
        )
        label = Label.refuted if failed else Label.supported if checked else Label.inconclusive
        reason = evidence.example if failed else evidence.certificate
        return Judgment(label=label, found=found, effect=float(failed), n=checked, reason=reason)

    @property
    def says(self) -> str:
        return "supported if nothing that is checked contradicts it; one counterexample refutes"


class Exists(Rule):
    """One witness supports."""

    kind: Literal["exists"] = "exists"

    def judge(self, evidence: Evidence, cells: int = 1, alone: Label = Label.refuted) -> Judgment:
        if not isinstance(evidence, Witness):
            raise wrong_form(self.kind, "Witness", evidence)
        absent = Label.refuted if evidence.exhaustive else Label.inconclusive
        label = Label.supported if evidence.found else absent
        found = "found" if evidence.found else "not found"
        return Judgment(label=label, found=found, effect=evidence.value, reason=evidence.what)

    @property
    def says(self) -> str:
        return "supported by one example; refuted only where a search of everything finds none"


def wrong_form(rule: str, needed: str, evidence: Evidence) -> TypeError:
    """TypeError for evidence that a rule does not judge."""
    return TypeError(f"rule {rule}: needs {needed} as evidence, got {type(evidence).__name__}")
