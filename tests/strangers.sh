#!/usr/bin/env bash
# Tasks of people who have read the README and nothing else. Each makes its own small inputs in a folder of its own, with a
# healthy case and a planted fault. Prints TAP; a task that fails shows the command and what it printed.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python=${PYTHON:-python}

symcheck() { "$python" -m symcheck "$@"; }

# expect CODE PATTERN COMMAND...: the exit code, and an extended regular expression in one line of the output
expect() {
  local code=$1 pattern=$2 rc=0
  shift 2
  "$@" > printed.txt 2>&1 || rc=$?
  if [ "$rc" -ne "$code" ] || ! grep -qE -- "$pattern" printed.txt; then
    printf '# exit code %s; wanted %s and a line with: %s\n# $ %s\n' "$rc" "$code" "$pattern" "$*"
    sed 's/^/#   /' printed.txt
    return 1
  fi
}

calculator() {
  cat > calculators.py <<'END'
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT


class Field(EMT):
    """EMT in a field along x, so that the energy knows where the atoms are."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, all_changes)
        self.results["energy"] += 0.5 * atoms.positions[:, 0].sum()
        self.results["forces"] = self.results["forces"] - [0.5, 0.0, 0.0]
END
  local few="--samples 8 --elements 4 -q"
  expect 0 'energy, proper +✓ exact' \
    symcheck audit --calculator ase.calculators.emt:EMT --structures builtin:Cu --preset potential $few
  expect 0 'not measured: .*Supercell' \
    symcheck audit --calculator ase.calculators.emt:EMT --structures builtin:H2O --preset potential $few
  expect 1 'energy +✗ broken' \
    symcheck audit --calculator calculators.py:Field --structures builtin:Cu --preset potential $few -o field.json
  expect 0 'NetForce' symcheck report show field.json
  expect 2 "did you mean 'EMT'" symcheck audit --calculator ase.calculators.emt:EMTT --structures builtin:Cu -q
}

texts() {
  "$python" -W ignore - <<'END'
import random
from pathlib import Path

import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast, GPT2Config, GPT2LMHeadModel

words = "the a cat dog house river runs sleeps jumps over under quick brown lazy fox green old new bird stone".split()
Path("vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
draw = random.Random(0)
Path("texts.txt").write_text("".join(" ".join(draw.choices(words, k=draw.randint(4, 12))) + "\n" for _ in range(24)))
tokenizer = BertTokenizerFast(vocab_file="vocab.txt")
size = dict(num_hidden_layers=2, num_attention_heads=4, hidden_size=32, vocab_size=len(tokenizer))
torch.manual_seed(0)
bert = BertForMaskedLM(BertConfig(intermediate_size=64, max_position_embeddings=64, **size))
gpt = GPT2LMHeadModel(GPT2Config(n_positions=64, bos_token_id=2, eos_token_id=3, **size))
for folder, network in (("bert", bert), ("gpt", gpt)):
    for weight in network.parameters():
        weight.data.add_(0.2 * torch.randn_like(weight))
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
END
  local slots="input_ids=tokens, attention_mask=mask -> logits=sequence"
  expect 0 '2 exact' symcheck audit hf:gpt "Causal: $slots" "Padding(8): $slots" -i texts.txt -q
  expect 1 '1 exact, 1 broken' symcheck audit hf:bert "Causal: $slots" "Padding(8): $slots" -i texts.txt -q
  expect 0 'embedding +✓ exact' symcheck audit hf:bert -m 'task="features"' -m 'pooling="mean"' \
    --preset text-encoder -i texts.txt -q
  # GPT-2 counts its positions from the start of the row, so padding in front moves them
  expect 1 'Padding\(8,left\).*\(logits\)' symcheck audit hf:gpt --preset language-model -i texts.txt -q
}

clouds() {
  cat > nets.py <<'END'
import torch
from torch import nn


class Cloud(nn.Module):
    def __init__(self, centred=True):
        super().__init__()
        self.centred = centred
        self.each = nn.Sequential(nn.Linear(1, 32), nn.SiLU(), nn.Linear(32, 32))
        self.all = nn.Sequential(nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 4))

    def forward(self, points):
        if self.centred:
            points = points - points.mean(1, keepdim=True)
        return self.all(self.each(points.norm(dim=-1, keepdim=True)).sum(1))
END
  "$python" -c "import torch, nets; torch.manual_seed(0); torch.save(nets.Cloud().state_dict(), 'cloud.pt')"
}

gated() {
  clouds
  cat > symcheck.toml <<'END'
[subject.cloud]
checkpoint = "cloud.pt"
model = "nets.py:Cloud"
arguments = { centred = false }
inputs = { points = "normal(32, 3)" }

[[gate]]
id = "motions"
claim = "E(3): points=points -> scalar"
limit = 1e-3

[[gate]]
id = "order"
claim = "S: points=nodes -> scalar"
verdict = "exact"
END
  expect 0 '2 gates' symcheck gate --check-config
  expect 1 '✗ failed +motions' symcheck gate -q -o red.json -o red.xml
  grep -q '<failure' red.xml
  expect 1 'broken' symcheck audit --replay red.worst.safetensors cloud.pt --model nets.py:Cloud -m centred=false
  sed -i.bak 's/centred = false/centred = true/' symcheck.toml
  expect 0 '3 passed' symcheck gate -q -o green.json
  expect 0 '3 passed' symcheck gate -q --report green.json
  expect 2 'red|another|differ' symcheck gate -q --report red.json
}

seeds() {
  cat > nets.py <<'END'
from torch import nn


def mlp():
    return nn.Sequential(nn.Linear(16, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 4))
END
  "$python" - <<'END'
import nets
import numpy as np
import torch

rng = np.random.default_rng(0)
kind = rng.integers(0, 12, 3000)
x = (1.2 * rng.normal(size=(12, 16))[kind] + 0.8 * rng.normal(size=(3000, 16))).astype("f4")
y = kind % 4
np.savez("train.npz", x=x, y=y)
x, y = torch.tensor(x), torch.tensor(y)
for seed in (0, 1):
    torch.manual_seed(seed)
    net = nets.mlp()
    steps = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(400):
        rows = torch.randint(0, 3000, (256,))
        steps.zero_grad()
        torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        steps.step()
    torch.save({"model_state_dict": net.state_dict(), "epoch": 3}, f"{seed}.pt")
END
  local net="--model nets.py:mlp -i train.npz -q"
  expect 0 'function +the same as before' symcheck align 0.pt 1.pt $net -o aligned.safetensors
  expect 0 'aligned' symcheck connect 0.pt 1.pt $net -o curves.json
  "$python" - <<'END'
import json

variants = json.load(open("curves.json"))["variants"]
naive, aligned = (variants[name]["curves"]["train"]["barrier"]["value"] for name in ("naive", "aligned"))
assert 0 <= aligned < naive / 2, (naive, aligned)
END
  expect 0 'function +same' symcheck weights 1.pt $net --same-function aligned.safetensors
  expect 1 'function +different' symcheck weights 1.pt $net --same-function 0.pt
}

exported() {
  "$python" -W ignore - <<'END'
import numpy as np
import torch
from torch import nn


class Turned(nn.Module):
    """The mean over the four turns of the image."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, image):
        total = 0
        for _ in range(4):
            total, image = total + self.net(image) / 4, image.transpose(2, 3).flip(2)
        return total


torch.manual_seed(0)
rng = np.random.default_rng(0)
images = rng.normal(size=(600, 3, 12, 12)).astype("f4")
np.savez("images.npz", image=images, y=rng.integers(0, 5, 600))
net = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(192, 5))
for name, whole in (("plain", net), ("turned", Turned(net))):
    with torch.no_grad():  # every class gets a share of the labels
        logits = whole(torch.tensor(images))
        net[-1].bias -= logits.mean(0)
        net[-1].weight /= logits.std(0)[:, None]
        net[-1].bias /= logits.std(0)
    names = {"input_names": ["image"], "output_names": ["logits"]}
    axes = {"image": {0: "batch"}, "logits": {0: "batch"}}
    torch.onnx.export(whole, (torch.randn(2, 3, 12, 12),), f"{name}.onnx", dynamic_axes=axes, dynamo=False, **names)
