"""Time to derive and prove the weight symmetries of a transformer, against one export and one forward pass of it.

    python tests/benchmarks/derive_time.py [--layers 12] [--width 768] [--length 16] [--family gpt2]

With the defaults a GPT-2 of 124 million random parameters in float32, drawn large enough that its attention is not
uniform; needs transformers.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from symcheck.weights.derive import assemble
from symcheck.weights.export import export
from symcheck.weights.session import call_of, proved
from symcheck.weights.trace import trace

SPREAD = 0.06


class Logits(nn.Module):
    """A language model that returns its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.model(tokens, use_cache=False).logits


def build(family: str, layers: int, width: int, vocabulary: int) -> nn.Module:
    import transformers

    torch.manual_seed(0)
    if family == "gpt2":
        config = transformers.GPT2Config(
            n_layer=layers, n_embd=width, n_head=width // 64, vocab_size=vocabulary, initializer_range=SPREAD,
            attn_implementation="eager",
        )  # fmt: skip
        return Logits(transformers.GPT2LMHeadModel(config).eval())
    config = transformers.LlamaConfig(
        num_hidden_layers=layers, hidden_size=width, intermediate_size=4 * width, num_attention_heads=width // 64,
        num_key_value_heads=width // 128, vocab_size=vocabulary, tie_word_embeddings=True, initializer_range=SPREAD,
        attn_implementation="eager",
    )  # fmt: skip
    return Logits(transformers.LlamaForCausalLM(config).eval())


@dataclass(frozen=True)
class Seconds:
    """By the clock and of the processor: the second is fair on a machine that others use too."""

    clock: float = 0.0
    processor: float = 0.0

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.clock + other.clock, self.processor + other.processor)


def timed(what: str, run: Callable[[], Any]) -> tuple[Seconds, Any]:
    start, busy = time.perf_counter(), time.process_time()
    result = run()
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    print(f"{what:10} {seconds:8.2f} s, of CPU {busy:8.2f} s", flush=True)
    return Seconds(seconds, busy), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="gpt2", choices=("gpt2", "llama"))
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--length", type=int, default=16)
    parser.add_argument("--vocabulary", type=int, default=50257)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    model = build(options.family, options.layers, options.width, options.vocabulary)
    tokens = torch.randint(0, options.vocabulary, (1, options.length))
    count = sum(p.numel() for p in model.parameters())
    print(f"{count / 1e6:.0f} million parameters, {torch.get_num_threads()} threads")
    call = call_of(model, tokens)
    export(nn.Linear(2, 2), [torch.zeros(1, 2)], {})  # loads what torch.export needs
    base, _ = timed("export", lambda: export(model, *call))
    with torch.no_grad():
        base += timed("forward", lambda: model(tokens))[0]
    one, traced = timed("trace", lambda: trace(model, *call))
    two, spec = timed("derive", lambda: assemble(traced))
    three, (spec, certificate) = timed("prove", lambda: proved(spec, model, call, graph=traced.graph))
    total = one + two + three
    clock, processor = total.clock / base.clock, total.processor / base.processor
    worst = max((p.error for p in certificate.proofs if p.verdict == "exact"), default=0.0)
    print(f"{len(spec.spaces)} spaces, {len(certificate.failed)} failed, {len(certificate.powerless)} without power")
    print(f"{certificate.forwards} forwards in {certificate.dtype}, worst error {worst:.1e}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB")
    print(f"derive and prove / (export and forward) = {clock:.1f} by the clock, {processor:.1f} of CPU")


if __name__ == "__main__":
    main()
