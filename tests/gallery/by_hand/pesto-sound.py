"""PESTO on a sound and on the same sound, quieter: pitch and activations should stay."""

import torch
from asked import pairs, say
from pitch import pesto

net = pesto()
for entry, element, inputs in pairs("pesto-sound"):
    with torch.no_grad():
        loud, quiet = net(inputs["audio"]), net(inputs["audio"] * float(element))
    say(entry, quiet[entry["output"]] - loud[entry["output"]])
    level = 20 * float(element.log10())
    print(f"  {float(loud['pitch']):.2f} semitones, and {float(quiet['pitch']):.2f} at {level:.0f} dB")
