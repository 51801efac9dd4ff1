"""The web page and its server. Needs Gradio (extra ``demo``)."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import gradio as gr

from mddnet.demo.api import stateless_api
from mddnet.demo.batch_tab import batch_tab
from mddnet.demo.jobs import Jobs
from mddnet.demo.photo_tab import photo_tab
from mddnet.demo.stack_tab import stack_tab
from mddnet.errors import MddnetError

TITLE = "mddnet: depth and defocus from one photo"
INTRODUCTION = """# Depth and defocus from one photo
Click a photo to focus there. Photos stay on the machine that serves this page."""
HERE = Path(__file__).parent


def build_page(jobs: Jobs) -> gr.Blocks:
    """The page as a Gradio app that is not started yet."""
    # Gradio reads this when components are created.
    os.environ["GRADIO_TEMP_DIR"] = str(jobs.scratch.cache)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, int(jobs.limits.temp_age_s))) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Tabs(overflow_behavior="wrap"):
            with gr.Tab("Photo", elem_classes=["mdd-tab"]):
                photo_tab(page, jobs)
            with gr.Tab("Focal stack", elem_classes=["mdd-tab"]) as tab:
                stack_tab(jobs, tab, two=False)
            with gr.Tab("Two photos", elem_classes=["mdd-tab"]) as tab:
                stack_tab(jobs, tab, two=True)
            with gr.Tab("Several photos"):
                batch_tab(jobs)
            with gr.Tab("About and API"):
                about = gr.Markdown()
        stateless_api(jobs)
        page.load(_about, None, about, api_visibility="private")
    page.queue(max_size=jobs.limits.queue, default_concurrency_limit=1)
    return page


def _about(request: gr.Request) -> str:
    """The text of the last tab, with the address at which the visitor sees the page."""
    address = str(request.headers.get("origin") or request.url.replace(path="", query="")).rstrip("/")
    text = (HERE / "about.md").read_text(encoding="utf-8")
    return text.replace("http://127.0.0.1:7860", address)


def serve(jobs: Jobs, host: str, port: int) -> None:
    """Serve the page until the process is interrupted or terminated; in the main thread only.

    MddnetError if the port is in use. Port 0 selects a free one.
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
    # SIGTERM stops the page like Ctrl+C, so that its files are removed
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"{TITLE}\n{url}\nStop with Ctrl+C.", flush=True)
    page.block_thread()


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
