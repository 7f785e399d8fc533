"""Which versions of NIR a file may be of, and what is certain about each. Source: the releases, 0.0.6 to 1.0.8.

From 0.1 to 1.0 no field changed its meaning, and what was added has a value that says the same as its absence:

| field | since | its absence means |
|---|---|---|
| `/version` | 0.2, or late in 0.1 | 0.1, or another program; each field is known by name all the same |
| `w_in` of CubaLIF | 0.1 | 1: the equation before had no w_in |
| `input_type` of Flatten | 0.2 | it is not known; shapes are inferred here anyway |
| `v_reset` | 1.0.6 | 0, as NIR itself has read such files since |

The equations printed up to 1.0.5 subtract the threshold instead, which no field could say; the recordings published
with the LIF and Braille files of that time are met with a reset to 0. NIR 0.0 had nodes without names; its edges are
numbers, and refused as such.
"""

from __future__ import annotations

import re

import nir

from spikeport.export import nir_findings
from spikeport.export.nir_wire import Item, Other
from spikeport.sim.errors import Finding

KNOWN = frozenset({(0, 1), (0, 2), (1, 0)})
"""(major, minor) of every release so far, apart from 0.0."""
_FORM = re.compile(r"(\d{1,4})\.(\d{1,4})(?:[.+a-z][0-9a-z.+]*)?", re.ASCII)


def findings(version: Item | None, where: str) -> list[Finding]:
    """What is wrong with a file's `/version`; nothing where there is none."""
    if version is None:
        return []
    match = _FORM.fullmatch(version) if isinstance(version, str) else None
    if match is None:
        what = version.what if isinstance(version, Other) else repr(version)
        return [nir_findings.version(where, f"its version is {what}", "A version is a text like '1.0.8'.")]
    if (int(match[1]), int(match[2])) not in KNOWN:
        how = f"Write the file with NIR {nir.version}, or look for a newer spikeport."
        return [nir_findings.version(where, f"its version is {version!r}; 0.1, 0.2 and 1.0 are known", how)]
    return []
