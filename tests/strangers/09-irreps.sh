# audit an e3nn module by its irreps
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
net="net.pt --model nets.py:Net -i irreps(4x0e+3x1o+1x2e) -q"
expect 0 '^ *O\(3\): irreps\(4x0e\+3x1o\+1x2e\) -> irreps\(2x0e\+1x1o\)' symcheck audit $net
expect 1 'output, proper +✗ broken' symcheck audit $net -m shifted=true  # what the module states must hold
inputs='O(3): irreps(4x0e+3x1o+1x2e)'
expect 1 'output, proper +✗ broken' symcheck audit $net -m shifted=true "$inputs -> irreps(2x0e+1x1o)"
expect 1 'output, improper +✗ broken' symcheck audit $net "$inputs -> irreps(2x0e+1x1e)"  # not pseudovectors
