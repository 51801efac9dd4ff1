"""``mddnet demo``: a local web page that shows depth and defocus of photos."""

from __future__ import annotations

import sys


def demo(
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    model: str = "small",
    threads: int | None = None,
    max_megapixels: float = 50.0,
    max_file_mb: float = 50.0,
) -> int:
    """Serve a web page that shows depth and defocus of photos, until Ctrl+C.

    It needs no internet connection. Photos and results are removed after an hour, and when it stops.

    Parameters
    ----------
    host
        Address to listen on; the default is accessible from this machine only.
    port
        Port to listen on; 0 selects a free one.
    model
        A shipped model, a model folder or a .zip of one, or hf://owner/name (extra hub).
    threads
        Largest number of processor cores.
    max_megapixels
        Largest accepted photo.
    max_file_mb
        Largest accepted file, in megabytes.
    """
    try:
        if not 0 <= port <= 65535:
            raise ValueError(f"--port is {port}; expected 0 to 65535")
        if threads is not None and threads < 1:
            raise ValueError(f"--threads is {threads}; expected at least 1")
        if not (max_megapixels > 0 and max_file_mb > 0):
            raise ValueError("--max-megapixels and --max-file-mb: expected positive numbers")
    except ValueError as error:
        print(f"mddnet demo: {error}", file=sys.stderr)
        return 2

    from mddnet.demo.app import serve
    from mddnet.demo.jobs import Jobs
    from mddnet.demo.scratch import Scratch
    from mddnet.demo.upload import Limits
    from mddnet.predict.predictor import load

    limits = Limits(file_mb=max_file_mb, megapixels=max_megapixels)
    predictor = load(model, threads)
    scratch = Scratch(limits.temp_mb, limits.temp_age_s)
    try:
        serve(Jobs(predictor, limits, scratch), host, port)
    finally:
        scratch.close()
    return 0
