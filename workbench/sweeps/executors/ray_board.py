"""How far the packs on a Ray cluster are: in a module of its own, because its actor shall load no more than this."""


class Board:
    """Epochs of runs that are done, by the name of the try that a worker is at."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}

    def add(self, name: str, epochs: int) -> None:
        """A worker says how far it came since it said so last."""
        self.done[name] = self.done.get(name, 0) + epochs

    def read(self) -> dict[str, int]:
        """All that was said."""
        return self.done
