"""``mddnet demo``: a local web page that shows depth and defocus of photos."""

from __future__ import annotations

from mddnet.cli.flags import Count, Port, Positive


def demo(
    *,
    host: str = "127.0.0.1",
    port: Port = 7860,
    model: str = "small",
    threads: Count | None = None,
    max_megapixels: Positive = 50.0,
    max_file_mb: Positive = 50.0,
) -> int:
    """Serve a web page that shows depth and defocus of photos, until Ctrl+C.

    It needs no internet connection. Photos and results are removed after an hour, and when it stops.

    Args:
        host: Address to listen on; the default is accessible from this machine only.
        port: Port to listen on; 0 selects a free one.
        model: A shipped model, a model folder or a .zip of one, or hf://owner/name (extra hub).
        threads: Largest number of processor cores.
        max_megapixels: Largest accepted photo.
        max_file_mb: Largest accepted file, in megabytes.
    """
    from mddnet.demo.app import serve
    from mddnet.demo.examples import example_photos
    from mddnet.demo.jobs import Jobs
    from mddnet.demo.scratch import Scratch
    from mddnet.demo.upload import Limits
    from mddnet.predict.predictor import load

    limits = Limits(file_mb=max_file_mb, megapixels=max_megapixels)
    predictor = load(model, threads)
    scratch = Scratch(limits.temp_mb, limits.temp_age_s)
    try:
        jobs = Jobs(predictor, limits, scratch, threads)
        jobs.example(next(iter(example_photos())))  # the first visitor need not wait
        serve(jobs, host, port)
    finally:
        scratch.close()
    return 0
