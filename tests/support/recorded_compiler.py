"""What Intel's compiler for Loihi 2 printed when it put three networks on the chip.

Numbers only, from the outputs of notebooks of lava-nc/lava-dl (BSD-3), tutorials/lava/lib/dl/netx. Weight bits are not
printed: they are those with which all words come out, as netx's `optimize_weight_bits` finds them where the weights
could be read.
"""

from __future__ import annotations

from dataclasses import dataclass

from spikeport.hw_targets.workload import ConvLink, DenseLink, Group, Workload


@dataclass(frozen=True)
class Layer:
    """A row: tile (channels, height, width), what one core has in the mean, and how many cores there are.

    `axon_memory` is printed, and not modelled.
    """

    tile: tuple[int, ...]
    in_axons: int
    neurons: int
    synapse_words: int
    axon_words: int
    axon_memory: int
    cores: int


PILOTNET_SHAPES = ((3, 66, 200), (24, 32, 99), (36, 15, 49), (48, 7, 24), (64, 4, 22), (64, 2, 20), 100, 50, 10, 1)
PILOTNET_STRIDES = ((2, 2), (2, 2), (2, 2), (2, 1), (1, 1))
PILOTNET_PADDINGS = ((0, 0), (0, 0), (0, 0), (1, 0), (0, 0))
PILOTNET_SDNN_BITS = (4, 4, 4, 5, 4, 4, 6, 4, 4)
PILOTNET_SNN_BITS = (4, 4, 4, 4, 4, 3, 4, 4, 4)

PILOTNET_INPUT = Layer((3, 66, 16), 1, 3168, 0, 1015, 731, 13)
"""pilotnet_snn/benchmark.ipynb, 2022-10-12: its Input is a layer of neurons on the chip."""
PILOTNET_SNN = (
    Layer((24, 32, 4), 2, 3072, 81, 253, 93, 25),
    Layer((36, 15, 4), 2, 2160, 864, 113, 32, 13),
    Layer((48, 7, 8), 2, 2688, 1620, 112, 46, 3),
    Layer((64, 4, 8), 1, 2048, 2160, 29, 9, 3),
    Layer((64, 2, 16), 1, 2048, 2880, 1280, 0, 2),
    Layer((9,), 2560, 8, 7253, 8, 0, 12),
    Layer((50,), 100, 50, 1300, 50, 0, 1),
    Layer((10,), 50, 10, 150, 10, 0, 1),
    Layer((1,), 10, 1, 10, 1, 0, 1),
)
"""The same; its cores with the input's are 74. Of layers with a size alone, neurons are printed rounded down."""
PILOTNET_SDNN = (
    *PILOTNET_SNN[:3],
    Layer((64, 4, 8), 1, 2048, 2592, 29, 9, 3),
    *PILOTNET_SNN[4:6],
    Layer((50,), 100, 50, 1500, 50, 0, 1),
    *PILOTNET_SNN[7:],
)
"""pilotnet_sdnn/run.ipynb, 2022-10: 61 cores."""
PILOTNET_SNN_VIOLATIONS = (61440, 61440, 61440, 12800)
PILOTNET_SDNN_VIOLATIONS = (66560, 66560, 66560, 12800)
"""Synapse words of the first dense layer, found too much (the limit is 12000) in one round after another."""

OXFORD = (Layer((127,), 200, 85, 5400, 85, 0, 3), Layer((127,), 256, 100, 8064, 100, 0, 2))
"""oxford/run.ipynb, 2022-09-22: 256 and 200 neurons; neurons are means, rounded down. Tiles are not printed: that of
127 is what the violations and both sums of words leave.
"""
OXFORD_BITS = 8
OXFORD_VIOLATIONS = ((16200, 16200, 16200, 16200, 16000), (16128, 16128, 16128, 16128, 16128))
OXFORD_OLD_BITS = 6
OXFORD_OLD_VIOLATIONS = ((14600, 14600, 14600), (14592, 14592, 14592, 9472))
"""oxford/runLoihi.ipynb, 2022-08-18, the limit is 8184; what it ended with is not printed."""


