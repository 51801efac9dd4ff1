"""The web page and its server. Needs Gradio (extra ``demo``)."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import gradio as gr

from mddnet.demo.jobs import Jobs
from mddnet.demo.one_photo import one_photo
from mddnet.demo.other_tabs import several_photos, stateless_api, two_photos
from mddnet.errors import MddnetError

TITLE = "mddnet: depth and defocus from one photo"
HERE = Path(__file__).parent


def build_page(jobs: Jobs) -> gr.Blocks:
    """The page as a Gradio app that is not started yet."""
    # Gradio reads this when components are created.
    os.environ["GRADIO_TEMP_DIR"] = str(jobs.scratch.cache)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, int(jobs.limits.temp_age_s))) as page:
        gr.Markdown(f"# {TITLE}")
        with gr.Tabs():
            with gr.Tab("One photo"):
                one_photo(jobs)
            with gr.Tab("Two photos"):
                two_photos(jobs)
            with gr.Tab("Several photos"):
                several_photos(jobs)
            with gr.Tab("About and API"):
                gr.Markdown((HERE / "about.md").read_text(encoding="utf-8"))
        stateless_api(jobs)
    page.queue(max_size=jobs.limits.queue, default_concurrency_limit=1)
    return page


def serve(jobs: Jobs, host: str, port: int, block: bool = True) -> tuple[gr.Blocks, str]:
    """Start the page, and return it with its address; MddnetError if the port is in use. Port 0 selects a free one.

    With ``block``, in the main thread only, wait until the process is interrupted or terminated.
    """
    page = build_page(jobs)
    try:
        _, url, _ = page.launch(
            server_name=host, server_port=port or _free_port(host), share=False, inbrowser=False, quiet=True,
            show_error=True, prevent_thread_lock=True, allowed_paths=[], ssr_mode=False, enable_monitoring=False,
            pwa=False, run_history=False, footer_links=["settings"],
            max_file_size=int(jobs.limits.file_mb * 1e6), state_session_capacity=jobs.limits.sessions,
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
            css_paths=HERE / "page.css", js=(HERE / "page.js").read_text(encoding="utf-8"),
        )  # fmt: skip
    except OSError as error:
        raise MddnetError(f"cannot listen on {host}:{port} ({error}); choose another --port") from error
    if block:
        # SIGTERM stops the page like Ctrl+C, so that its files are removed
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        print(f"{TITLE}\n{url}\nStop with Ctrl+C.", flush=True)
        page.block_thread()
    return page, url


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
