"""``python -m mddnet``."""

from __future__ import annotations

import sys

from mddnet.cli.main import main

# a process that is spawned imports this module, too, and must not run the command again
if __name__ == "__main__":
    sys.exit(main())