END
  local claim='C4: image=image, y=ignore -> logits=invariant, label=invariant'
  expect 0 'no label changes' symcheck audit turned.onnx "$claim" -i images.npz -q
  expect 1 'label +✗ broken' symcheck audit plain.onnx "$claim" -i images.npz -q
  expect 1 'of the labels change' symcheck audit plain.onnx --preset image-classifier -i images.npz -q --elements 4
  cat > gates.toml <<'END'
checkpoint = "plain.onnx"
inputs = "images.npz"
samples = 600

[[gate]]
id = "flips"
claim = "C4: image=image, y=ignore -> label=invariant"
metric = "flips"
limit = 0.02
END
  expect 1 '✗ failed +flips' symcheck gate gates.toml -q
  sed -i.bak s/plain/turned/ gates.toml
  expect 0 '✓ passed +flips' symcheck gate gates.toml -q
}

graphs() {
  cat > nets.py <<'END'
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing, global_add_pool


class Layer(MessagePassing):
    def __init__(self, distances):
        super().__init__(aggr="add")
        self.distances = distances
        self.message_of = nn.Sequential(nn.Linear(32 + (1 if distances else 3), 16), nn.SiLU(), nn.Linear(16, 16))

    def forward(self, h, pos, edge_index):
        return h + self.propagate(edge_index, h=h, pos=pos)

    def message(self, h_i, h_j, pos_i, pos_j):
        d = pos_i - pos_j
        return self.message_of(torch.cat([h_i, h_j, d.norm(dim=-1, keepdim=True) if self.distances else d], -1))


class Net(nn.Module):
    def __init__(self, distances=True):
        super().__init__()
        self.embed = nn.Embedding(10, 16)
        self.layers = nn.ModuleList(Layer(distances) for _ in range(2))
        self.read = nn.Linear(16, 1)

    def forward(self, data):
        h = self.embed(data.z)
        for layer in self.layers:
            h = layer(h, data.pos, data.edge_index)
        return self.read(global_add_pool(h, data.batch))


def molecules(samples, seed):
    rng = torch.Generator().manual_seed(seed)
    found = []
    for n in torch.randint(5, 12, (samples,), generator=rng).tolist():
        edges = torch.randint(0, n, (2, 3 * n), generator=rng)
        edges = edges[:, edges[0] != edges[1]]
        z, pos = torch.randint(0, 10, (n,), generator=rng), torch.randn(n, 3, generator=rng)
        found.append(Data(z=z, pos=pos, edge_index=torch.cat([edges, edges.flip(0)], 1)))
    return found
END
  "$python" - <<'END'
import nets
import torch

for name, distances in (("good", True), ("bad", False)):
    torch.manual_seed(0)
    torch.save(nets.Net(distances).state_dict(), f"{name}.pt")
END
  local motions='E(3): z=scalar, pos=points, edge_index=scalar, batch=owner -> scalar'
  local order='S: z=nodes, pos=nodes, edge_index=edges, batch=owner -> scalar'
  local net="--model nets.py:Net -i nets.py:molecules --takes data -q"
  expect 0 '3 exact' symcheck audit good.pt $net "$motions" "$order"
  expect 1 '1 exact, 2 broken' symcheck audit bad.pt $net -m distances=false "$motions" "$order"
  expect 1 'output +✗ broken' symcheck audit good.pt $net "${order/edges,/scalar,}"   # edges that do not follow their nodes
  expect 2 'takes 2 positional arguments' symcheck audit good.pt ${net/--takes data/} "$motions"
}

