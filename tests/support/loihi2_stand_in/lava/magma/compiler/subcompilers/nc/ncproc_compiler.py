"""The chip's compiler. Importing it puts the stand-in's run configuration in the place of Lava's."""

from lava.magma.core import run_configs
from stand_in import Loihi2HwCfg, note


class CompilerOptions:
    verbose = False


run_configs.Loihi2HwCfg = Loihi2HwCfg
note("ncproc_compiler")
