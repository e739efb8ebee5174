# audit a layer inside, and edit a preset
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
net="cnn.pt --model nets.py:CNN -i image=normal(3,16,16) -q"
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
