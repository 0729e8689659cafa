"""Why engines fail, as data: what the log says, the sentence for it and what a person can do.

The wording of each pattern is that of vLLM 0.19 to 0.33, torch, transformers, safetensors, huggingface_hub or the
operating system. To add a cause: one entry here and one captured log in tests/fixtures/engine-logs.
"""

from __future__ import annotations

from gemma_backend.engine.cause import Cause
from gemma_backend.engine.cause import cause as _cause
from gemma_backend.engine.tracebacks import COMPILERS

_OFFLINE = "Download the checkpoint first, or name a folder that holds it."
_FULL_AGAIN = "Fetch or copy the checkpoint again and compare the files' sizes with the source."
_LIGHTER = "Lower max-model-len or max-num-seqs, or give the engine more with gpu-memory-utilization."

# Read from the top: what is more special stands first.
CAUSES: tuple[Cause, ...] = (
    _cause(
        "weights-unreadable",
        [
            r"^(?:struct\.)?error: unpack requires|^MemoryError|^OverflowError: |^\w*(?:Decode|Value)Error: ",
        ],
        "A weights file of the checkpoint is damaged: its header cannot be read.",
        _FULL_AGAIN + " A file of some 130 bytes is a Git LFS pointer: `git lfs pull` fetches the real one.",
        frames=r"in (?:parse_safetensors_file_metadata|get_safetensors_params_metadata|safetensors_weights_iterator)\b",
    ),
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
            r"Free memory on device.*is less than (?:desired GPU memory utilization|the engine's budget)",
            r"Externally held weights on device.* exceed the desired GPU memory utilization",
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
        [
            r"No available memory for the cache blocks|Cannot auto-fit max_model_len: not enough GPU memory",
            r"Available KV cache memory: -",
        ],
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
            r"CUDA out of memory\b\.?(?: Tried to allocate (?P<want>[\d.]+ [KMG]iB))?"
            r"(?:.*?of which (?P<free>[\d.]+ [KMG]iB) is free)?",
            r"HIP out of memory|torch\.(?:cuda\.)?OutOfMemoryError",
            r"CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation",
            r"CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED|NCCL WARN Cuda failure.{0,20}out of memory",
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
            r"data did not match any variant of untagged enum (?P<found>\w+)",
        ],
        "The installed tokenizers does not fit this transformers or checkpoint: {want} is required, "
        "{found} is installed.",
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
            r"ImportError: cannot import name '(?P<found>\w+)' from '[\w.]+' \([^)]*/(?:transformers|huggingface_hub)/",
        ],
        "The installed transformers does not fit this vLLM or this checkpoint ({found}).",
        "Use the transformers that this vLLM was released with, no older than the one that wrote the checkpoint: "
        "`gemma-tui engine install` makes such a runtime.",
    ),
    _cause(
        "system-too-old",
        [r"version `(?P<what>(?:GLIBC|GLIBCXX|CXXABI)_[\d.]+)' not found"],
        "This system's C or C++ library is older than the runtime needs ({what}).",
        "Use a newer release of the operating system, or run the engine in a container.",
        anywhere=True,
    ),
    _cause(
        "wrong-machine",
        [r"[Ee]xec format error", r"wrong ELF class|cannot open shared object file: Exec format"],
        "The runtime was built for another kind of processor.",
        "Install the runtime on this machine: `gemma-tui engine install`; in a container take the image for it.",
        anywhere=True,
    ),
    _cause(
        "torch-version",
        [
            r"operator (?P<found>torchvision::\w+) does not exist",
            r"OSError: .*(?P<found>libtorch\w*\.so|libc10\w*\.so|_torchaudio\w*\.so|libtorchcodec\w*\.so)",
            r"ImportError: .*vllm/(?P<found>_\w*C\w*)\.(?:abi3\.)?so: undefined symbol",
            r"ImportError: (?:.*[\s/'])?(?P<found>[\w.-]+\.so[\w.-]*): (?:undefined symbol|cannot open shared)",
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
        "fp8-kv-cache",
        [
            r"type fp8e4nv not supported in this architecture",
            r"(?:fp8|FP8)[^\n]{0,40}(?:kv|KV)[ -]cache[^\n]{0,60}not supported",
            r"Does not support key cache of type fp8",
        ],
        "This GPU or attention backend cannot use an fp8 KV cache.",
        "Set kv-cache-dtype to auto in the profile's flags.",
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
            r"validation error for \w+Config\n.*?(?P<what>'utf-8' codec can't decode byte 0x\w\w in position \d+)",
        ],
        "A weights file of the checkpoint is damaged ({what}).",
        _FULL_AGAIN,
    ),
    _cause(
        "weights-missing",
        [
            r"Following weights were not initialized from checkpoint: \{'(?P<what>[^']+)'",
            r"Cannot find any model weights with `(?P<what>[^`]+)`",
            r"Weight files referenced in index but missing: \{'(?P<what>[^']+)'",
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
            r"Tried to load weights of size (?P<what>torch\.Size\(\[[^\]]*\]\) ?to a parameter of size [^\n]*?)\.?$",
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
            r"(?:FileNotFoundError|NotADirectoryError|IsADirectoryError): \[Errno \d+\] [^:\n]*: '(?P<what>[^'\n]+)'",
            r"\[Errno 2\] No such file or directory: '(?P<what>[^'\n]+)'",
        ],
        "There is no such file or folder: {what}.",
        "Check the path; a checkpoint's folder holds config.json, the tokenizer and the weights.",
    ),
    _cause(
        "no-config",
        [
            r"[Ii]nvalid repository ID or local directory specified: '(?P<what>[/.~][^'\n]*)'",
            r"OSError: (?P<what>[/.~]\S*) does not appear to have a file named config\.json",
            r"Can't load (?:the )?configuration (?:of|for) '(?P<what>[/.~][^'\n]*)'",
        ],
        "There is no such file or folder, or no config.json in it: {what}.",
        "Check the path; a checkpoint's folder holds config.json, the tokenizer and the weights.",
    ),
    _cause(
        "checkpoint-incomplete",
        [
            r"OSError: (?P<folder>[/.~]\S*) does not appear to have a file named (?P<what>\S+?)\.?(?:\s|$)",
            r"Can't load (?:the )?(?P<what>tokenizer|image processor|feature extractor|video processor|processor) "
            r"(?:of|for) '(?P<folder>[/.~][^'\n]*)'",
            r"Couldn't instantiate the backend (?P<what>tokenizer) from one of",
            r"Unable to load (?P<what>vocabulary|vocab) from file",
            r"Unrecognized (?P<what>processing class|image processor|feature extractor) in (?P<folder>[/.~]\S*?)\.\s",
        ],
        "The checkpoint lacks the files of its {what} ({folder}).",
        "Copy tokenizer.json, tokenizer_config.json, processor_config.json and preprocessor_config.json from the "
        "model's repository into the checkpoint's folder.",
    ),
    _cause(
        "checkpoint-file-damaged",
        [
            r"the config file at '(?P<what>[^']+)' is not a valid JSON file",
            r"JSONDecodeError: (?P<what>[^\n]+)",
            r"Exception: (?P<what>(?:expected|invalid|unexpected|missing|EOF|trailing|key must)\b[^\n]* at line \d+\b)",
        ],
        "A JSON file of the checkpoint is damaged ({what}).",
        "Fetch or copy config.json, the tokenizer's and the processor's files again.",
    ),
    _cause(
        "remote-code",
        [
            r"contains custom code which must be executed|requires you to execute the [^\n]{0,60}file",
            r"[Pp]lease (?:pass the argument|set the option) `trust_remote_code=True`",
        ],
        "The checkpoint wants to run code from its own repository.",
        "Gemma 4 needs none. Only if you trust its author, set trust_remote_code = true in the profile.",
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
        "hub-refuses",
        [r"429 Client Error|Too Many Requests|50[0234] Server Error[^\n]*(?P<what>huggingface|hf\.co)"],
        "The model hub does not answer requests at the moment.",
        "Wait a few minutes and try again; with a token (`hf auth login`) more requests are allowed.",
    ),
    _cause(
        "hub-certificate",
        [r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError"],
        "The certificate of the model hub, or of the proxy in front of it, is not trusted here.",
        "Set SSL_CERT_FILE to the file with your network's certificate, or fetch the checkpoint elsewhere.",
    ),
    _cause(
        "repository-unreachable",
        [
            r"CAS service error",
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
            r"RuntimeError: Unexpected error from cudaGetDeviceCount\(\)(?!.*Error 80[234])",
            r"invalid device ordinal|CUDA driver initialization failed|CUDA unknown error",
        ],
        "No CUDA device was found.",
        "Check `nvidia-smi` and CUDA_VISIBLE_DEVICES (in a container: --gpus all), or use the CPU runtime.",
        anywhere=True,
        unless=("driver-too-old", "driver-mismatch"),
    ),
    _cause(
        "fabric-manager",
        [r"Error 802: system not yet initialized|CUDA_ERROR_SYSTEM_NOT_READY"],
        "The GPUs are linked by NVSwitch, and its service is not running.",
        "Start it: `sudo systemctl start nvidia-fabricmanager`, in the version of the driver.",
        anywhere=True,
    ),
    _cause(
        "gpu-lost",
        [r"GPU is lost|fallen off the bus|uncorrectable ECC error|NVRM: Xid|Unable to determine the device handle"],
        "The GPU is not reachable any more, or its memory is faulty.",
        "Restart the computer; `dmesg` has Xid messages that say what happened to it.",
        anywhere=True,
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
            r"Error building extension '(?P<what>\w+)'|Ninja build failed|Cannot find (?P<what2>ptxas)",
        ],
        "A compiler that vLLM needs for its kernels is missing ({what}).",
        "Install gcc, g++ and Python's headers (on Debian: build-essential and python3-dev), or use enforce-eager.",
    ),
    _cause(
        "compilation-failed",
        [rf"CalledProcessError: Command '\[?'?(?P<what>{COMPILERS})\b"],
        "A kernel that is built when the engine starts could not be compiled by {what}.",
        "Install gcc, g++ and Python's headers (on Debian: build-essential and python3-dev), or use enforce-eager.",
        unless=("compiler-missing",),
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
        "parallel-size",
        [
            r"attention heads \(\d+\) must be divisible by tensor parallel size \(\d+\)",
            r"Not enough allowed NUMA nodes to bind threads of \d+ local CPUWorkers",
            r"[Ww]orld size \(\d+\) is larger than the number of available \w+",
            r"exceeds? the number of (?:visible|available) \w+ devices|local_rank \d+ exceeds",
        ],
        "The model cannot be split over so many devices.",
        "Set tensor-parallel-size and data-parallel-size to 1, or to a number of devices that this machine has and "
        "that divides the model's attention heads.",
    ),
    _cause(
        "batched-tokens",
        [
            r"max_num_batched_tokens \((?P<have>\d+)\) is smaller than max_model_len \((?P<want>\d+)\)",
            r"max_tokens_per_mm_item \((?P<want>\d+)\) is larger than max_num_batched_tokens \((?P<have>\d+)\)",
            r"max_num_batched_tokens \((?P<have>\d+)\) must be greater than or equal to max_num_seqs \((?P<want>\d+)\)",
        ],
        "max-num-batched-tokens is too small: {have}, where {want} are needed.",
        "Set max-num-batched-tokens to {want} or more in the profile's flags.",
    ),
    _cause(
        "attention-backend",
        [
            r"Unknown attention backend: '(?P<what>[^']+)'",
            r"Selected backend AttentionBackendEnum\.(?P<what>\w+) is not valid for this configuration",
            r"No valid attention backend found",
        ],
        "The attention backend {what} does not exist here, or cannot serve this model.",
        "Leave attention-backend out of the profile's flags: vLLM then takes one that fits.",
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
        "worker-silent",
        [
            r"RPC call to \w+ timed out|No available shared memory broadcast block found in \d+ seconds.*TimeoutError",
            r"TimeoutError: [^\n]*(?:execute_model|sample_tokens|collective_rpc)",
        ],
        "A process of the engine did not answer any more.",
        "Start again; if it comes back, try enforce-eager, and look whether the machine swaps.",
    ),
    _cause(
        "socket-path",
        [r"AF_UNIX path too long|ZMQError: File name too long|ipc path [^\n]* is longer than"],
        "The path of the folder for temporary files is too long for a socket.",
        "Set TMPDIR to a short path, such as /tmp.",
    ),
    _cause(
        "start-timeout",
        [
            r"Timed out waiting for engine|did not (?:start|become ready) within|VLLM_ENGINE_READY_TIMEOUT_S",
            r"TimeoutError: .*?(?:engine|core)[^\n]{0,40}(?:start|ready)",
        ],
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
    _cause(
        "process-vanished",
        [r"Exception: WorkerProc initialization failed|RuntimeError: Engine core initialization failed"],
        "A process of the engine ended without a word while it started, most likely killed because the memory ran out.",
        "Close other programs or choose a smaller profile; `dmesg` shows whether it was the OOM killer.",
        general=True,
    ),
    _cause(
        "weights-load",
        [r"^(?:\w+\.)*(?:Assertion|Runtime|Key|Value|Index|Attribute|Type|NotImplemented)Error(?:: (?P<what>[^\n]*))?"],
        "The checkpoint's weights cannot be loaded into this model ({what}).",
        "Use config.json and weights of the same checkpoint, and the vLLM release that it was made for.",
        frames=r"in (?:load_weights|weight_loader|load_\w+_weight|default_weight_loader|_load_w\w+)\b",
        general=True,
    ),
    _cause(
        "settings-refused",
        [
            r"validation errors? for \w*(?:Config|Args)\n\s*(?:Value error|Assertion failed), "
            r"(?P<why>[^\n]+?)(?: \[type=|\n|$)",
        ],
        "vLLM refuses these settings: {why}.",
        "Correct the profile's flags and environment.",
        general=True,
    ),
)

BY_NAME = {cause.name: cause for cause in CAUSES}
