"""PESTO, transposed by s bins: the encoder sees 219 of 251 bins, and its output should move by s."""

import torch
from asked import pairs, say
from pitch import encoder

net = encoder()
for entry, element, inputs in pairs("pesto"):
    s, bins = int(element), inputs["bins"]
    with torch.no_grad():
        here = net(bins[:, 16:235])[entry["output"]]
        there = net(bins[:, 16 - s : 235 - s])[entry["output"]]
    say(entry, there[:, 16 + s : 203 + s] - here[:, 16:203])
