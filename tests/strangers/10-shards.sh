# join four shards and compare two checkpoints
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
"$python" - <<'END'
import torch

torch.manual_seed(0)
weights = torch.load("cloud.pt")
torch.save({name: x + 0.05 * torch.randn_like(x) for name, x in weights.items()}, "later.pt")
END
net="--model nets.py:Cloud -i points=normal(32,3) -q"
claim='E(3): points=points -> scalar'
for i in 1 2 3 4; do
  expect 0 "shard $i/4 decides nothing" \
    symcheck audit cloud.pt $net "$claim" -m centred=false --shard "$i/4" -o "$i.json"
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
