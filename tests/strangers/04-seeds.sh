# align two seeds and look at the barrier
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
net="--model nets.py:mlp -i train.npz -q"
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
