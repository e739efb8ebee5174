"""What --devices, --scheduler, --shard and --resume say, and what torchrun says of one of its processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symcheck.errors import ConfigError


@dataclass(frozen=True)
class Asked:
    """Who measures: options for `symcheck.audit`, the files to write, and the accelerator of this process."""

    options: Mapping[str, Any]
    outputs: list[Path] | None
    device: int | None = None

    @property
    def part(self) -> str:
        """What a shard says on stderr; empty for a whole audit."""
        if "shard" not in self.options or not self.outputs:
            return ""
        index, count = self.options["shard"]
        return (
            f"shard {index}/{count} decides nothing: join all {count} with symcheck report merge, "
            f"{self.outputs[0].name} and the others"
        )


def spread_of(
    devices: str | None,
    scheduler: str | None,
    shard: str | None,
    resume: bool,
    outputs: list[Path] | None,
    environ: Mapping[str, str],
) -> Asked:
    """The options as they were given; a process of torchrun takes the shard of its rank and writes OUT.i-of-n.json.

    Raises ConfigError where a value is not understood, or there is no FILE.json to put the parts beside.
    """
    options: dict[str, Any] = {}
    if devices is not None:
        options["devices"] = [name.strip() for name in devices.split(",") if name.strip()]
    if scheduler is not None:
        options["scheduler"] = scheduler
    rank = _rank(environ) if shard is None else None
    if shard is not None or rank is not None:
        index, count = rank or _shard(shard or "")
        json_file = _json(outputs, "--shard" if rank is None else "torchrun")
        if rank is not None:
            json_file = json_file.with_name(f"{json_file.stem}.{index}-of-{count}{json_file.suffix}")
        if len(outputs or []) > 1:
            raise ConfigError("a shard is written as JSON alone", where="-o", hint="write the others of what is merged")
        from symcheck.report.write import parts_file

        outputs = [json_file]
        options |= {"shard": (index, count), "parts": parts_file(json_file)}
    if resume:
        from symcheck.report.write import parts_folder

        options["resume"] = parts_folder(_json(outputs, "--resume"))
    return Asked(options, outputs, int(environ.get("LOCAL_RANK", 0)) if rank is not None else None)


def _json(outputs: list[Path] | None, what: str) -> Path:
    """The JSON document that is written, which is the first one."""
    if not outputs or outputs[0].suffix != ".json":
        raise ConfigError(
            f"{what} keeps its parts beside a JSON document", where="-o", hint="give -o FILE.json, as the first -o"
        )
    return outputs[0]


def _shard(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise ConfigError(f"'{text}' is no shard", where="--shard", hint="write i/n, from 1/4 to 4/4")
    return int(index), int(count)


def _rank(environ: Mapping[str, str]) -> tuple[int, int] | None:
    """Which of how many processes of torchrun this is; None where it is alone."""
    rank, count = environ.get("RANK", ""), environ.get("WORLD_SIZE", "")
    if "TORCHELASTIC_RUN_ID" not in environ or not (rank.isdecimal() and count.isdecimal()) or int(count) < 2:
        return None
    return int(rank) + 1, int(count)
