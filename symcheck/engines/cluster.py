"""The workers of a dask.distributed scheduler: units are its tasks, retried by it where a worker is lost."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from symcheck.engines.desk import Desk, remade
from symcheck.engines.engine import BLOCKS, Engine
from symcheck.engines.job import Done, Job, Unit, copied, identity
from symcheck.errors import ConfigError, ModelError
from symcheck.importing import extra
from symcheck.loading.sent import packed

PATIENCE = 10  # seconds to wait for a scheduler, and for its first worker
RETRIES = 3
AWAY = 6  # times this long may no worker be there before the run ends: they may be restarted


@contextlib.contextmanager
def on_workers(job: Job, address: str, recipe: Callable[[], tuple[Any, Any]] | None) -> Iterator[Engine]:
    """An engine whose units run on the workers of the scheduler at `address`.

    Each worker process makes the job from the recipe, or unpickles it, once. Raises ConfigError where no scheduler or
    no worker answers in time, and LoadError where a worker sees another network or other data.
    """
    client, workers = _connected(address)
    try:
        desk = Desk(_making(job, recipe), identity(job))
        blocks = max(BLOCKS, 2 * workers)
        yield Engine(blocks, partial(_run, client, address, desk), {"scheduler": address, "workers": workers})
    finally:
        with contextlib.suppress(Exception):  # the scheduler may be gone
            client.close(timeout=PATIENCE)


def _connected(address: str) -> tuple[Any, int]:
    """A client, and how many workers there are."""
    distributed = extra("distributed", "cluster")
    try:
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ConfigError(
            f"no scheduler answers: {str(error).splitlines()[0]}" if str(error) else "no scheduler answers",
            where=address,
            hint="start one with 'dask scheduler' and give its address, such as tcp://10.0.0.1:8786",
        ) from error
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
        return client, len(client.scheduler_info(n_workers=-1)["workers"])
    except (OSError, TimeoutError) as error:
        client.close()
        raise ConfigError(
            "the scheduler has no workers", where=address, hint=f"start some with: dask worker {address}"
        ) from error


def _making(job: Job, recipe: Callable[[], tuple[Any, Any]] | None) -> bytes:
    """A pickled function that makes the job on a worker."""
    if recipe is not None:
        own = {name: getattr(job.subject, name) for name in ("name", "derive", "output", "takes", "graph")}
        making: Callable[[], Job] = partial(remade, recipe, own, tuple(job.tensors), job.how)
    else:
        cpu = torch.device("cpu")
        tensors = {name: x.to(cpu) for name, x in job.tensors.items()}
        how = job.how if job.how.device else replace(job.how, device="auto")
        making = partial(Job, replace(copied(job.subject, cpu), encode=None), tensors, how)
    return packed(making, job.subject.name)


def _run(client: Any, address: str, desk: Desk, units: Sequence[Unit]) -> Generator[Done]:
    distributed = extra("distributed", "cluster")
    if not units:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a network is a large argument
        made = client.submit(Desk, desk.making, desk.identity, pure=False)
        futures = [client.submit(Desk.measure, made, unit, retries=RETRIES, pure=False) for unit in units]
    try:
        yield from _results(client, distributed, futures)
    except distributed.scheduler.KilledWorker as error:
        raise ModelError(
            "every worker that measured this died", where=str(error).splitlines()[0][:200],
            hint="look at the log of the workers: the memory may be too small; try a smaller --batch-size",
        ) from error  # fmt: skip
    except (OSError, TimeoutError, CancelledError) as error:  # one future, or all of them at once
        raise ConfigError(
            f"the workers were lost: {error or type(error).__name__}", where=address,
            hint="start them again, then this run; with --resume it goes on where it was",
        ) from error
    finally:
        with contextlib.suppress(Exception):  # the scheduler may be gone
            client.cancel(futures, force=True)


def _results(client: Any, distributed: Any, futures: Sequence[Any]) -> Iterator[Done]:
    """What the units found, as they finish; OSError when the scheduler, or every worker, has been away for long."""
    pending, away = set(futures), 0
    while pending:
        finished: Iterable[Any] = ()
        with contextlib.suppress(TimeoutError), client.as_current():
            finished, pending = distributed.wait(pending, timeout=PATIENCE, return_when="FIRST_COMPLETED")
        told = False
        for future in finished:
            try:
                found = future.result(timeout=PATIENCE)
            except TimeoutError:  # the worker that held it is gone: it is measured again
                pending.add(future)
                continue
            told = True
            yield found
        away = 0 if told or _peopled(client) else away + 1
        if away > AWAY:
            raise OSError("no worker is left")


def _peopled(client: Any) -> bool:
    """Whether the scheduler answers and has workers."""
    try:
        return client.status == "running" and bool(client.nthreads())
    except (OSError, TimeoutError):
        return False
