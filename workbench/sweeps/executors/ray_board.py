"""The board that Ray workers report progress to: a module of its own, so that its actor loads no more than this."""


class Board:
    """Epochs of runs that are done, by the name of a worker's try."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}

    def add(self, name: str, epochs: int) -> None:
        """Add the epochs that a worker has done since its last report."""
        self.done[name] = self.done.get(name, 0) + epochs

    def read(self) -> dict[str, int]:
        """All reported epochs by name."""
        return self.done
