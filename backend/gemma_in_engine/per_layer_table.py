"""vLLM plugin that keeps the per-layer embedding table in pinned host memory, where the GPU reads single rows of it.

Of a table of 262,144 rows a token reads one, 17.9 KB of 4.38 GiB, so it fits the slow way over the bus. The table is
allocated in host memory before the weights are loaded and the file is read straight into it: neither the GPU nor the
host ever holds it twice. vLLM's own `--cpu-offload-gb` and `--cpu-offload-params` reach decoder layers only.

Switched on by the environment variable `GEMMA_IN_ENGINE_PER_LAYER_TABLE=host`.
"""

from __future__ import annotations

import inspect
import os
from typing import Any

import torch

from gemma_in_engine import vllm_names

SWITCH = "GEMMA_IN_ENGINE_PER_LAYER_TABLE"
# cudaHostRegisterPortable | cudaHostRegisterMapped (CUDA Runtime API, "Memory Management").
_REGISTER_FLAGS = 1 | 2


def register() -> None:
    """Entry point in vLLM's group `vllm.general_plugins`: does nothing unless it is switched on, or a second time."""
    if os.environ.get(SWITCH) != "host":
        return
    lacking = [name for name in vllm_names.PLUGINS["gemma_per_layer_table"] if not vllm_names.fits(name)]
    if not lacking and not vllm_names.builds_table(vllm_names.model_source()):
        lacking = [vllm_names.Name(vllm_names.MODEL_SOURCE, vllm_names.PER_LAYER_TABLE)]
    if lacking:
        vllm_names.say_missing(lacking[0], "the per-layer embedding table stays on the GPU")
        return
    build = vllm_names.look_up(vllm_names.EMBEDDING_INIT)
    assert build is not None
    if getattr(build, "keeps_table_on_host", False):
        return
    signature = inspect.signature(build)

    def init(layer: Any, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(layer, *args, **kwargs).arguments
        if str(given.get("prefix", "")).rpartition(".")[2] != vllm_names.PER_LAYER_TABLE or not _on_host(
            build, layer, args, kwargs
        ):
            build(layer, *args, **kwargs)

    init.keeps_table_on_host = True  # type: ignore[attr-defined]
    init.__signature__ = signature  # type: ignore[attr-defined]
    vllm_names.replace(vllm_names.EMBEDDING_INIT, init)


def _on_host(build: Any, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Build `layer` with its table in host memory; False where that can't be, and `layer` is to be built once more."""
    device = torch.get_default_device()
    platform = vllm_names.look_up(vllm_names.PLATFORM)
    assert platform is not None
    # While weights are quantised online, layers are first built without memory.
    if device.type == "meta" or not (platform.is_cpu() or platform.is_cuda_alike()):
        return _leave("this device has no view of host memory")
    # The innermost device wins; the memory is taken from the system when it is written to, not here.
    with torch.device("cpu"):
        build(layer, *args, **kwargs)
    plain = vllm_names.look_up(vllm_names.PLAIN_EMBEDDING)
    if type(layer.quant_method) is not plain or [name for name, _ in layer.named_parameters()] != ["weight"]:
        return _leave("it is quantised")
    weight = layer.weight
    host = torch.nn.Parameter(weight.data, requires_grad=False)
    host.__dict__.update(weight.__dict__)
    if not platform.is_cpu():
        try:
            weight.data = _pinned_view(host.data)
        except RuntimeError as error:
            return _leave(f"the memory could not be pinned ({error})")
        # vLLM's own mark for such views (model_executor/offloader/uva.py).
        weight._vllm_is_uva_offloaded = True
    load = weight.weight_loader

    def load_on_host(_: Any, loaded: Any) -> None:
        load(host, loaded)

    weight.weight_loader = load_on_host
    # The view does not own the memory.
    layer.host_table = host.data
    vllm_names.logger.info(
        "The per-layer embedding table is in host memory: %.2f GiB that the GPU keeps free",
        host.numel() * host.element_size() / 2**30,
    )
    return True


def _pinned_view(table: Any) -> Any:
    """Pin the memory of a CPU tensor in place and return the GPU's view of it; RuntimeError if the driver refuses.

    torch's own pinned allocator rounds up to a power of two (c10 `CachingHostAllocator`): 8 GiB for this table.
    """
    runtime = torch.cuda.cudart()
    code = int(runtime.cudaHostRegister(table.data_ptr(), table.numel() * table.element_size(), _REGISTER_FLAGS))
    if code:
        try:
            # A refusal stays behind as CUDA's last error, which the next kernel would be blamed for.
            torch.zeros(1, device="cuda")
        except RuntimeError:
            pass
        raise RuntimeError(f"cudaHostRegister: error {code}")
    try:
        view = vllm_names.look_up(vllm_names.DEVICE_VIEW)
        assert view is not None
        return view(table)
    except RuntimeError:
        runtime.cudaHostUnregister(table.data_ptr())
        raise


def _leave(reason: str) -> bool:
    vllm_names.logger.warning("The per-layer embedding table stays with the other weights: %s", reason)
    return False
