# audit a folder of transformers
"$python" -W ignore - <<'END'
import random
from pathlib import Path

import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast, GPT2Config, GPT2LMHeadModel

words = "the a cat dog house river runs sleeps jumps over under quick brown lazy fox green old new bird stone".split()
Path("vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
draw = random.Random(0)
Path("texts.txt").write_text("".join(" ".join(draw.choices(words, k=draw.randint(4, 12))) + "\n" for _ in range(24)))
tokenizer = BertTokenizerFast(vocab_file="vocab.txt")
size = dict(num_hidden_layers=2, num_attention_heads=4, hidden_size=32, vocab_size=len(tokenizer))
torch.manual_seed(0)
bert = BertForMaskedLM(BertConfig(intermediate_size=64, max_position_embeddings=64, **size))
gpt = GPT2LMHeadModel(GPT2Config(n_positions=64, bos_token_id=2, eos_token_id=3, **size))
for folder, network in (("bert", bert), ("gpt", gpt)):
    for weight in network.parameters():
        weight.data.add_(0.2 * torch.randn_like(weight))
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
END
slots="input_ids=tokens, attention_mask=mask -> logits=sequence"
expect 0 '2 exact' symcheck audit hf:gpt "Causal: $slots" "Padding(8): $slots" -i texts.txt -q
expect 1 '1 exact, 1 broken' symcheck audit hf:bert "Causal: $slots" "Padding(8): $slots" -i texts.txt -q
expect 0 'embedding +✓ exact' symcheck audit hf:gpt -m 'task="features"' -m 'pooling="mean"' \
  --preset text-encoder -i texts.txt -q
# GPT-2 counts its positions from the start of the row, so padding in front moves them
expect 1 'Padding\(8,left\).*\(logits\)' symcheck audit hf:gpt --preset language-model -i texts.txt -q