@dataclass(frozen=True)
class Convolution:
    """A row of YOLO-KP's table: the layer, and what one core uses, in percent. `axon_memory` in words: it is printed in
    percent of 16,000, and not modelled.
    """

    shape: tuple[int, int, int]
    kernel: int
    stride: int
    bits: int
    tile: tuple[int, int, int]
    percent: dict[str, float]
    axon_memory: int
    total: float
    cores: int


def _row(shape, kernel, stride, bits, tile, groups, neurons, synapses, axons, memory, total, cores) -> Convolution:
    percent = {"neuron groups": groups, "neurons": neurons, "synapse words": synapses, "axon words": axons}
    return Convolution(shape, kernel, stride, bits, tile, percent, memory, total, cores)


YOLO_INPUT = (3, 448, 448)
YOLO = (
    _row((16, 224, 224), 3, 2, 5, (16, 28, 8), 12.5, 87.52, 0.34, 1.40, 112, 19.88, 224),
    _row((32, 112, 112), 3, 2, 6, (32, 14, 8), 12.5, 87.52, 3.60, 0.70, 56, 21.65, 112),
    _row((64, 56, 56), 3, 2, 5, (64, 14, 4), 12.5, 87.52, 10.80, 0.35, 28, 26.99, 56),
    _row((128, 28, 28), 3, 2, 5, (128, 7, 4), 12.5, 87.52, 39.60, 0.17, 56, 50.03, 28),
    _row((256, 28, 28), 3, 1, 5, (128, 7, 4), 12.5, 87.52, 79.20, 0.17, 28, 81.57, 56),
    _row((256, 14, 14), 3, 2, 4, (64, 7, 8), 12.5, 87.52, 72.00, 0.35, 448, 78.05, 16),
    _row((512, 14, 14), 3, 1, 5, (64, 7, 8), 12.5, 87.52, 86.40, 0.35, 56, 87.61, 32),
    _row((256, 14, 14), 1, 1, 5, (256, 7, 2), 12.5, 87.52, 67.20, 0.09, 56, 72.04, 14),
    _row((512, 14, 14), 3, 1, 5, (64, 7, 8), 12.5, 87.52, 86.40, 0.35, 28, 87.47, 32),
    _row((48, 14, 14), 1, 1, 6, (48, 14, 4), 25.0, 65.64, 19.20, 16.80, 0, 42.26, 4),
)
"""yolo_kp/run.ipynb, 2023 or 2024, on the eight chips of a Kapoho Point: 574 cores. Bits are inferred from the words
alone (its weights are not in the repository); of the first, 4 to 7 do, of the second and last 6 or 7.
"""


def pilotnet(bits: tuple[int, ...], input_on_chip: bool) -> Workload:
    shapes = [shape if isinstance(shape, tuple) else (shape,) for shape in PILOTNET_SHAPES]
    groups = [Group(str(at), shape, placed=at > 0 or input_on_chip) for at, shape in enumerate(shapes)]
    links: list[ConvLink | DenseLink] = []
    for at, each in enumerate(bits, start=1):
        ends = (str(at - 1), str(at))
        if at <= 5:
            how = ((3, 3), PILOTNET_STRIDES[at - 1], PILOTNET_PADDINGS[at - 1])
            links.append(ConvLink(*ends, shapes[at - 1], shapes[at], *how, weight_bits=each))
        else:
            links.append(DenseLink(*ends, groups[at - 1].size, each))
    return Workload("pilotnet", tuple(groups), tuple(links))


def oxford(bits: int) -> Workload:
    groups = (Group("0", (200,), placed=False), Group("1", (256,)), Group("2", (200,)))
    return Workload("oxford", groups, (DenseLink("0", "1", 200, bits), DenseLink("1", "2", 256, bits)))


def yolo() -> Workload:
    shapes = [YOLO_INPUT, *(row.shape for row in YOLO)]
    groups = [Group(str(at), shape, placed=at > 0) for at, shape in enumerate(shapes)]
    links = []
    for at, row in enumerate(YOLO, start=1):
        how = ((row.kernel,) * 2, (row.stride,) * 2, (row.kernel // 2,) * 2)
        links.append(ConvLink(str(at - 1), str(at), shapes[at - 1], row.shape, *how, weight_bits=row.bits))
    return Workload("yolo", tuple(groups), tuple(links))
