"""Each cause is named from the words that vLLM and its libraries really write."""

from __future__ import annotations

import pytest

from gemma_backend.engine.causes import CAUSES
from gemma_backend.engine.explain import explain

BANNER = """\
(APIServer pid=11) INFO 11-23 08:00:00 [api_utils.py:347]  ▄▄ ▄█ █     █     █ ▀▄▀ █  version 0.28.0
(APIServer pid=11) INFO 11-23 08:00:00 [api_utils.py:286] non-default args: {'port': 8011, 'model': '/models/m'}
"""
CONFIG = """\
(APIServer pid=11) INFO 11-23 08:00:09 [model.py:623] Resolved architecture: Gemma4ForConditionalGeneration
(APIServer pid=11) INFO 11-23 08:00:09 [model.py:1788] Using max model len 131072
(EngineCore pid=22) INFO 11-23 08:00:20 [core.py:116] Initializing a V1 LLM engine (v0.28.0) with config: model='/m'
"""
WRAPPER = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"


def raised(tag: str, head: str, *blocks: str) -> str:
    rows = []
    for number, block in enumerate(blocks):
        if number:
            rows += ["", "The above exception was the direct cause of the following exception:", ""]
        rows += ["Traceback (most recent call last):", '  File "/v/lib/vllm/x.py", line 7, in load', "    call()"]
        rows += block.split("\n")
    return "".join(f"{tag}{head}{row}\n" for row in rows)


def in_core(*blocks: str) -> str:
    """A log in which the engine core fails: logged, printed by multiprocessing, wrapped by the server."""
    head = "ERROR 11-23 08:00:30 [core.py:1330] "
    core = "(EngineCore pid=22) "
    logged = f"{core}{head}EngineCore failed to start.\n" + raised(core, head, *blocks)
    printed = f"{core}Process EngineCore:\n" + raised(core, "", *blocks)
    return BANNER + CONFIG + logged + printed + raised("(APIServer pid=11) ", "", WRAPPER)


def in_server(*blocks: str) -> str:
    """A log in which the API server itself fails."""
    return BANNER + raised("(APIServer pid=11) ", "", *blocks)


OOM = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.25 GiB. GPU 0 has a total capacity of 23.56 GiB "
    "of "
    "which 56.88 MiB is free. Including non-PyTorch memory, this process has 23.41 GiB memory in use."
)
OLD_DRIVER = (
    "UserWarning: CUDA initialization: The NVIDIA driver on your system is too old (found version 12020). Please update"
)
NO_DEVICE = "RuntimeError: Failed to infer device type, please set the environment variable `VLLM_LOGGING_LEVEL=DEBUG`"
KV = (
    "ValueError: To serve at least one request with the model's max seq len (131072), (4.50 GiB KV cache is needed, "
    "which "
    "is larger than the available KV cache memory (1.21 GiB). Based on the available memory, the estimated maximum "
    "model "
    "length is 35216. Try increasing `gpu_memory_utilization`"
)
FREE = (
    "ValueError: Free memory on device cuda:0 (5.32/79.18 GiB) on startup is less than desired GPU memory utilization "
    "(0.9, 71.26 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes."
)
VALIDATION = "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n  Value error, "
QUANT = (
    "Quantization method specified in the model config (modelopt_fp4) does not match the quantization method "
    "specified in "
    "the `quantization` argument (fp8). [type=value_error, input_value=ArgsKwargs((), {}), input_type=ArgsKwargs]"
)
HTTP = "huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error. (Request ID: 1-6)\n\nRepository Not Found for"
GATED = "huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: 1-6)\n\nCannot access gated repo for url"
OFFLINE = (
    "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder for the "
    "specified "
    "revision on the local disk and outgoing traffic has been disabled."
)
EMPTY = "OSError: /models/m does not appear to have a file named config.json. Checkout 'https://x' for files."
ARCH = "Model architectures ['FooForCausalLM'] are not supported for now. Supported architectures: dict_keys(['A'])"
MODEL_TYPE = (
    "ValueError: The checkpoint you are trying to load has model type `gemma4` but Transformers does not recognize "
    "this "
    "architecture. This could be because of an issue with the checkpoint, or because your version of Transformers is "
    "out "
    "of date."
)
CAPABILITY = (
    "ValueError: The quantization method modelopt_fp4 is not supported for the current GPU. Minimum capability: 75. "
    "Current capability: 70."
)
BIND = "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8011): address already in use"
UP = "INFO:     Application startup complete."
DIED = "(EngineCore pid=22) ERROR 11-23 08:01:00 [multiproc_executor.py:316] Worker proc VllmWorker-0 died unexpectedly"