lightning() {
  cat > nets.py <<'END'
import torch
from torch import nn


class Rings(nn.Module):
    """Averages over rings of the image, or over rings that one side outweighs."""

    def __init__(self, width, tilt):
        super().__init__()
        axis = torch.linspace(-1, 1, 33)
        radius = torch.hypot(axis[:, None], axis)
        rings = torch.stack([torch.exp(-((radius - at) ** 2) / 0.02) for at in (0.0, 0.2, 0.4, 0.6)])
        self.register_buffer("rings", rings * (1 + tilt * axis) / 50, persistent=False)
        self.head = nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3))

    def forward(self, image):
        return self.head(torch.einsum("bcij,kij->bk", image, self.rings))


class Lit(nn.Module):
    def __init__(self, width, tilt=0.0, lr=1e-3):
        super().__init__()
        self.model = Rings(width, tilt)

    def forward(self, image):
        return self.model(image)
END
  "$python" - <<'END'
import nets
import numpy as np
import torch
from scipy.ndimage import gaussian_filter

torch.manual_seed(0)
net = nets.Lit(24)
torch.save(
    {
        "epoch": 3,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": net.state_dict(),
        "callbacks": {"ModelCheckpoint{'monitor': 'val_loss'}": {"best_model_score": torch.tensor(0.3)}},
        "optimizer_states": [torch.optim.Adam(net.parameters()).state_dict()],
        "hyper_parameters": {"width": 24, "lr": 3e-4},
    },
    "lit.ckpt",
)
axis = np.linspace(-1, 1, 33)
window = np.clip((0.9 - np.hypot(axis[:, None], axis)) / 0.5, 0, 1)  # nothing outside the disc, which turns would cut off
noise = np.random.default_rng(0).normal(size=(40, 33, 33))
images = np.stack([gaussian_filter(x, 3) * window for x in noise])[:, None]
np.savez("images.npz", image=(images / images.std()).astype("f4"))
END
  local net="--model nets.py:Lit -i images.npz -q --tolerance 0.02"
  expect 0 'hyper-parameters in the file: width=24' \
    symcheck audit lit.ckpt $net -m width=24 'C4: image -> invariant' 'SO(2): image -> invariant'
  expect 1 'resampled +✗ broken' symcheck audit lit.ckpt $net -m width=24 -m tilt=0.9 'SO(2): image -> invariant'
  expect 0 '1 exact' symcheck audit lit.ckpt ${net/:Lit/:Rings} -m width=24 -m tilt=0.0 --key state_dict.model. \
    'C4: image -> invariant'
  expect 2 'missing a required argument' symcheck audit lit.ckpt $net 'C4: image -> invariant'
}

