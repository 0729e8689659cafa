"""How each kind of server names what the dashboard shows."""

from __future__ import annotations

from dataclasses import dataclass

from gemma_backend.metrics.parse import Snapshot


@dataclass(frozen=True, slots=True)
class Dialect:
    """One server's names; of several for one thing the first that is there counts, () is what it does not tell.

    `generation` and `prompt` are counters of tokens, `running` to `preemptions` gauges and counters as in Sample,
    `finished` to `steps` counters of requests, cache look-ups, speculated tokens and iterations; `ttft`, `itl` and
    `e2e` are histograms in seconds.
    """

    server: str
    prefix: str
    generation: tuple[str, ...] = ()
    prompt: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    kv_cache: tuple[str, ...] = ()
    kv_tokens: tuple[str, ...] = ()
    prefix_queries: tuple[str, ...] = ()
    prefix_hits: tuple[str, ...] = ()
    preemptions: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()
    mm_queries: tuple[str, ...] = ()
    mm_hits: tuple[str, ...] = ()
    drafted: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    ttft: tuple[str, ...] = ()
    itl: tuple[str, ...] = ()
    e2e: tuple[str, ...] = ()


DIALECTS = (
    # vllm/v1/metrics/loggers.py, 0.10 to 0.33; the second names are those of earlier versions.
    Dialect(
        server="vLLM",
        prefix="vllm:",
        generation=("vllm:generation_tokens_total",),
        prompt=("vllm:prompt_tokens_total",),
        running=("vllm:num_requests_running",),
        waiting=("vllm:num_requests_waiting",),
        kv_cache=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
        prefix_queries=("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
        prefix_hits=("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
        preemptions=("vllm:num_preemptions_total",),
        finished=("vllm:request_success_total",),
        mm_queries=("vllm:mm_cache_queries_total",),
        mm_hits=("vllm:mm_cache_hits_total",),
        drafted=("vllm:spec_decode_num_draft_tokens_total",),
        accepted=("vllm:spec_decode_num_accepted_tokens_total",),
        steps=("vllm:iteration_tokens_total_count",),
        ttft=("vllm:time_to_first_token_seconds",),
        itl=("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
        e2e=("vllm:e2e_request_latency_seconds",),
    ),
    # docs.sglang.io, Production Metrics.
    Dialect(
        server="SGLang",
        prefix="sglang:",
        generation=("sglang:generation_tokens_total",),
        prompt=("sglang:prompt_tokens_total",),
        running=("sglang:num_running_reqs",),
        waiting=("sglang:num_queue_reqs",),
        kv_cache=("sglang:token_usage",),
        kv_tokens=("sglang:max_total_num_tokens",),
        finished=("sglang:num_requests_total",),
        ttft=("sglang:time_to_first_token_seconds",),
        itl=("sglang:inter_token_latency_seconds", "sglang:time_per_output_token_seconds"),
        e2e=("sglang:e2e_request_latency_seconds",),
    ),
    # llama.cpp tools/server/README.md; it has no histograms.
    Dialect(
        server="llama.cpp",
        prefix="llamacpp:",
        generation=("llamacpp:tokens_predicted_total",),
        prompt=("llamacpp:prompt_tokens_total",),
        running=("llamacpp:requests_processing",),
        waiting=("llamacpp:requests_deferred",),
        kv_cache=("llamacpp:kv_cache_usage_ratio",),
        steps=("llamacpp:n_decode_total",),
    ),
    # huggingface.co/docs/text-generation-inference, reference/metrics. Its tokens are counted only when a request
    # ends, which as a rate would be wrong at every moment, so there is none.
    Dialect(
        server="TGI",
        prefix="tgi_",
        running=("tgi_batch_current_size",),
        waiting=("tgi_queue_size",),
        finished=("tgi_request_success",),
        e2e=("tgi_request_duration",),
    ),
)


def dialect_of(snapshot: Snapshot) -> Dialect | None:
    """Return the names of the server that wrote `snapshot`, None where nothing in it is known."""
    for dialect in DIALECTS:
        if any(name.startswith(dialect.prefix) for name in snapshot.series):
            return dialect
    return None