KILLED = raised("(APIServer pid=11) ", "", WRAPPER[:-2] + "{'EngineCore': -9}")

# A log, the cause's name in the table, words that its sentence must hold.
CASES = {
    "gpu memory": (in_core(OOM), "gpu-out-of-memory", ["2.25 GiB", "56.88 MiB"]),
    "gpu memory, bare": (in_core("torch.AcceleratorError: CUDA error: out of memory"), "gpu-out-of-memory", []),
    "gpu memory taken": (in_core(FREE), "gpu-memory-taken", ["5.32", "79.18", "71.26"]),
    "kv cache": (in_core(KV), "kv-cache-too-small", ["131072", "4.50", "1.21"]),
    "no kv cache": (in_core("ValueError: No available memory for the cache blocks. Try"), "kv-cache-none", []),
    "host memory": (
        in_core(
            "RuntimeError: [enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: "
            "you "
            "tried to allocate 8589934592 bytes. Error code 12 (Cannot allocate memory)"
        ),
        "host-out-of-memory",
        [],
    ),
    "host memory for kv": (
        in_core(
            "ValueError: Available memory on node 0 (6.10/23.47 GiB) on kv cache allocation is less than requested "
            "memory "
            "for kv (40.0 GiB). Decrease --kv-cache-memory-bytes, VLLM_CPU_KVCACHE_SPACE"
        ),
        "host-memory-kv",
        ["6.10", "23.47"],
    ),
    "port at the end": (
        BANNER + CONFIG + f"(APIServer pid=11) {UP}\n(APIServer pid=11) {BIND}\n",
        "port-in-use",
        ["8011"],
    ),
    "port at the end, raised": (
        BANNER
        + CONFIG
        + "INFO:     Application startup complete.\n"
        + raised("", "", "OSError: [Errno 98] Address already in use"),
        "port-in-use",
        ["8011"],
    ),
    "no file of weights": (in_core("RuntimeError: Cannot find any model weights with `/m`"), "weights-missing", []),
    "truncated": (
        in_core(
            "safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata, file not fully "
            "covered"
        ),
        "weights-truncated",
        ["cut short"],
    ),
    "truncated, older": (
        in_core("safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer"),
        "weights-truncated",
        [],
    ),
    "corrupt": (
        in_core("safetensors_rust.SafetensorError: Error while deserializing header: invalid JSON in header: expected"),
        "weights-corrupt",
        ["damaged"],
    ),
    "shape": (
        in_core("ValueError: There is no module or parameter named 'lm_heads' in Gemma4ForCausalLM. The available"),
        "weights-shape",
        ["lm_heads"],
    ),
    "capability": (in_server(CAPABILITY), "quantization-gpu", ["modelopt_fp4", "75", "70"]),
    "another quantization": (in_server(VALIDATION + QUANT), "quantization-config", ["fp8"]),
    "no device": (in_server(NO_DEVICE), "no-cuda-device", ["No CUDA device"]),
    "no driver": (
        in_server("RuntimeError: Found no NVIDIA driver on your system. Please check that you have"),
        "no-cuda-device",
        [],
    ),
    "old driver": (in_core(f"RuntimeError: {OLD_DRIVER[32:]}"), "driver-too-old", ["driver is too old"]),
    "old driver, warned of": (
        BANNER + f"/v/torch/cuda/__init__.py:180: {OLD_DRIVER}\n" + raised("(APIServer pid=11) ", "", NO_DEVICE),
        "driver-too-old",
        [],
    ),
    "absent": (in_server(f"{HTTP} url: https://hub/api/models/a/b."), "repository-absent", ["hub/api/models/a/b"]),
    "absent, transformers": (
        in_server("OSError: a/b is not a local folder and is not a valid model identifier listed on 'https://hub'"),
        "repository-absent",
        ["a/b"],
    ),
    "gated": (
        in_server(f"{GATED} https://hub/a/b", "OSError: You are trying to access a gated repo.\nMake sure"),
        "repository-gated",
        ["gated"],
    ),
    "offline": (in_server(OFFLINE), "repository-unreachable", []),
    "no network": (
        in_server("socket.gaierror: [Errno -3] Temporary failure in name resolution", OFFLINE),
        "repository-unreachable",
        [],
    ),
    "empty folder": (in_server(EMPTY), "no-such-file", ["/models/m"]),
    "architecture": (in_server(VALIDATION + ARCH), "architecture-unknown", ["FooForCausalLM"]),
    "model type": (in_server(VALIDATION[:-13] + "\n" + MODEL_TYPE), "architecture-transformers", ["gemma4"]),
    "context": (
        in_server(
            VALIDATION + "User-specified max_model_len (999999) is greater than the derived max_model_len "
            "(max_position_embeddings=131072 or model_max_length=None in model's config.json)."
        ),
        "context-too-long",
        ["999999", "131072"],
    ),
    "killed core": (BANNER + CONFIG + KILLED, "killed", []),
    "killed worker": (
        BANNER
        + CONFIG
        + f"{DIED} (exit code: -9), shutting down executor.\n"
        + "(EngineCore pid=22) ERROR 11-23 08:01:00 [core.py:1512] EngineCore encountered a fatal error.\n"
        + raised("(EngineCore pid=22) ", "ERROR 11-23 08:01:00 [core.py:1512] ", "RuntimeError: Executor failed."),
        "killed",
        ["137"],
    ),
    "killed, says the shell": (BANNER + CONFIG + "Killed\n", "killed", []),
    "killed, says docker": (BANNER + CONFIG + "vllm-1 exited with code 137\n", "killed", []),
    "illegal instruction": (BANNER + "Illegal instruction (core dumped)\n", "crashed", ["Illegal instruction"]),
    "flag's value": (
        "usage: vllm serve [-h]\nvllm serve: error: argument --max-model-len: invalid int value: 'lots'\n",
        "bad-flag-value",
        ["--max-model-len", "lots"],
    ),
    "not installed": ("/usr/bin/python3: No module named vllm\n", "not-installed", ["vllm"]),
    "torchvision": (in_server("RuntimeError: operator torchvision::nms does not exist"), "torch-version", ["nms"]),
    "symbol": (
        raised("", "", "ImportError: /v/lib/vllm/_C.abi3.so: undefined symbol: _ZN3c104cuda9SetDeviceEab"),
        "torch-version",
        ["_C"],
    ),
    "disk": (in_core("OSError: [Errno 28] No space left on device"), "no-space", ["disk is full"]),
    "shared memory": (BANNER + CONFIG + "Bus error (core dumped)\n", "shared-memory", ["/dev/shm"]),
    "compiler": (in_core("RuntimeError: Failed to find C compiler. Please specify"), "compiler-missing", []),
    "another program's weights": (
        in_core(
            "ValueError: Free memory on device cuda:0 (5.32/79.18 GiB) on startup is less than the engine's "
            "budget after "
            "excluding external process's weights (0.9, 60.0 GiB)."
        ),
        "gpu-memory-taken",
        [],
    ),
    "kv cache, auto": (
        in_core("ValueError: Cannot auto-fit max_model_len: not enough GPU memory available to serve even a single"),
        "kv-cache-none",
        [],
    ),
    "sampler warm-up": (
        in_core(
            "RuntimeError: CUDA out of memory occurred when warming up sampler with 1024 dummy requests. Please try "
            "lowering `max_num_seqs` or `gpu_memory_utilization` when initializing the engine."
        ),
        "gpu-out-of-memory",
        [],
    ),
    "fabric manager": (
        in_core(
            "RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling "
            "NumCudaDevices() that might have already set an error? Error 802: system not yet initialized"
        ),
        "fabric-manager",
        ["NVSwitch"],
    ),
    "forward compatibility": (
        in_core(
            "RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling "
            "NumCudaDevices() that might have already set an error? Error 804: forward compatibility was attempted on "
            "non supported HW"
        ),
        "driver-too-old",
        [],
    ),
    "gpu gone": (
        in_core("pynvml.NVMLError_GpuIsLost: GPU is lost"),
        "gpu-lost",
        [],
    ),
    "old system": (
        raised("", "",
            "ImportError: /lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.30' not "
            "found (required by"
        ),
        "system-too-old",
        ["GLIBCXX_3.4.30"],
    ),
    "wrong machine": ("exec /usr/local/bin/vllm: exec format error\n", "wrong-machine", []),
    "fp8 on an old GPU": (
        in_core(
            "ValueError: type fp8e4nv not supported in this architecture. The supported fp8 "
            "dtypes are ('fp8e4b15',"
        ),
        "fp8-kv-cache",
        [],
    ),
    "custom code": (
        in_server(
            "ValueError: The repository /m contains custom code which must be executed to correctly load the "
            "model. You "
            "can inspect the repository content at https://hub/m.\nPlease pass the argument "
            "`trust_remote_code=True` to "
            "allow custom code to be run."
        ),
        "remote-code",
        ["code from its own repository"],
    ),
    "too many requests": (
        in_server("huggingface_hub.errors.HfHubHTTPError: 429 Client Error: Too Many Requests for url: https://hub/a"),
        "hub-refuses",
        [],
    ),
    "certificate": (
        in_server(
            "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed",
            "OSError: We couldn't connect to 'https://hub' to load the files, and couldn't find them in the "
            "cached files.",
        ),
        "hub-certificate",
        [],
    ),
    "tokenizer newer than tokenizers": (
        in_server("Exception: data did not match any variant of untagged enum ModelWrapper at line 1251003 column 3"),
        "tokenizers-version",
        [],
    ),
    "tokenizer cut": (
        in_server("Exception: EOF while parsing a string at line 5210 column 12"), "checkpoint-file-damaged", ["5210"]
    ),
    "two GPUs where one is": (
        in_server("ValueError: World size (2) is larger than the number of available GPUs (1) in this node."),
        "parallel-size",
        [],
    ),
    "batch shorter than the context": (
        in_server(
            VALIDATION + "max_num_batched_tokens (2048) is smaller than max_model_len (131072). This effectively "
            "limits the maximum sequence length to max_num_batched_tokens and makes vLLM reject longer sequences."
        ),
        "batched-tokens",
        ["2048", "131072"],
    ),
    "no backend for its heads": (
        in_core("ValueError: No valid attention backend found for cuda with AttentionSelectorConfig(head_size=512,"),
        "attention-backend",
        [],
    ),
    "settings": (
        in_server(VALIDATION + "num_speculative_tokens must be positive [type=value_error, input_value=1]"),
        "settings-refused",
        ["num_speculative_tokens must be positive"],
    ),
    "silent worker": (
        in_core("TimeoutError: RPC call to execute_model timed out."),
        "worker-silent",
        [],
    ),
    "temporary folder": (in_server("OSError: AF_UNIX path too long"), "socket-path", ["too long"]),
    "flashinfer build": (
        in_core("RuntimeError: Ninja build failed. Ninja output:\nninja: error: loading 'build.ninja'"),
        "compiler-missing",
        [],
    ),
    "weights that do not fit": (
        in_core("AssertionError: expected 3 but got 2").replace(
            'File "/v/lib/vllm/x.py", line 7, in load', 'File "/v/lib/vllm/x.py", line 7, in weight_loader'
        ),
        "weights-load",
        ["expected 3 but got 2"],
    ),
    "vanished worker": (
        in_core("Exception: WorkerProc initialization failed due to an exception in a background process. See stack"),
        "process-vanished",
        [],
    ),
    "kernel that cannot be compiled": (
        in_core(
            "subprocess.CalledProcessError: Command '['/usr/bin/x86_64-linux-gnu-gcc', '/tmp/x/main.c']' returned 1."
        ),
        "compilation-failed",
        ["x86_64-linux-gnu-gcc"],
    ),
    "headers that are missing": (
        in_core("subprocess.CalledProcessError: Command '['/usr/bin/gcc', '/tmp/x/main.c']' returned 1.").replace(
            "(EngineCore pid=22) Process",
            "/tmp/x/main.c:5:10: fatal error: Python.h: No such file or directory\n(EngineCore pid=22) Process",
        ),
        "compiler-missing",
        ["Python.h"],
    ),
    "only the wrapper of a worker's fault": (
        in_core("RuntimeError: Worker failed with error 'CUDA out of memory. Tried to allocate 2.00 GiB', please"),
        "gpu-out-of-memory",
        [],
    ),
    "library of another CUDA": (
        in_core("ImportError: libcudart.so.13: cannot open shared object file: No such file or directory"),
        "torch-version",
        ["(libcudart.so.13)"],
    ),
    "template": (
        in_server("FileNotFoundError: the supplied chat template path doesn't exist"),
        "no-such-file",
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_cause_is_named(case: str) -> None:
    log, name, words = CASES[case]
    found = explain(log)
    assert found.cause is not None
    wanted = next(cause for cause in CAUSES if cause.name == name)
    start = wanted.sentence.split("{")[0].split("(")[0].split(":")[0].rstrip()
    assert found.cause.startswith(start.removesuffix(" Port")[:24]) or name == "port-in-use", found.cause
    for word in words:
        assert word in found.cause
    assert "{" not in found.cause and "\0" not in found.cause
    assert found.advice
    assert not found.ready
    # The same log as one process without tags would have written it.
    untagged = log.replace("(APIServer pid=11) ", "").replace("(EngineCore pid=22) ", "")
    assert explain(untagged).cause == found.cause


def test_an_unknown_exception_is_given_with_its_own_type_and_message() -> None:
    found = explain(in_core("zlib.Strange: the moon is in the wrong phase", "RuntimeError: could not begin"))
    assert found.cause is not None
    assert "Strange" in found.cause and "the moon is in the wrong phase" in found.cause
    assert "initialization failed" not in found.cause and "could not begin" not in found.cause
    assert any("the moon" in line for line in found.excerpt)


def test_an_unknown_exception_without_the_beginning_of_its_traceback() -> None:
    log = (
        BANNER
        + CONFIG
        + "(EngineCore pid=22) zlib.StrangeError: the moon is in the wrong phase\n"
        + raised("(APIServer pid=11) ", "", WRAPPER)
    )
    found = explain(log)
    assert found.cause is not None and "StrangeError: the moon is in the wrong phase" in found.cause
    known = explain(log.replace("zlib.StrangeError: the moon is in the wrong phase", OOM))
    assert known.cause is not None and "2.25 GiB" in known.cause


def test_a_type_in_small_letters_keeps_its_module() -> None:
    found = explain(in_core("struct.error: unpack requires a buffer of 8 bytes"))
    assert found.cause is not None and "struct.error: unpack requires a buffer of 8 bytes" in found.cause


def test_a_message_that_is_announced_is_given_with_what_it_announces() -> None:
    found = explain(in_core("RuntimeError: What is wrong:\n(1) the first thing\n(2) the second"))
    assert found.cause is not None and "(1) the first thing" in found.cause


def test_what_was_raised_and_outlived_is_not_the_cause() -> None:
    harmless = raised("(Worker pid=33) ", "", "ModuleNotFoundError: No module named 'triton'")
    later = "(EngineCore pid=22) INFO 11-23 08:00:25 [x.py:1] Available KV cache memory: 1.00 GiB\n"
    found = explain(BANNER + CONFIG + harmless + later + in_core("zlib.Strange: the moon")[len(BANNER + CONFIG) :])
    assert found.cause is not None and "Strange: the moon" in found.cause


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (137, "killed by the system"),
        (-9, "killed by the system"),
        (139, "SIGSEGV"),
        (-11, "SIGSEGV"),
        (134, "SIGABRT"),
        (132, "SIGILL"),
        (135, "/dev/shm"),
        (143, "SIGTERM"),
        (-2, "SIGINT"),
        (127, "could not be run"),
        (0, "exit code 0"),
        (3, "exit code 3 and said no reason"),
    ],
)
def test_where_the_log_says_nothing_the_exit_code_does(code: int, words: str) -> None:
    found = explain(BANNER + CONFIG, exit_code=code)
    assert found.cause is not None and words in found.cause
    assert found.advice


