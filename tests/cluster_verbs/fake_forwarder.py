"""`fake_forwarder.py PORT`: what `kubectl port-forward` does, without a cluster."""

from __future__ import annotations

import asyncio
import signal
import sys


async def forward(port: int) -> None:
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()

    stop = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, onward = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            print("error: lost connection to pod", file=sys.stderr, flush=True)
            writer.close()
            stop.set()
            return
        await asyncio.gather(pump(reader, onward), pump(back, writer), return_exceptions=True)
        onward.close()
        writer.close()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(f"Forwarding from 127.0.0.1:{server.sockets[0].getsockname()[1]} -> {port}", flush=True)
    await stop.wait()


if __name__ == "__main__":
    asyncio.run(forward(int(sys.argv[1])))
