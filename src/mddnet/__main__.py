"""``python -m mddnet``."""

from __future__ import annotations

import sys

from mddnet.cli.main import main

sys.exit(main())
