"""Request of a user to ``workbench reproduce``."""

from dataclasses import dataclass, replace
from pathlib import Path

from workbench.claims.claim import TUNING_SEED, Claim
from workbench.claims.map_rules import MAP
from workbench.core.errors import ConfigError

SEED_OFFSET = "seed_offset"  # among a study's settings, where it is not 0
PICTURES = "pictures"  # there too, where a folder is given


@dataclass(frozen=True)
class Request:
    """Request: claims by name or ``all``, profile, seed offset, and folders and store.

    `sequential`: seeds are added until the claim is decided, up to the profile's number. `processes`: claims that are
    measured at the same time, each on one core. `pictures`: a folder of IDX files on which specification maps are
    measured too.
    """

    names: tuple[str, ...]
    profile: str = "quick"
    folder: Path | None = None
    uri: str | None = None
    again: bool = False
    seed_offset: int = 0
    sequential: bool = False
    pictures: Path | None = None
    processes: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.seed_offset < TUNING_SEED // 2:
            raise ConfigError(
                f"reproduce: --seed-offset must be from 0 to {TUNING_SEED // 2 - 1}, as seeds from {TUNING_SEED} are "
                f"for tuning, got {self.seed_offset}; write for example --seed-offset 1000"
            )

        if self.processes < 1:
            raise ConfigError(f"reproduce: --processes must be at least 1, got {self.processes}; write --processes 1")

    def settings(self, claim: Claim) -> dict[str, object]:
        """The numbers of the profile, with the offset where there is one."""
        offset = {SEED_OFFSET: self.seed_offset} if self.seed_offset else {}
        pictures = {PICTURES: str(self.pictures)} if self.pictures and self.maps(claim) else {}
        return {**claim.profiles[self.profile], **offset, **pictures}

    def alone(self, name: str, claim: Claim) -> "Request":
        """The request of one of its claims, measured in one process."""
        return replace(self, names=(name,), processes=1, pictures=self.pictures if self.maps(claim) else None)

    def maps(self, claim: Claim) -> bool:
        """Whether the profile measures the claim's specification map."""
        return MAP in claim.profiles[self.profile]

    def command(self, name: str) -> str:
        """The command that repeats one of its claims."""
        words = ["workbench", "reproduce", name, "--profile", self.profile]
        words += ["--sequential"] * self.sequential
        words += ["--seed-offset", str(self.seed_offset)] if self.seed_offset else []
        words += ["--pictures", str(self.pictures)] if self.pictures else []
        return " ".join([*words, *(["--claims", str(self.folder)] if self.folder else [])])
