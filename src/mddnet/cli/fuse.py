"""``mddnet fuse``: see :mod:`mddnet.cli.stack`."""

from mddnet.cli.stack import fuse as fuse