def test_the_last_error_of_the_log_is_better_than_nothing() -> None:
    log = BANNER + CONFIG + "(EngineCore pid=22) ERROR 11-23 08:00:30 [x.py:9] The flux capacitor is empty\n"
    found = explain(log, exit_code=1)
    assert found.cause is not None and "The flux capacitor is empty" in found.cause


def test_a_handler_that_raises_its_own_says_more_than_what_it_handled() -> None:
    log = in_core("KeyError: 'x'", "ValueError: no template is called x")
    found = explain(log.replace("The above exception was the direct cause of the following exception",
                                "During handling of the above exception, another exception occurred"))  # fmt: skip
    assert found.cause is not None and "no template is called x" in found.cause


def test_requests_that_fail_do_not_fail_the_engine() -> None:
    serving = BANNER + CONFIG + "(APIServer pid=11) INFO:     Application startup complete.\n"
    request = "(APIServer pid=11) ERROR:    Exception in ASGI application\n" + raised(
        "(APIServer pid=11) ", "", "ValueError: CUDA out of memory is what the prompt said"
    )
    found = explain(serving + request)
    assert found.ready and found.cause is None


def test_an_engine_that_dies_while_serving_failed() -> None:
    serving = BANNER + CONFIG + "(APIServer pid=11) INFO:     Application startup complete.\n"
    fatal = "(EngineCore pid=22) ERROR 11-23 09:00:00 [core.py:1512] EngineCore encountered a fatal error.\n" + raised(
        "(EngineCore pid=22) ", "ERROR 11-23 09:00:00 [core.py:1512] ", OOM
    )
    found = explain(serving + fatal)
    assert found.ready and found.cause is not None and "2.25 GiB" in found.cause


def test_a_start_that_was_interrupted_did_not_fail() -> None:
    log = BANNER + CONFIG + raised("(APIServer pid=11) ", "", "KeyboardInterrupt: terminated")
    found = explain(log)
    assert found.cause is None and not found.ready


def test_names_are_unique_and_sentences_are_sentences() -> None:
    names = [cause.name for cause in CAUSES]
    assert len(set(names)) == len(names)
    for cause in CAUSES:
        assert cause.sentence.endswith((".", "{why}")) and cause.advice.endswith(".")
        assert set(cause.unless) <= set(names)
