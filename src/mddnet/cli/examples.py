"""Examples of the command line, shown by ``mddnet`` and ``mddnet predict`` without arguments, and in help."""

EXAMPLES = """\
Examples:
  mddnet predict photo.jpg               maps and preview in mddnet_out
  mddnet predict photos/ -o out --json   a folder, with its results as JSON
  mddnet refocus photo.jpg --strength 2  twice the blur
  mddnet stack shots/*.jpg               depth and an all-in-focus image"""

EPILOGUES = {
    "refocus": """\
An all-in-focus picture is not possible from one photo: a part out of focus
stays blurred when the focus moves there, and a narrower aperture removes at
most half of the blur. Needs the extra build.

Examples:
  mddnet refocus photo.jpg --aperture 1.4
  mddnet refocus photo.jpg --strength 2 --focus 0.42,0.31 --blades 6
  mddnet refocus photo.jpg --strength 2 --sweep film.mp4""",
    "stack": """\
Examples:
  mddnet stack shots/*.jpg -o out
  mddnet stack shots/ -o out --focus-m 0.30,0.35,0.42,0.55
  mddnet stack sweep.mp4 -o out""",
    "fuse": """\
Examples:
  mddnet fuse near.jpg far.jpg -o out""",
}
"""What the help of a command says after its flags."""
