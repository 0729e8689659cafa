"""A stand-in for vLLM's processes, run by `tests/stubs/engine_python`: answers /health, writes a real start's log.

It does what makes engines hard to end: a child in a session of its own that ignores SIGTERM, a second one that wiped
its environment as setproctitle does, shared memory and files in TMPDIR. What it does wrong is set in STAND_IN, words
separated by spaces: `fail` (a captured failure), `zero` (exit code 0 once ready), `slow`, `deaf` (ignores SIGTERM),
`dead-core` (says while serving that its engine core died, and goes on without one), `hang` (says that it failed to
start, and does not end); `core` and `spawned` give it an engine core, by its title or as it is spawned, whose end it
does not notice. `POST /v1/completions` counts as a request, `/sleep` and `/wake_up` are vLLM's.
"""

from __future__ import annotations

import http.server
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from multiprocessing import shared_memory
from pathlib import Path

LOGS = Path(__file__).parents[1] / "fixtures" / "engine-logs"
SLEEPER = "import signal,time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"


class State:
    """What the stand-in tells about itself."""

    requests = 0
    asleep = False
    alive = True


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        text = ""
        if self.path == "/metrics":
            text = f"vllm:num_requests_running 0.0\nvllm:prompt_tokens_total {State.requests}\n"
        elif self.path == "/is_sleeping":
            text = str(State.asleep)
        self.answer(text, 200 if State.alive else 503)

    def do_POST(self) -> None:
        if self.path.startswith(("/sleep", "/wake_up")):
            State.asleep = self.path.startswith("/sleep")
        else:
            State.requests += 1
        self.answer("{}")

    def answer(self, text: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: object) -> None:
        pass

    def address_string(self) -> str:
        return ""


class Quiet:
    """Says nothing of a client that went away before its answer, as vLLM's server does."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class UnixServer(Quiet, socketserver.ThreadingUnixStreamServer):
    pass


class TcpServer(Quiet, socketserver.ThreadingTCPServer):
    allow_reuse_address = True


def main() -> int:
    words = sys.argv[1:]
    modes = os.environ.get("STAND_IN", "").split()
    if "deaf" in modes:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    block = shared_memory.SharedMemory(create=True, size=1024)
    print("shm", block.name, flush=True)
    (Path(os.environ["TMPDIR"]) / "zmq-like").write_text("x")
    subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True)
    subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True, env={})
    if "core" in modes:
        subprocess.Popen(["VLLM::EngineCore", "-c", SLEEPER], executable=sys.executable)
    if "spawned" in modes:
        subprocess.Popen([sys.executable, "-c", f"from multiprocessing.spawn import spawn_main\n{SLEEPER}"])
    if "hang" in modes:
        print((LOGS / "fail-missing-weights.log").read_text(), flush=True)
        time.sleep(600)
    if "fail" in modes:
        print((LOGS / "fail-missing-weights.log").read_text(), flush=True)
        return 1
    lines = (LOGS / "cpu-nvfp4-ready.log").read_text().splitlines()
    ready = next(number for number, line in enumerate(lines) if line.endswith("Application startup complete."))
    print("\n".join(lines[:ready]), flush=True)
    if "slow" in modes:
        time.sleep(600)
    server: socketserver.BaseServer
    if "--uds" in words:
        server = UnixServer(words[words.index("--uds") + 1], Health)
    else:
        server = TcpServer((words[words.index("--host") + 1], int(words[words.index("--port") + 1])), Health)
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(lines[ready], flush=True)
    if "dead-core" in modes:
        time.sleep(1.0)
        State.alive = False
        print(
            "(APIServer pid=7) ERROR 11-23 08:00:00 [core_client.py:600] Engine core proc EngineCore died unexpectedly",
            flush=True,
        )
    if "false-alarm" in modes:
        print("(APIServer pid=7) ERROR 11-23 08:00:00 [x.py:6] vllm.v1.engine.exceptions.EngineDeadError", flush=True)
    if "zero" in modes:
        time.sleep(1.0)
        os._exit(0)
    time.sleep(600)
    return 0


if __name__ == "__main__":
    sys.exit(main())
