"""Examples of the command line, shown by ``mddnet`` and ``mddnet predict`` without arguments."""

EXAMPLES = """\
Examples:
  mddnet predict photo.jpg               maps and preview in mddnet_out
  mddnet predict photos/ -o out --json   a folder, with its results as JSON"""
