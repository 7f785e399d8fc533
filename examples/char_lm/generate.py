"""Text from the integers, one character at a time: `python examples/char_lm/generate.py linear --engine lava`.

On `fast` each character is fed back as it is chosen. Lava cannot be stopped between two steps in which all layers have
done as much, so there the text of `fast` is read by Lava in one go, and is Lava's own up to the first character that
Lava would have chosen otherwise; from there on it is read again. Both texts are what feeding back one by one gives.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import corpus
from presets import PRESETS

from spikeport.export import transformers
from spikeport.export.nn import SpikeDecoder, load_model
from spikeport.pipeline import language, show
from spikeport.pipeline.sessions import open_session
from spikeport.sim.errors import SpikeportError, refuse

HERE = Path(__file__).parent


def ported(name: str, longest: int) -> language.Ported:
    """A checkpoint's integers. Errors: `model-unknown` where it is none that writes."""
    model = load_model(HERE / f"{name}.pt")
    if not isinstance(model, SpikeDecoder) or not model.config.causal:
        why, how = "text is written from left to right, by spikes", "Choose linear, faithful or wta."
        raise refuse("model-unknown", name, "it does not write", why, how)
    learned = corpus.split()[0][:1024].reshape(8, 128)
    graph = transformers.graph(model, PRESETS[name].anew)
    return language.ported(graph, model.config.vocab, learned, longest)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=["linear", "faithful", "wta"])
    parser.add_argument("--engine", default="fast", help="fast, lava, reference, ...")
    parser.add_argument("--prompt", default="the ")
    parser.add_argument("--count", type=int, default=200, help="of characters")
    parser.add_argument("--temperature", type=float, default=0.7, help="0: always the likeliest")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    try:
        if not given.prompt or given.count < 1 or given.temperature < 0:
            what = f"prompt {given.prompt!r}, count {given.count}, temperature {given.temperature}"
            raise refuse("option-range", "options", what, "a text begins, goes on, and is drawn", "Give more.")
        model = ported(given.model, len(given.prompt) + given.count)
        prompt, choose = corpus.encode(given.prompt), language.chooser(given.temperature, given.seed)
        session = model.program.open(states=(language.READ_OUT,))
        text = language.written(model, session, prompt, given.count, choose)
        if given.engine != "fast":
            options = {"python": os.environ.get("SPIKEPORT_LAVA_PYTHON")} if given.engine == "lava" else {}
            other = open_session(model.program, given.engine, **options)
            text, runs = language.confirmed(model, other, prompt, text, choose)
            print(f"{given.engine}: {runs} run(s)", file=sys.stderr)
    except SpikeportError as error:
        show.findings(error.findings, False)
        return 2
    print(given.prompt + corpus.decode(text))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
