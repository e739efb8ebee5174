"""The whole zoo."""

from __future__ import annotations

import zoo_decoders
import zoo_encoders
import zoo_small
import zoo_vision
from zoo_entry import Entry

ENTRIES: dict[str, Entry] = {
    entry.name: entry for part in (zoo_small, zoo_vision, zoo_encoders, zoo_decoders) for entry in part.ENTRIES
}
