# audit an exported classifier, its label and its flips
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
claim='C4: image=image, y=ignore -> logits=invariant, label=invariant'
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
