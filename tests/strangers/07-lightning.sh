# audit a Lightning checkpoint on turned images
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
window = np.clip((0.9 - np.hypot(axis[:, None], axis)) / 0.5, 0, 1)  # turns cut off what is outside the disc
noise = np.random.default_rng(0).normal(size=(40, 33, 33))
images = np.stack([gaussian_filter(x, 3) * window for x in noise])[:, None]
np.savez("images.npz", image=(images / images.std()).astype("f4"))
END
net="--model nets.py:Lit -i images.npz -q --tolerance 0.02"
expect 0 'hyper-parameters in the file: width=24' \
  symcheck audit lit.ckpt $net -m width=24 'C4: image -> invariant' 'SO(2): image -> invariant'
expect 1 'resampled +✗ broken' symcheck audit lit.ckpt $net -m width=24 -m tilt=0.9 'SO(2): image -> invariant'
expect 0 '1 exact' symcheck audit lit.ckpt ${net/:Lit/:Rings} -m width=24 -m tilt=0.0 --key state_dict.model. \
  'C4: image -> invariant'
expect 2 'missing a required argument' symcheck audit lit.ckpt $net 'C4: image -> invariant'
