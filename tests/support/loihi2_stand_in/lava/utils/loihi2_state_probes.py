"""Probes of a Var in every step."""

import numpy as np
from lava.magma.core.callback_fx import NxSdkCallbackFx
from stand_in import note


class StateProbe(NxSdkCallbackFx):
    """`time_series`: all steps of the first neuron, then of the next; there after the run."""

    def __init__(self, var) -> None:
        process = var.process
        note("StateProbe", kind=type(process).__name__, var=var.name)
        self._size, self._path = int(np.prod(var.shape)), f"probe-{process.id}-{var.name}"
        process.proc_params[f"stand_in_{var.name}"] = self._path

    def pre_run_callback(self, board=None, var_id_to_var_model_map=None) -> None:
        pass

    def post_run_callback(self, board=None, var_id_to_var_model_map=None) -> None:
        pass

    @property
    def time_series(self) -> np.ndarray:
        return np.fromfile(self._path, np.int32).reshape(-1, self._size).T.ravel()
