# gate a point cloud network, red and green
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
expect 0 'now: the same' symcheck audit --replay red.worst.safetensors cloud.pt --model nets.py:Cloud -m centred=false
sed -i.bak 's/centred = false/centred = true/' symcheck.toml
expect 0 '3 passed' symcheck gate -q -o green.json
expect 0 '3 passed' symcheck gate -q --report green.json
expect 2 'it was measured with arguments' symcheck gate -q --report red.json
