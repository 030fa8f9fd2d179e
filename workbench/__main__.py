"""``python -m workbench``, and the command ``workbench``."""

import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is begun yet that would have to be closed

from workbench.cli.entry import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
