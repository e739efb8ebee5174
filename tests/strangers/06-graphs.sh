# audit a graph network on Data
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
motions='E(3): z=scalar, pos=points, edge_index=scalar, batch=owner -> scalar'
order='S: z=nodes, pos=nodes, edge_index=edges, batch=owner -> scalar'
net="--model nets.py:Net -i nets.py:molecules --takes data -q"
expect 0 '3 exact' symcheck audit good.pt $net "$motions" "$order"
expect 1 '1 exact, 2 broken' symcheck audit bad.pt $net -m distances=false "$motions" "$order"
expect 1 'output +✗ broken' symcheck audit good.pt $net "${order/edges,/scalar,}"  # edges that stay behind
expect 2 'takes 2 positional arguments' symcheck audit good.pt ${net/--takes data/} "$motions"
