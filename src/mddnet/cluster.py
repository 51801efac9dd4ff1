"""One function over many inputs on a Ray cluster: the work of workers and machines that die is done again.

All machines share the folders that are read and written (by NFS, for instance) and have the same versions of what
computes, so that results do not depend on the machine. Ray is in the extra ``ray`` and imported when used.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from mddnet.errors import ClusterError
from mddnet.version import __version__

Task = TypeVar("Task")
Result = TypeVar("Result")

RETRIES = 4
"""How often an input is started again whose worker or machine died."""
IN_FLIGHT = 1000
"""Inputs that are handed to the cluster at a time: enough to keep it busy, and to let it ask for more machines."""
CONNECT_TIMEOUT_S = 10.0
COMPUTING = ("numpy", "scipy", "opencv-python-headless", "pillow", "onnxruntime")
"""Packages whose version can change a result."""


def on_ray(
    address: str,
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    lost: Callable[[Task, str], Result],
    folders: Iterable[Path] = (),
    cores: int = 1,
) -> Generator[Result]:
    """Call a function for each input on a Ray cluster.

    An input whose worker or machine dies is started again, up to :data:`RETRIES` times, on another machine if its own
    is gone; so the function may be called twice.

    Args:
        address: of the cluster: ``auto``, ``HOST:PORT`` of its head, or ``ray://HOST:PORT`` from outside.
        function: a function of an installed module; what it raises ends the whole run.
        tasks: the inputs.
        lost: result of an input that was lost too often, with the reason.
        folders: folders that every machine must see.
        cores: processor cores of one call.

    Yields:
        The results, in the order in which they are done. Closing the generator stops the work.

    Raises:
        ClusterError: if the cluster cannot be reached, or a machine of it lacks a folder or has other versions.
    """
    import ray

    try:
        _check_reachable(address)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ClusterError(
            f"--ray {address}: no cluster to be reached there ({_first_line(error)}); expected auto, HOST:PORT of `ray "
            "start --head`, from a machine of the cluster, or ray://HOST:10001 from outside"
        ) from error
    here = versions()
    needed = tuple(str(folder.resolve()) for folder in folders)
    remote = ray.remote(num_cpus=cores, max_retries=RETRIES, scheduling_strategy="SPREAD")(_checked_call)
    waiting: dict[Any, Task] = {}
    coming = iter(tasks)
    try:
        shared = ray.put((function, here, needed))
        while True:
            for task in islice(coming, IN_FLIGHT - len(waiting)):
                waiting[remote.remote(shared, task)] = task
            if not waiting:
                return
            for done in ray.wait(list(waiting), num_returns=1)[0]:
                task = waiting.pop(done)
                try:
                    result = ray.get(done)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause or error from None  # what the function raised, as if it had been called here
                except ray.exceptions.RayError as error:
                    result = lost(task, f"lost {RETRIES + 1} times on the cluster: {_first_line(error)}")
                yield result
    finally:
        for left in waiting:
            with suppress(Exception):  # it may be done, or its machine gone
                ray.cancel(left, force=True)
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Connect once, to fail at once: Ray itself tries for minutes.

    Raises:
        ValueError: for an address of another form.
        OSError: if nothing listens there.
    """
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("no HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT_S).close()


def _checked_call(shared: tuple[Callable[[Task], Result], dict[str, str], tuple[str, ...]], task: Task) -> Result:
    """The function, on a machine of the cluster with the same versions and folders."""
    function, expected, folders = shared
    _check_machine(tuple(sorted(expected.items())), folders)
    return function(task)


@cache
def _check_machine(expected: tuple[tuple[str, str], ...], folders: tuple[str, ...]) -> None:
    """Refuse a machine with other versions or without a folder.

    Raises:
        ClusterError: naming the machine, what it has and what it should have.
    """
    host = socket.gethostname()
    found = versions()
    for name, wanted in expected:
        if found.get(name) != wanted:
            raise ClusterError(
                f"{host}: {name} {found.get(name) or 'is not installed'}; expected {wanted} as on the machine that "
                "started the run, so that results do not depend on the machine: install the same versions everywhere"
            )
    for folder in folders:
        if not Path(folder).exists():
            raise ClusterError(f"{host}: no {folder}; expected a path that all machines of the cluster share")


def versions() -> dict[str, str]:
    """Versions of mddnet and of the packages that compute, those that are not installed left out."""
    found = {"mddnet": __version__}
    for name in COMPUTING:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip()
