"""A server behind ssh: the tunnel to it, and what its machine tells of its GPUs."""

from __future__ import annotations

from gemma_backend.endpoint.tunnel import Tunnel
from gemma_backend.metrics.remote_gpu import RemoteGpus
from gemma_backend.types import Endpoint, GpuMemory


class FarServer:
    """Use `open` once, and `close` in any case."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.tunnel = Tunnel(endpoint)
        self.cards = RemoteGpus(self.tunnel.address)

    async def open(self) -> Endpoint:
        """The endpoint with the tunnel's near end; raises EndpointError with what a person can do."""
        endpoint = await self.tunnel.open()
        self.cards.start()
        return endpoint

    def gpus(self) -> tuple[GpuMemory, ...]:
        """The far machine's GPUs, () where it has no nvidia-smi."""
        return self.cards.latest

    def problem(self) -> str:
        """Why the tunnel is down, in a sentence; "" while it stands."""
        return self.tunnel.problem

    async def close(self) -> None:
        """End both connections."""
        await self.cards.close()
        await self.tunnel.close()
