"""`hf:FOLDER`: a network that transformers wrote into a folder. Nothing is fetched, and no code of the folder runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from symcheck.errors import ConfigError, LoadError
from symcheck.files import nearest, reason, sha256
from symcheck.importing import extra
from symcheck.loading.frameworks.keys import WEIGHTS, check_keys, weight_files
from symcheck.loading.frameworks.pooling import POOLINGS, tensors_only
from symcheck.loading.frameworks.tokens import tokens_of
from symcheck.loading.loaders import loaders
from symcheck.registry import suggest
from symcheck.subject import Source, Subject

_TASKS = {
    "features": "AutoModel",
    "causal-lm": "AutoModelForCausalLM",
    "masked-lm": "AutoModelForMaskedLM",
    "seq2seq-lm": "AutoModelForSeq2SeqLM",
    "sequence-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "image-classification": "AutoModelForImageClassification",
    "audio-classification": "AutoModelForAudioClassification",
}
_DTYPES = ("auto", "float64", "float32", "bfloat16", "float16")
_CODE = ("auto_map", "custom_pipelines")


@dataclass(frozen=True)
class Asked:
    """What `-m` may say: the head, the precision, how attention is computed, and the vector of a whole text."""

    task: str = ""
    dtype: str = "auto"
    attn_implementation: str = ""
    pooling: str = "none"
    normalize: bool = False
    padding_side: str = ""
    max_length: int = 0


@loaders.register("hf")
def load_hf(rest: str, *, arguments: Mapping[str, object], base: Path) -> Subject:
    """The network in a local folder of transformers (config.json and weights), with its tokenizer where it has one.

    Outputs keep their names (`last_hidden_state`, `pooler_output`, `logits`); with `pooling` also `embedding` (n, d).
    Raises LoadError: no such folder, code of its own, weights that are missing or left over, each listed.
    """
    asked = _asked(arguments)
    folder = (base / Path(rest).expanduser()).resolve()
    config = _config(folder)
    transformers = extra("transformers", "hf")
    kind = _class(transformers, asked, config, folder)
    with _quiet(transformers, folder):
        net, found = kind.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, weights_only=True, output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are listed; they are refused below
            dtype=asked.dtype if asked.dtype == "auto" else getattr(torch, asked.dtype),
            **({"attn_implementation": asked.attn_implementation} if asked.attn_implementation else {}),
        )  # fmt: skip
        tokens, notes = tokens_of(transformers, folder, asked.padding_side, asked.max_length)
    notes += check_keys(net, found, folder, chosen=bool(asked.task), pooled=asked.pooling != "none")
    _one_answer(net)
    net.register_forward_hook(tensors_only(asked.pooling, asked.normalize), with_kwargs=True)
    own = [name for name in _CODE if name in config]
    notes += [f"{folder.name} names code of its own ({own[0]} in config.json), which is not run"] if own else []
    return Subject(
        folder.name, net.eval(), module=net, source=_source(folder, net, arguments), encode=tokens, notes=tuple(notes)
    )


def _asked(arguments: Mapping[str, object]) -> Asked:
    known = {field.name: type(field.default) for field in fields(Asked)}
    for name, value in arguments.items():
        if name not in known:
            raise ConfigError(f"hf: takes no argument '{name}'", where=f"-m {name}", hint=suggest(name, [*known]))
        if type(value) is not known[name]:
            raise ConfigError(
                f"'{name}' must be a {known[name].__name__}, not {value!r}", where=f"-m {name}", hint="quote a text"
            )
    asked = Asked(**arguments)  # type: ignore[arg-type]
    words = {
        "task": ("", *_TASKS), "dtype": _DTYPES, "pooling": POOLINGS, "padding_side": ("", "left", "right"),
    }  # fmt: skip
    for name, allowed in words.items():
        value = getattr(asked, name)
        if value not in allowed:
            raise ConfigError(
                f"'{value}' is no {name}", where=f"-m {name}", hint=suggest(value, [word for word in allowed if word])
            )
    if asked.normalize and asked.pooling == "none":
        raise ConfigError("there is no embedding to normalise", where="-m normalize", hint="say -m pooling=mean too")
    return asked


def _config(folder: Path) -> dict[str, Any]:
    """The content of config.json; LoadError says what the folder lacks."""
    if not folder.is_dir():
        raise LoadError(
            "there is no such folder" if not folder.exists() else "this is no folder",
            where=str(folder),
            hint=f"nothing is fetched from a hub; save_pretrained writes such a folder. {nearest(folder)}",
        )
    file = folder / "config.json"
    if not file.is_file():
        adapter = (folder / "adapter_config.json").is_file()
        raise LoadError(
            "the folder holds an adapter, not a network" if adapter else "the folder has no config.json",
            where=str(folder),
            hint="merge the adapter into its network and save that (merge_and_unload, save_pretrained)"
            if adapter
            else "give a folder that save_pretrained wrote",
        )
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise LoadError(f"the file cannot be read: {reason(error)}", where=str(file), hint="copy it again") from error
    if not isinstance(config, dict):
        raise LoadError("config.json is no table", where=str(file), hint="copy it again")
    if not weight_files(folder):
        raise LoadError(
            "the folder holds no weights", where=str(folder), hint=f"it should hold one of {', '.join(WEIGHTS)}"
        )
    return config


def _class(transformers: Any, asked: Asked, config: Mapping[str, Any], folder: Path) -> Any:
    """The class of the task, or the one that the folder names itself; code that the folder brings is refused."""
    model_type = config.get("model_type")
    if model_type not in transformers.CONFIG_MAPPING:
        own = any(name in config for name in _CODE)
        raise LoadError(
            f"transformers {transformers.__version__} knows no '{model_type}'"
            + (": the folder brings its own code, which is not run" if own else ""),
            where=str(folder / "config.json"),
            hint="give the network itself: the weights with --model file.py:factory, whose code you then trust"
            if own
            else suggest(str(model_type), list(transformers.CONFIG_MAPPING), "install a newer transformers"),
        )
    named = config.get("architectures") or ["AutoModel"]
    name = _TASKS[asked.task] if asked.task else str(named[0])
    kind = getattr(transformers, name, None)
    automatic = asked.task or name == "AutoModel"
    if not automatic and not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)):
        raise LoadError(
            f"transformers {transformers.__version__} has no network '{name}'",
            where=f"{folder / 'config.json'}, architectures",
            hint=f"say which head you mean with -m task=...: {', '.join(_TASKS)}",
        )
    return kind


@contextmanager
def _quiet(transformers: Any, folder: Path) -> Iterator[None]:
    """Errors of transformers as ours; what it would log about the weights is an error or a note of the report."""
    log = transformers.utils.logging
    before, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    except LoadError:
        raise
    except Exception as error:  # transformers raises nearly anything
        raise LoadError(
            f"transformers cannot load the folder: {type(error).__name__}: {reason(error)}",
            where=str(folder),
            hint="it must load with local_files_only=True; --traceback shows where it fails",
        ) from error
    finally:
        log.set_verbosity(before)
        if bars:
            log.enable_progress_bar()


def _one_answer(net: nn.Module) -> None:
    """Switch off what would return more than tensors: caches and plain tuples."""
    config: Any = net.config
    config.use_cache, config.return_dict = False, True


def _source(folder: Path, net: nn.Module, arguments: Mapping[str, object]) -> Source:
    """Where the network came from; the digest is that of its weights, or of the digests of several files."""
    digests = [sha256(path) for path in weight_files(folder)]
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return Source(str(folder), digest, "transformers", type(net).__name__, dict(arguments))

