# audit by a law of your own
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
net="pair.pt --model nets.py:Pair -i a=normal(6) -i b=normal(6) -q"
expect 0 '1 exact' symcheck audit $net 'nets.py:swap: a=scalar, b=scalar -> score=scalar'
expect 1 '1 broken' symcheck audit $net -m both=false 'nets.py:swap: a=scalar, b=scalar -> score=scalar'
