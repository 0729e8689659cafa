"""Why engines fail, as data: what the log says, the sentence for it and what a person can do.

The wording of each pattern is that of vLLM 0.19 to 0.33, torch, transformers, safetensors, huggingface_hub or the
operating system. To add a cause: one entry here and one captured log in tests/fixtures/engine-logs.
"""

from __future__ import annotations

from gemma_backend.engine.cause import Cause
from gemma_backend.engine.cause import cause as _cause

_OFFLINE = "Download the checkpoint first, or name a folder that holds it."
_FULL_AGAIN = "Fetch or copy the checkpoint again and compare the files' sizes with the source."
_LIGHTER = "Lower max-model-len or max-num-seqs, or give the engine more with gpu-memory-utilization."

# Read from the top: what is more special stands first.
CAUSES: tuple[Cause, ...] = (
    _cause(
        "driver-too-old",
        [
            r"NVIDIA driver on your system is too old(?: \(found version (?P<found>\d+)\))?",
            r"CUDA driver version is insufficient for CUDA runtime version",
            r"cudaErrorInsufficientDriver|CUDA_ERROR_SYSTEM_DRIVER_MISMATCH|system has unsupported display driver",
            r"forward compatibility was attempted on non supported HW",
            r"the provided PTX was compiled with an unsupported toolchain",
            r"requirement error: unsatisfied condition: cuda>=(?P<found>[\d.]+)",
        ],
        "The NVIDIA driver is too old for the CUDA version that this vLLM was built with.",
        "Update the NVIDIA driver, or install a runtime built for an older CUDA.",
        anywhere=True,
    ),
    _cause(
        "gpu-memory-taken",
        [
            r"Free memory on device[^(]*\((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\) on startup is less than desired "
            r"GPU memory utilization \((?P<share>[\d.]+), (?P<want>[\d.]+) GiB\)",
            r"Free memory on device.*is less than desired GPU memory utilization",
        ],
        "The GPU has too little free memory: {free} of {total} GiB are free, {want} GiB were to be taken.",
        "Close what else uses the GPU (nvidia-smi lists it), or lower gpu-memory-utilization.",
    ),
    _cause(
        "kv-cache-too-small",
        [
            r"max seq len \((?P<length>\d+)\),? \(?(?P<need>[\d.]+) GiB KV cache is needed, which is larger than the "
            r"available KV cache memory \((?P<have>[\d.]+) GiB\)"
            r"(?:.*?estimated maximum model length is (?P<fits>\d+))?",
            r"max seq len \((?P<length>\d+)\) is larger than the maximum number of tokens that can be stored in "
            r"KV cache \((?P<fits>\d+)\)",
            r"KV cache is needed, which is larger than the available KV cache memory",
        ],
        "The KV cache is too small for max-model-len {length}: it needs {need} GiB and {have} GiB are left.",
        "Set max-model-len to {fits} or less, or give the engine more memory.",
    ),
    _cause(
        "kv-cache-none",
        [r"No available memory for the cache blocks", r"Available KV cache memory: -"],
        "No memory is left for the KV cache once the weights are loaded.",
        "Raise gpu-memory-utilization (on a CPU: VLLM_CPU_KVCACHE_SPACE), or close what else uses the memory.",
    ),
    _cause(
        "memory-profiling",
        [r"Error in memory profiling"],
        "Another process gave GPU memory back while the engine was measuring it.",
        "Start again when nothing else starts or ends on the GPU, or set kv-cache-memory-bytes.",
    ),
    _cause(
        "host-memory-kv",
        [
            r"Not enough available memory on node \d+|VLLM_CPU_KVCACHE_SPACE.*(?:larger|exceed|not enough|too)",
            r"[Cc]ache blocks? (?:space|memory).{0,80}(?:exceeds|larger than).{0,60}memory",
            r"Available memory on node \d+ \((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\) on .*is less than",
        ],
        "The computer's memory is too small for what was asked for: {free} of {total} GiB are free.",
        "Lower VLLM_CPU_KVCACHE_SPACE (GiB) or, on a CPU too, gpu-memory-utilization, or close other programs.",
    ),
    _cause(
        "gpu-out-of-memory",
        [
            r"CUDA out of memory\.(?: Tried to allocate (?P<want>[\d.]+ [KMG]iB))?"
            r"(?:.*?of which (?P<free>[\d.]+ [KMG]iB) is free)?",
            r"HIP out of memory|torch\.(?:cuda\.)?OutOfMemoryError",
            r"CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation",
            r"CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED",
        ],
        "The GPU ran out of memory: {want} more were needed and {free} were free.",
        "Close what else uses the GPU (nvidia-smi lists it). " + _LIGHTER,
    ),
    _cause(
        "host-out-of-memory",
        [
            r"DefaultCPUAllocator: (?:can't allocate memory|not enough memory)",
            r"(?:^|\n)MemoryError\b|std::bad_alloc|\[Errno 12\] Cannot allocate memory|numpy.*Unable to allocate",
            r"OutOfMemoryError: unable to mmap|unable to mmap \d+ bytes from file|Cannot allocate memory \(12\)",
        ],
        "The computer ran out of memory.",
        "Close other programs, choose a smaller profile, or lower VLLM_CPU_KVCACHE_SPACE.",
        anywhere=True,
    ),
    _cause(
        "shared-memory",
        [
            r"DataLoader worker .* is killed by signal: Bus error|insufficient shared memory \(shm\)",
            r"Bus error(?: \(core dumped\))?",
            r"unable to (?:open|allocate|resize|write to file) .{0,40}(?:shared memory|</?torch_|/dev/shm)",
            r"No space left on device.{0,200}/dev/shm|/dev/shm.{0,200}No space left on device",
            r"shm_open.{0,60}(?:No space|failed)|Error while creating shared memory segment",
        ],
        "Shared memory (/dev/shm) is too small.",
        "Make it larger: in a container with --ipc=host or --shm-size=8g, elsewhere by remounting /dev/shm.",
        anywhere=True,
    ),
    _cause(
        "no-space",
        [r"No space left on device|\[Errno 28\]|Disk quota exceeded|\[Errno 122\]"],
        "The disk is full.",
        "Free some space; the engine writes to its cache folder and to the folder for temporary files.",
        anywhere=True,
    ),
    _cause(
        "port-in-use",
        [
            r"\[Errno (?:98|48)\][^\n]*?bind on address \('(?P<host>[^']*)', (?P<port>\d+)",
            r"Port (?P<port>\d+) is already in use(?! .*trying)",
            r"failed to (?:bind|listen)[^\n]*?port: (?P<port>\d+)[^\n]*EADDRINUSE",
            r"\[Errno (?:98|48)\] (?:Address already in use|error while attempting to bind)",
            r"EADDRINUSE|[Aa]ddress already in use",
            r"port is already allocated",
        ],
        "Port {port} is already in use by another program.",
        "Stop that program, or choose another port with --port.",
    ),
    _cause(
        "port-forbidden",
        [r"PermissionError: \[Errno 13\].*(?:bind|sock)|\[Errno 13\] error while attempting to bind"],
        "This user may not listen on that port.",
        "Choose a port above 1023.",
    ),
    _cause(
        "address",
        [
            r"\[Errno 99\] .*(?:assign requested address)|Cannot assign requested address",
            r"socket\.gaierror: \[Errno -\d+\]",
        ],
        "The address to listen on does not belong to this computer.",
        "Use 127.0.0.1, or an address that this computer has.",
        unless=("repository-unreachable",),
    ),
    _cause(
        "tokenizers-version",
        [
            r"(?P<want>tokenizers[<>=!~][^ ]*) is required for a normal functioning of this module, "
            r"but found (?P<found>tokenizers==\S+?)\.?(?:\s|$)",
            r"'(?P<found>\w*Tokenizer\w*)' object has no attribute 'all_special_tokens_extended'",
        ],
        "The installed tokenizers does not fit this transformers: {want} is required, {found} is installed.",
        "Install the versions that belong together: `gemma-tui engine install` makes such a runtime.",
    ),
    _cause(
        "transformers-version",
        [
            r"(?:\w+\.)*(?P<found>AmbiguousGlobalPerLayerAttributeError)",
            r"(?P<want>[\w-]+[<>=!~]=?[^ ]*) is required for a normal functioning of this module, "
            r"but found (?P<found>\S+==\S+?)\.?(?:\s|$)",
            r"ImportError: cannot import name '(?P<found>\w+)' from '(?:transformers|huggingface_hub|tokenizers)",
            r"ModuleNotFoundError: No module named '(?P<found>transformers\.[\w.]+)'",
            r"AttributeError: .*module '?(?:transformers|huggingface_hub)[\w.']* has no attribute '(?P<found>\w+)'",
            r"AttributeError: '(?P<found>Gemma\d?\w*Config)' object has no attribute",
            r"KeyError: '(?P<found>axial|gemma4\w*|proportional)'",
            r"Missing validation function in 'RotaryEmbeddingConfigMixin'.*KeyError: '(?P<found>\w+)'",
        ],
        "The installed transformers does not fit this vLLM or this checkpoint ({found}).",
        "Use the transformers that this vLLM was released with, no older than the one that wrote the checkpoint: "
        "`gemma-tui engine install` makes such a runtime.",
    ),
    _cause(
        "torch-version",
        [
            r"operator (?P<found>torchvision::\w+) does not exist",
            r"OSError: .*(?P<found>libtorch\w*\.so|libc10\w*\.so|_torchaudio\w*\.so|libtorchcodec\w*\.so)",
            r"ImportError: .*vllm/(?P<found>_\w*C\w*)\.(?:abi3\.)?so: undefined symbol",
            r"ImportError: .*(?P<found>[\w.-]+\.so[\w.-]*): (?:undefined symbol|cannot open shared object file)",
            r"ImportError: (?P<found>lib(?:cudart|cublas|cudnn|nccl|torch)[\w.-]*): cannot open shared object file",
            r"OSError: (?P<found>lib[\w.-]+\.so[\w.-]*): cannot open shared object file",
            r"Detected that PyTorch and Torch(?:Audio|Vision) were compiled with different CUDA(?P<found>) versions",
            r"A module that was compiled using NumPy 1(?P<found>)\.x cannot be run in",
        ],
        "vLLM and the installed torch or one of its companions were built for different versions ({found}).",
        "Install the versions that belong together: `gemma-tui engine install` makes such a runtime.",
    ),
    _cause(
        "missing-kernels",
        [
            r"(?P<found>vllm\.vllm_flash_attn) requires the CUDA flash attention extensions",
            r"No module named '(?P<found>vllm\._\w*C\w*|vllm\.vllm_flash_attn\w*|_vllm_\w+)'",
            r"'_OpNamespace' '(?P<found>_\w*C\w*)' object has no attribute",
            r"no attribute '(?P<found>_C(?:_cache_ops)?)'",
        ],
        "This vLLM was installed without its CUDA kernels ({found}).",
        "Install a vLLM build for this GPU and Python, or use the CPU runtime: `gemma-tui engine install`.",
    ),
    _cause(
        "gpu-too-old",
        [
            r"no kernel image is available for execution on the device|cudaErrorNoKernelImageForDevice",
            r"with CUDA capability (?P<found>sm_\d+) is not compatible with the current PyTorch installation",
            r"Unsupported gpu architecture '(?P<found>\w+)'|ptxas fatal.*Value '(?P<found2>sm_\w+)'",
            r"an illegal instruction was encountered",
        ],
        "This vLLM has no kernels for this GPU.",
        "Use a runtime built for this GPU's compute capability, or the CPU runtime.",
    ),
    _cause(
        "quantization-gpu",
        [
            r"(?P<method>[\w-]+) is not supported for the current GPU\. Minimum capability: (?P<need>\d+)\. "
            r"Current capability: (?P<have>\d+)",
            r"Quantization (?P<method>scheme) is not supported for the current GPU\. "
            r"(?:Min|Required) capability: (?P<need>\d+)\. Current capability: (?P<have>\d+)",
            r"(?P<method>Marlin|MARLIN|NVFP4|nvfp4|FP4|fp4)[^\n]{0,120}(?:requires?|needs?) [^\n]{0,60}"
            r"(?:capability|sm_?|SM)\D{0,20}(?P<need>\d[\d.]*)",
            r"Bfloat16 is only supported on GPUs with compute capability of at least (?P<need>[\d.]+)"
            r".*compute capability (?P<have>[\d.]+)",
            r"No (?P<method>\w*[Ff][Pp]4\w*|\w*NvFp4\w*)[^\n]{0,80}kernel",
            r"Failed to find a kernel that can implement the (?P<method>\w+)",
        ],
        "This GPU cannot run the checkpoint's quantization ({method}): it needs compute capability {need}, "
        "this one has {have}.",
        "Choose a profile with another quantization, or BF16, for this GPU.",
    ),
    _cause(
        "quantization-platform",
        [
            r"(?P<method>[\w-]+) quantization is currently not supported in (?P<have>\w+)",
            r"(?P<method>\w*NVFP4\w*|\w*modelopt\w*)[^\n]{0,120}not supported on (?P<have>\w+)",
            r"Marlin NVFP4[^\n]*(?P<have>CPU)|(?P<method>marlin)[^\n]{0,60}requires CUDA",
        ],
        "vLLM cannot run {method} weights on this kind of device.",
        "Use a runtime of this project for the CPU (it turns NVFP4 into BF16), or a BF16 checkpoint.",
    ),
    _cause(
        "quantization-config",
        [
            r"Quantization method specified in the model config \((?P<have>[^)]*)\) does not match the quantization "
            r"method specified in the `quantization` argument \((?P<method>[^)]*)\)",
            r"Unknown quantization method: (?P<method>[\w-]+)",
            r"ModelOpt currently only supports: (?P<have>\[[^\]]*\])",
            r"Unknown ModelOpt quant algo: (?P<method>\w+)",
            r"Cannot find the config file for (?P<method>\w+)",
            r"is not supported for quantization method (?P<method>\w+)\. Supported dtypes: (?P<have>[^\n]*)",
            r"quantization: invalid choice: '?(?P<method>[\w-]+)",
        ],
        "The quantization that was asked for ({method}) is not the checkpoint's, or this vLLM does not know it.",
        "Leave --quantization out, set the one that the checkpoint's config.json names, or use a newer vLLM "
        "(W4A16 NVFP4 needs 0.21 or later).",
    ),
    _cause(
        "weights-truncated",
        [
            r"Error while deserializing header: (?P<what>[^\n]*(?:[Ii]ncomplete|not fully covered|buffer is too small|"
            r"HeaderTooSmall|MetadataIncompleteBuffer)[^\n]*)",
            r"PytorchStreamReader failed reading zip archive: (?P<what>failed finding central directory)",
            r"(?P<what>git-lfs|Git LFS) pointer|version https://git-lfs",
            r"(?P<what>unexpected EOF), expected \d+ more bytes|EOFError: (?P<what2>Ran out of input)",
        ],
        "A weights file of the checkpoint is cut short ({what}).",
        _FULL_AGAIN,
    ),
    _cause(
        "weights-corrupt",
        [
            r"Error while deserializing header: (?P<what>[^\n]+)|SafetensorError: (?P<what2>[^\n]+)",
            r"invalid load key, '(?P<what>[^']*)'|UnpicklingError: (?P<what2>[^\n]+)",
            r"SafetensorsParsingError: (?P<what>[^\n]+)",
        ],
        "A weights file of the checkpoint is damaged ({what}).",
        _FULL_AGAIN,
    ),
    _cause(
        "weights-missing",
        [
            r"Following weights were not initialized from checkpoint: \{'(?P<what>[^']+)'",
            r"Cannot find any model weights with `(?P<what>[^`]+)`",
            r"FileNotFoundError: No such file or directory: \"?(?P<what>[^\"\n]*\.(?:safetensors|bin|pt)[^\"\n]*)\"?",
            r"FileNotFoundError: \[Errno 2\] No such file or directory: '(?P<what>[^'\n]*\.(?:safetensors|bin|pt))'",
            r"(?P<what>[^\s'\"]+\.safetensors)'? (?:does not exist|not found|is missing)",
            r"no file named (?P<what>model\.safetensors|pytorch_model\.bin)",
            r"SafetensorError: File does not contain tensor (?P<what>\S+)",
        ],
        "The checkpoint lacks weights that the model needs ({what}).",
        _FULL_AGAIN + " One that transformers saved without its KV-shared layers has to be written anew.",
    ),
    _cause(
        "weights-shape",
        [
            r"There is no module or parameter named '(?P<what>[^']+)'",
            r"AssertionError: Attempted to load weight \((?P<what>[^)]*\][^)]*)\)",
            r"Attempted to load weight \((?P<what>.{1,80}?)\) into parameter",
            r"size mismatch for (?P<what>\S+):|The size of tensor a \((?P<what2>\d+)\) must match",
            r"KeyError: '(?P<what>[\w.]*(?:layers|embed_tokens|_proj|weight|scale)[\w.]*)'",
            r"shape '?(?P<what>\[[^\]]*\])'? is invalid for input of size",
        ],
        "The checkpoint's weights do not match its config.json ({what}).",
        "Use config.json and weights of the same checkpoint and the vLLM release that it was made for.",
    ),
    _cause(
        "no-such-file",
        [
            r"HFValidationError: Repo id must be in the form[^\n]*?: '(?P<what>[/.~][^'\n]*)'",
            r"FileNotFoundError: the supplied chat template path doesn't exist",
            r"[Tt]he supplied chat template[^\n]*?\((?P<what>[^)\n]*)\)[^\n]*(?:failed to be opened|doesn't exist)",
            r"[Ii]nvalid repository ID or local directory specified: '(?P<what>[/.~][^'\n]*)'",
            r"OSError: (?P<what>[/.~]\S*) does not appear to have a file named \S+",
            r"(?:FileNotFoundError|NotADirectoryError|IsADirectoryError): \[Errno \d+\] [^:\n]*: '(?P<what>[^'\n]+)'",
            r"Can't load (?:the )?(?:configuration|tokenizer|image processor|feature extractor|processor) (?:of|for) "
            r"'(?P<what>[/.~][^'\n]*)'",
            r"\[Errno 2\] No such file or directory: '(?P<what>[^'\n]+)'",
        ],
        "There is no such file or folder: {what}.",
        "Check the path; a checkpoint's folder holds config.json, the tokenizer and the weights.",
    ),
    _cause(
        "repository-gated",
        [
            r"GatedRepoError|You are trying to access a gated repo|Access to model (?P<what>\S+) is restricted",
            r"(?P<what>\S+) is a gated repository|Cannot access gated repo for url (?P<what2>\S+)",
        ],
        "The checkpoint's repository is gated: its owner lets in only those who asked.",
        "Accept the licence on the repository's page and log in with `hf auth login`.",
    ),
    _cause(
        "repository-absent",
        [
            r"RepositoryNotFoundError: (?:.*?for url: (?P<what>\S+?)\.?(?:\s|$))?",
            r"'?(?P<what>[\w.-]+/[\w.-]+)'? is not a local folder and is not a valid model identifier",
            r"Invalid repository ID or local directory specified: '(?P<what>[^']+)'",
            r"HFValidationError: [^\n]*?: '(?P<what>[^'\n]*)'",
            r"RevisionNotFoundError|RemoteEntryNotFoundError|(?:404|401) Client Error[^\n]*for url: (?P<what>\S+)",
        ],
        "There is no such repository on the model hub ({what}), or it is private.",
        "Check the name's spelling; for a private one log in with `hf auth login`.",
    ),
    _cause(
        "repository-unreachable",
        [
            r"LocalEntryNotFoundError|IncompleteSnapshotError|OfflineModeIsEnabled|outgoing traffic has been disabled",
            r"We couldn't connect to '(?P<what>[^']+)'|Cannot find the requested files in the (?P<what2>local cache)",
            r"Cannot find an appropriate cached snapshot folder|HF_HUB_OFFLINE",
            r"(?:ConnectionError|ConnectTimeout|ConnectError|MaxRetryError|NameResolutionError)[^\n]*(?:huggingface|hf\.co|hub)",
        ],
        "The checkpoint is not on this computer and the model hub cannot be reached.",
        _OFFLINE,
    ),
    _cause(
        "architecture-unknown",
        [
            r"Model architectures? \[?'?(?P<what>[\w', ]+?)'?\]? (?:are|is) not supported (?:for now|in-tree|anymore)",
            r"Model architecture (?P<what>\w+) was supported in vLLM until",
            r"Unrecognized model in (?P<what>\S+?)\. Should have a `model_type` key",
            r"Cannot find model module\. '(?P<what>\w+)'|No model architectures are specified",
            r"(?P<what>\w+) has no vLLM implementation",
        ],
        "This vLLM does not know the model's architecture ({what}).",
        "Use a newer vLLM (Gemma 4 needs 0.19.1 or later), or check `architectures` in the checkpoint's config.json.",
    ),
    _cause(
        "architecture-transformers",
        [r"model type `(?P<what>[^`]+)` but Transformers does not recognize this architecture"],
        "The installed transformers does not know the model's architecture ({what}).",
        "Use a newer transformers that this vLLM accepts, or check `model_type` in the checkpoint's config.json.",
    ),
    _cause(
        "driver-mismatch",
        [
            r"NVML: Driver/library version mismatch|Driver/library version mismatch",
            r"NVMLError_DriverNotLoaded|NVIDIA driver is not loaded|couldn't communicate with the NVIDIA driver",
        ],
        "The NVIDIA driver is not loaded, or was updated while the old one still runs.",
        "Restart the computer; `nvidia-smi` then lists the GPU.",
        anywhere=True,
    ),
    _cause(
        "container-without-gpu",
        [
            r"could not select device driver \"?\"? with capabilities: \[\[gpu\]\]",
            r"nvidia-container-cli: initialization error",
            r"unresolvable CDI devices nvidia\.com/gpu",
        ],
        "The container was given no GPU: its tool does not know how to reach the NVIDIA driver.",
        "Install the NVIDIA Container Toolkit and set it up (docker: sudo nvidia-ctk runtime configure "
        "--runtime=docker, and start docker anew; podman: sudo nvidia-ctk cdi generate "
        "--output=/etc/cdi/nvidia.yaml).",
        anywhere=True,
    ),
    _cause(
        "no-cuda-device",
        [
            r"Failed to infer device type",
            r"No CUDA GPUs are available|no CUDA-capable device is detected|cudaErrorNoDevice",
            r"Found no NVIDIA driver on your system",
            r"Torch not compiled with CUDA enabled",
            r"CUDA_ERROR_NO_DEVICE|NVML(?:Error)?_?(?:LibraryNotFound|Shared Library Not Found)",
            r"libcuda\.so\.1: cannot open",
            r"invalid device ordinal|CUDA driver initialization failed|CUDA unknown error",
        ],
        "No CUDA device was found.",
        "Check `nvidia-smi` and CUDA_VISIBLE_DEVICES (in a container: --gpus all), or use the CPU runtime.",
        anywhere=True,
        unless=("driver-too-old", "driver-mismatch"),
    ),
    _cause(
        "gpu-fault",
        [
            r"CUDA error: (?P<what>[^\n]+)|cuda(?:Error)\w+|CUBLAS_STATUS_\w+|NCCL error|ECC error",
        ],
        "The GPU reported a fault ({what}).",
        "Start again; if it comes back, look for Xid messages with `dmesg` and try another vLLM or driver version.",
    ),
    _cause(
        "compiler-missing",
        [
            r"Failed to find C compiler|InvalidCxxCompiler|No working C\+\+ compiler found",
            r"fatal error: (?P<what>Python\.h|cuda\.h|cuda_runtime\.h): No such file",
            r"(?P<what>ninja|nvcc|g\+\+|gcc|cc1plus)(?:: |' |: )(?:command )?not found|Could not find nvcc",
            r"No such file or directory: '(?P<what>(?:[^'\n]*/)?(?:nvcc|ninja|gcc|g\+\+|cc))'",
        ],
        "A compiler that vLLM needs for its kernels is missing ({what}).",
        "Install gcc, g++ and Python's headers (on Debian: build-essential and python3-dev), or use enforce-eager.",
    ),
    _cause(
        "context-too-long",
        [
            r"User-specified max_model_len \((?P<want>\d+)\) is greater than the derived max_model_len "
            r"\([^=)]*=(?P<have>[\d.]+)",
        ],
        "max-model-len {want} is more than the model's own {have}.",
        "Set max-model-len to {have} or less.",
    ),
    _cause(
        "unknown-flag",
        [
            r"error: unrecognized arguments: (?P<what>[^\n]+)",
            r"error: ambiguous option: (?P<what>\S+)",
            r"No such option: (?P<what>\S+)",
        ],
        "This vLLM does not know the option {what}.",
        "Take it out of the profile's flags or correct its spelling; options change between vLLM releases.",
        anywhere=True,
    ),
    _cause(
        "bad-flag-value",
        [
            r"error: argument (?P<what>[^:\n]+): (?P<why>[^\n]+)",
            r"error: the following arguments are required: (?P<what>[^\n]+)(?P<why>)",
            r"validation errors? for (?P<what>\w+Config|\w*Args)\b\n(?P<why>(?!\s*Value error)[^\n]+)",
        ],
        "vLLM refuses a value of the option {what}: {why}",
        "Correct it in the profile's flags.",
        anywhere=True,
    ),
    _cause(
        "not-installed",
        [
            r"No module named '?(?P<what>vllm|torch|uvloop|gemma_in_engine)'?(?:\s|$)",
            r"(?P<what>vllm): (?:command )?not found",
            r"No package metadata was found for (?P<what>vllm)",
            r"PackageNotFoundError: (?P<what>vllm)",
        ],
        "{what} is not installed in this runtime.",
        "Install a runtime: `gemma-tui engine install`.",
        anywhere=True,
    ),
    _cause(
        "package-missing",
        [r"ModuleNotFoundError: No module named '(?P<what>[\w.]+)'", r"ImportError: (?P<what>[^\n]+)"],
        "The runtime lacks a package or has one that does not fit: {what}.",
        "Repair the runtime: `gemma-tui engine install` makes one whose versions belong together.",
    ),
    _cause(
        "folder-not-writable",
        [
            r"PermissionError: \[Errno 13\] Permission denied: '(?P<what>[^']+)'",
            r"Read-only file system: '(?P<what>[^']+)'",
        ],
        "This user may not write to or read {what}.",
        "Correct the folder's owner or mode, or choose another one for caches and temporary files.",
    ),
    _cause(
        "start-timeout",
        [r"Timed out waiting for engine|did not (?:start|become ready) within|VLLM_ENGINE_READY_TIMEOUT_S"],
        "The engine did not start within vLLM's own time limit.",
        "Start again with VLLM_ENGINE_READY_TIMEOUT_S set to more seconds.",
    ),
    _cause(
        "too-many-files",
        [r"\[Errno 24\] Too many open files(?!`)"],
        "The limit of open files was reached.",
        "Raise it with `ulimit -n 65536` before the start.",
    ),
    _cause(
        "killed",
        [
            r"Failed core proc\(s\): \{[^}]*: -9\b",
            r"(?:died with exit code|exit code:?|[Ee]xited with (?:code|status)|exitcode) ?-9\b",
            r"(?:died with exit code|exit code:?|[Ee]xited with (?:code|status)|\bcode) ?=? ?137\b",
            r"OOMKilled|(?:^|\n)Killed\s*(?:$|\n)|[Oo]ut of memory: Killed process|oom-kill",
            r"(?:^|\s)\d+ Killed\s+\S|SIGKILL",
        ],
        "The engine was killed by the system (signal 9, exit code 137), most likely because the memory ran out.",
        "Close other programs or choose a smaller profile; `dmesg` shows whether it was the OOM killer.",
        anywhere=True,
    ),
    _cause(
        "crashed",
        [
            r"Failed core proc\(s\): \{[^}]*: -(?P<signal>4|6|7|8|11)\b",
            r"(?:exit code:?|exitcode|died with exit code) ?-(?P<signal>4|6|7|8|11)\b",
            r"(?P<signal>Segmentation fault|Illegal instruction|SIGSEGV|SIGILL|SIGABRT|Fatal Python error: [^\n]+)",
            r"!!!!!!! (?P<signal>Segfault|Aborted) encountered !!!!!!!",
        ],
        "A process of the engine crashed ({signal}).",
        "An illegal instruction means that this CPU lacks what the build needs (AVX2 or AVX-512); else try another "
        "runtime version.",
        anywhere=True,
    ),
)

BY_NAME = {cause.name: cause for cause in CAUSES}
