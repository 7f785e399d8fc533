"""All choices of a spiking transformer, as plain data that a checkpoint can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spikeport.export.nn_attention import LinearAttention, SoftmaxAttention, Ties, Windowed, WTAAttention
from spikeport.export.nn_codes import Code, PositionKind, TokenKind
from spikeport.export.nn_neurons import Kind, Neuron, Surrogate, neuron, unknown
from spikeport.export.nn_norms import NormKind
from spikeport.sim.errors import SpikeportError, refuse

Attention = Literal["linear", "wta", "softmax"]
HeadKind = Literal["average", "accumulate", "concatenate", "final"]


@dataclass(frozen=True)
class DecoderConfig:
    """A `SpikeDecoder`. Defaults are the extended linear one; SpikeDecoder's paper has threshold 1, sigmoid, T = 4,
    `power`, no decay and no shift, static positions, hidden 16 E. Errors: `option-range`.
    """

    vocab: int = 64
    masks: bool = False
    """One more token, number `vocab`, for what is hidden: the input's alone."""
    steps: int = 2
    """Micro-steps T of a token."""
    blocks: int = 2
    heads: int = 4
    hidden: int = 4
    """Of the MLP, in widths E."""
    token_code: TokenKind = "learned"
    token_bits: int = 64
    position_code: PositionKind = "none"
    position_bits: int = 0
    positions: int = 64
    """Positions count modulo this; where attention is not causal, the length of every sequence."""
    combine: bool = False
    neuron: Kind = "lif"
    qkv_neuron: Kind | None = None
    """Of queries, keys and values, if another; linear attention counts coincidences, and needs `lif`."""
    depth: int = 4
    """Levels D of `nilif`."""
    tau: float = 2.0
    threshold: float = 0.5
    """Of `lif`; the amplitude of `tlif`."""
    beta: float = 0.5
    surrogate: Surrogate = "atan"
    norm: NormKind = "batch"
    residual: Literal[0, 1, 2] = 0
    """SpikeDecoder's degrees: 0 real numbers; 1 spikes after each half of a block; 2 spikes in every sum."""
    attention: Attention = "linear"
    causal: bool = True
    decay: tuple[int, ...] = ()
    """Shift m of each head of linear attention, which keeps 1 - 2**-m from token to token; 0 or empty: all."""
    window: int = 32
    winners: int = 1
    ties: Ties = "newest"
    sharpness: float = 1.0
    """Of the softmax that winners' gradients come from."""
    shift: bool = False
    """Whether queries, keys and values see the previous token too."""
    scale: float = 0.125
    """What attention's result, in units of the values, is multiplied by before its neuron."""
    attention_norm: bool = False
    """A norm there besides, with a shift per channel."""
    head: HeadKind = "concatenate"
    head_neuron: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.attention == "linear" and (self.qkv_neuron or self.neuron) != "lif":
            raise self._clash("qkv_neuron", "linear attention counts coincidences of binary spikes", "Give it `lif`.")
        if not self.causal and (self.attention == "linear" or self.shift):
            raise self._clash("causal", "linear attention and the shift look back alone", "Take them causal.")
        if self.decay and len(self.decay) != self.heads:
            raise self._clash("decay", f"there are {self.heads} heads", "Give one shift for each head, or none.")
        if min(self.steps, self.blocks, self.heads, self.hidden, self.positions, self.window, self.winners) < 1:
            raise self._clash("sizes", "steps, blocks, heads, hidden, positions, window, winners are 1 or more", "")

    def _clash(self, option: str, why: str, how: str) -> SpikeportError:
        return refuse("option-range", option, f"it does not fit the others in {self}", why, how)

    @property
    def period(self) -> int:
        """How many tokens a window holds: N where attention is not causal."""
        return self.window if self.causal else self.positions


def make_code(config: DecoderConfig) -> Code:
    """The code; its `size` is the model's width E. Raises `option-range` where heads do not divide it."""
    code = Code(
        config.vocab + config.masks,
        config.token_code,
        config.token_bits,
        config.position_code,
        config.position_bits,
        config.positions,
        config.combine,
    )
    if code.size % config.heads:
        what, why = f"{config.heads} heads, a code of {code.size} bits", "every head has the same number of channels"
        raise refuse("option-range", "heads", what, why, "Take a divisor, or another width of the code.")
    return code


def make_neuron(config: DecoderConfig, kind: Kind | None = None) -> Neuron:
    """A neuron of the model, of its common kind unless said."""
    return neuron(
        kind or config.neuron,
        tau=config.tau,
        threshold=config.threshold,
        surrogate=config.surrogate,
        depth=config.depth,
        beta=config.beta,
    )


def make_attention(config: DecoderConfig, size: int) -> LinearAttention | Windowed:
    """Attention of width `size`."""
    if config.attention == "linear":
        return LinearAttention(config.heads, config.decay)
    if config.attention == "softmax":
        return SoftmaxAttention(config.heads, config.period, config.causal)
    if config.attention != "wta":
        raise unknown("attention", config.attention, "linear, wta or softmax")
    sender = make_neuron(config, config.qkv_neuron)
    return WTAAttention(
        config.heads,
        size,
        config.period,
        causal=config.causal,
        winners=config.winners,
        ties=config.ties,
        unit=sender.unit,
        depth=sender.high,
        sharpness=config.sharpness,
    )