inside() {
  cat > nets.py <<'END'
import torch
from torch import nn


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular"), nn.ReLU())
        self.pool = nn.MaxPool2d(2)
        self.border = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)

    def forward(self, image):
        return self.head(torch.relu(self.border(self.pool(self.stem(image)))).mean((2, 3)))
END
  "$python" -c "import torch, nets; torch.manual_seed(0); torch.save(nets.CNN().state_dict(), 'cnn.pt')"
  local net="cnn.pt --model nets.py:CNN -i image=normal(3,16,16) -q"
  expect 0 '2 exact' symcheck audit $net 'Shift(2): image=image -> image' --output stem.0 --output pool
  expect 1 'border +✗ broken' symcheck audit $net 'Shift(2): image=image -> output=invariant, pool=image, border=image'
  expect 2 "did you mean 'border'" symcheck audit $net 'Shift(2): image=image -> image' --output bordr

  symcheck explain image-classifier --format toml > mine.toml
  expect 1 'logits, improper +✗ broken' symcheck audit $net --preset mine.toml --elements 4
  sed -i.bak -e '/^  "/d' -e 's/^tolerance = .*/tolerance = 1e-3/' mine.toml
  sed -i.bak '/^claims = \[/a\
  "Shift(2): image|x=image, *=ignore -> pool?=image, border?=image, *=ignore",
' mine.toml
  expect 0 'tolerance 0.1 %' symcheck audit $net --preset mine.toml --output pool
  expect 1 'border +✗ broken' symcheck audit $net --preset mine.toml --output pool --output border
  expect 0 'tolerance 5 %' symcheck audit $net --preset mine.toml --output pool --tolerance 0.05   # a flag stands above
  sed -i.bak s/tolerance/tolerence/ mine.toml
  expect 2 "did you mean 'tolerance'" symcheck audit $net --preset mine.toml
}

irreps() {
  cat > nets.py <<'END'
import torch
from e3nn import o3
from torch import nn


class Net(nn.Module):
    def __init__(self, shifted=False):
        super().__init__()
        self.irreps_in, self.irreps_out = o3.Irreps("4x0e+3x1o+1x2e"), o3.Irreps("2x0e+1x1o")
        middle = o3.Irreps("8x0e+4x1o")
        self.product = o3.FullyConnectedTensorProduct(self.irreps_in, self.irreps_in, middle)
        self.out = o3.Linear(middle, self.irreps_out)
        self.shift = torch.tensor([0.3, -0.2, 0.5, 0.0, 0.0]) if shifted else 0.0

    def forward(self, x):
        return self.out(self.product(x, x)) + self.shift
END
  "$python" -W ignore -c "import torch, nets; torch.manual_seed(0); torch.save(nets.Net().state_dict(), 'net.pt')"
  local net="net.pt --model nets.py:Net -i irreps(4x0e+3x1o+1x2e) -q"
  expect 0 'has +O\(3\): irreps\(4x0e\+3x1o\+1x2e\) -> irreps\(2x0e\+1x1o\)' symcheck audit $net
  expect 0 'has not +O\(3\): irreps' symcheck audit $net -m shifted=true --exit-zero
  local inputs='O(3): irreps(4x0e+3x1o+1x2e)'
  expect 1 'output, proper +✗ broken' symcheck audit $net -m shifted=true "$inputs -> irreps(2x0e+1x1o)"
  expect 1 'output, improper +✗ broken' symcheck audit $net "$inputs -> irreps(2x0e+1x1e)"   # vectors, not pseudovectors
}

