"""One function over many inputs on a Ray cluster; the calls of workers and machines that die are repeated.

All machines must share the folders that are read and written (for example by NFS) and have the same versions of the
numerical packages, so that results do not depend on the machine. Needs the extra ``ray``, imported when used.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from mddnet.errors import ClusterError
from mddnet.version import __version__

Task = TypeVar("Task")
Result = TypeVar("Result")

RETRIES = 4  # number of repetitions of a call whose worker or machine died
IN_FLIGHT = 1000  # number of inputs that are submitted at a time; sufficient for a cluster that adds machines by demand
VERSIONED_PACKAGES = ("numpy", "scipy", "opencv-python-headless", "pillow", "onnxruntime")
"""Packages whose version can affect results."""


def on_ray(
    address: str,
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    lost: Callable[[Task, str], Result],
    folders: Iterable[Path] = (),
    cores: int = 1,
) -> Generator[Result]:
    """Call a function for each input on a Ray cluster, and yield the results in the order of completion.

    If a worker or machine dies, its call is repeated up to :data:`RETRIES` times, on another machine if necessary. The
    function may therefore be called several times for one input. Closing the generator stops the run.

    Args:
        address: of the cluster: ``auto``, ``HOST:PORT`` of its head, or ``ray://HOST:PORT`` from outside.
        function: a function of an installed module; an exception ends the run.
        tasks: the inputs.
        lost: the result for an input whose calls all died, given the reason.
        folders: folders that every machine must share; ClusterError if one is missing.
        cores: processor cores per call.
    """
    import ray

    try:
        _check_reachable(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ClusterError(
            f"--ray {address}: cannot reach a cluster ({_first_line(error)}); expected auto, HOST:PORT of `ray start "
            "--head` (from a machine of the cluster), or ray://HOST:10001 (from outside)"
        ) from error
    shared_folders = tuple(str(folder.resolve()) for folder in folders)
    remote: Any = ray.remote(num_cpus=cores, max_retries=RETRIES, scheduling_strategy="SPREAD")(_checked_call)
    waiting: dict[Any, Task] = {}
    remaining = iter(tasks)
    try:
        shared = ray.put((function, tuple(versions().items()), shared_folders))
        while True:
            for task in islice(remaining, IN_FLIGHT - len(waiting)):
                waiting[remote.remote(shared, task)] = task
            if not waiting:
                return
            for done in ray.wait(list(waiting), num_returns=1)[0]:
                task = waiting.pop(done)
                try:
                    result = ray.get(done)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause or error from None  # the exception of the function
                except ray.exceptions.RayError as error:
                    result = lost(task, f"lost {RETRIES + 1} times on the cluster: {_first_line(error)}")
                yield result
    finally:
        for left in waiting:
            with suppress(Exception):  # the call may be done, or its machine dead
                ray.cancel(left, force=True)
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise a ValueError for an address of another form, or an OSError: Ray itself retries for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("not of the form HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), timeout=10.0).close()


def _checked_call(
    shared: tuple[Callable[[Task], Result], tuple[tuple[str, str], ...], tuple[str, ...]], task: Task
) -> Result:
    function, expected, folders = shared
    _check_machine(expected, folders)
    return function(task)


@cache
def _check_machine(expected: tuple[tuple[str, str], ...], folders: tuple[str, ...]) -> None:
    """Raise a ClusterError if this machine has other versions or lacks a folder."""
    host = socket.gethostname()
    found = versions()
    for name, required in expected:
        if found.get(name) != required:
            raise ClusterError(
                f"{host}: {name} {found.get(name) or 'is not installed'}; expected {required} as on the machine that "
                "started the run, since results may depend on it: install the same versions everywhere"
            )
    for folder in folders:
        if not Path(folder).exists():
            raise ClusterError(f"{host}: {folder} does not exist; expected a path that all machines share: mount it")


def versions() -> dict[str, str]:
    """Versions of mddnet and of those numerical packages that are installed."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and not needed to predict

    found = {"mddnet": __version__}
    for name in VERSIONED_PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip()