shards() {
  clouds
  "$python" - <<'END'
import torch

torch.manual_seed(0)
weights = torch.load("cloud.pt")
torch.save({name: x + 0.05 * torch.randn_like(x) for name, x in weights.items()}, "later.pt")
END
  local net="--model nets.py:Cloud -i points=normal(32,3) -q" claim='E(3): points=points -> scalar' i
  for i in 1 2 3 4; do
    expect 0 "shard $i/4 decides nothing" symcheck audit cloud.pt $net "$claim" -m centred=false --shard "$i/4" -o "$i.json"
  done
  expect 0 '4 shards: 2 failed' symcheck report merge 1.json 2.json 3.json 4.json -o merged.json
  expect 1 '2 broken' symcheck audit cloud.pt $net "$claim" -m centred=false -o whole.json
  "$python" - <<'END'
import json

whole, merged = ([f["error"] for f in json.load(open(name))["findings"]] for name in ("whole.json", "merged.json"))
assert whole == merged, (whole, merged)
END
  expect 2 'shard 3/4 is missing' symcheck report merge 1.json 2.json 4.json -o no.json
  symcheck audit later.pt $net "$claim" -m centred=false --shard 3/4 -o 3.json > printed.txt 2>&1
  expect 2 'shards differ' symcheck report merge 1.json 2.json 3.json 4.json -o no.json

  expect 0 '2 exact' symcheck audit cloud.pt $net "$claim" -o old.json
  expect 0 '2 exact' symcheck audit later.pt $net "$claim" -o new.json
  expect 0 '2 same' symcheck report diff old.json new.json --fail-on-worse
  expect 1 '2 worse' symcheck report diff old.json whole.json --fail-on-worse
  expect 0 '2 better' symcheck report diff whole.json old.json --fail-on-worse
}

law() {
  cat > nets.py <<'END'
import torch
from torch import nn


class Pair(nn.Module):
    def __init__(self, both=True):
        super().__init__()
        self.both = both
        self.net = nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, a, b):
        score = self.net(torch.cat([a, b], -1))
        return {"score": score + self.net(torch.cat([b, a], -1)) if self.both else score}


class Swap:
    """score(b, a) = score(a, b)."""

    def sample(self, n, seed):
        return torch.ones(n, 1, dtype=torch.float64)

    def move(self, g, inputs):
        return {"a": inputs["b"], "b": inputs["a"]}

    def residual(self, g, seen, rest):
        return {"score": seen["score"] - rest["score"]}


swap = Swap()
END
  "$python" -c "import torch, nets; torch.manual_seed(0); torch.save(nets.Pair().state_dict(), 'pair.pt')"
  local net="pair.pt --model nets.py:Pair -i a=normal(6) -i b=normal(6) -q"
  expect 0 '1 exact' symcheck audit $net 'nets.py:swap: a=scalar, b=scalar -> score=scalar'
  expect 1 '1 broken' symcheck audit $net -m both=false 'nets.py:swap: a=scalar, b=scalar -> score=scalar'
}

count=0
failed=0
task() {
  local rc=0
  count=$((count + 1))
  if [ -n "${ONLY:-}" ] && [ "$ONLY" != "$1" ]; then return; fi
  mkdir "$here/$1"
  set +e
  (set -e; cd "$here/$1"; "$1")
  rc=$?
  set -e
  if [ "$rc" -eq 0 ]; then echo "ok $count - $2"; else echo "not ok $count - $2"; failed=$((failed + 1)); fi
}

task calculator 'audit a calculator'
task texts 'audit a folder of transformers'
task gated 'gate a point cloud network, red and green'
task seeds 'align two seeds and look at the barrier'
task exported 'audit an exported classifier, its label and its flips'
task graphs 'audit a graph network on Data'
task lightning 'audit a Lightning checkpoint on turned images'
task inside 'audit a layer inside, and edit a preset'
task irreps 'audit an e3nn module by its irreps'
task shards 'join four shards and compare two checkpoints'
task law 'audit by a law of your own'
echo "1..$count"
exit $((failed > 0))
