"""A slow HTTP service with moods, to try calls with. It needs nothing but Python.

    python -m examples.slow_api --latency 0.3 --jitter 0.1 --fail-rate 0.1 --rate-limit 20 --port 9000

Every address answers, after the latency, with a JSON object that says what came in; `/stats` tells at once how often
each idempotency key was called and how each call ended. Faults: 500 (`--fail-rate`), 503 with Retry-After
(`--busy-rate`), no answer at all (`--hang-rate`), half an answer (`--cut-rate`), and above `--rate-limit` calls a
second 429 with Retry-After. Which call gets which fault depends only on the seed, on method, path and body, and on how
often its idempotency key (without one, its method and path) was called before: two runs with one seed are alike.
"""

import argparse
import asyncio
import json
import math
import random
import signal
import sys
import time
from collections import Counter, deque
from email.utils import formatdate

LONGEST_HEAD = 64 * 1024
LONGEST_BODY = 1024 * 1024
IDLE_SECONDS = 60
REASONS = {
    200: "OK",
    400: "Bad Request",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Refused(Exception):
    """A request that is answered with this status at once."""

    def __init__(self, status):
        self.status = status


class SlowApi:
    """The service: its options, and what it counted."""

    def __init__(self, options):
        self.options = options
        self.keys = {}
        self.ends = Counter()
        self.at_once = self.most_at_once = 0
        self.begun = deque()
        self.most_in_a_second = 0
        self.tokens, self.filled = max(1.0, options.rate_limit), time.monotonic()

    async def serve(self, reader, writer):
        """One connection, any number of requests."""
        try:
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    request = await read_request(reader)
                if request is None or not await self.answer(*request, reader, writer):
                    break
        except Refused as refusal:
            writer.write(response(refusal.status, {"error": REASONS[refusal.status]}, close=True))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client has gone, or says nothing
        finally:
            writer.close()

    async def answer(self, method, path, headers, body, reader, writer):
        """Answer one request; False when the connection ends with it."""
        if path == "/stats":
            await send(writer, response(200, self.stats()))
            return True
        key = headers.get("idempotency-key") or f"{method} {path}"
        counts = self.keys.setdefault(key, {"calls": 0, "done": 0})
        counts["calls"] += 1
        self.note_begin()
        try:
            end = await self.one_call(method, path, counts, body, reader, writer)
        finally:
            self.at_once -= 1
        self.ends[end] += 1
        return end not in ("hung", "cut")

    async def one_call(self, method, path, counts, body, reader, writer):
        """Do what this call's lot is; returns how it ended."""
        options = self.options
        lot = random.Random(f"{options.seed}/{counts['calls']}/{method}/{path}/{body!r}")
        if (wait := self.over_the_limit()) > 0:
            await send(writer, response(429, {"error": "too many calls"}, self.retry_after(wait), method))
            return "429"
        await asyncio.sleep(max(0.0, options.latency + options.jitter * (2 * lot.random() - 1)))
        fate = lot.random()
        for name, rate in (
            ("500", options.fail_rate),
            ("503", options.busy_rate),
            ("hung", options.hang_rate),
            ("cut", options.cut_rate),
        ):
            if fate < rate:
                return await self.fail(name, method, reader, writer)
            fate -= rate
        counts["done"] += 1
        document = {
            "method": method,
            "path": path,
            "call": counts["calls"],
            "bytes": len(body),
            "number": lot.randrange(1000),
        }
        await send(writer, response(200, document, method=method))
        return "200"

    async def fail(self, name, method, reader, writer):
        """Answer badly, or not at all."""
        if name == "hung":
            try:
                async with asyncio.timeout(self.options.hang_seconds):
                    await reader.read(1)  # until the client has had enough
            except (OSError, TimeoutError):
                pass
        elif name == "cut":
            await send(writer, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
            writer.transport.abort()
        elif name == "503":
            wait = self.options.retry_after
            await send(writer, response(503, {"error": "busy"}, self.retry_after(wait), method))
        else:
            await send(writer, response(500, {"error": "this went wrong"}, method=method))
        return name

    def over_the_limit(self):
        """Seconds until a call is allowed again, 0 when this one is."""
        rate, now = self.options.rate_limit, time.monotonic()
        if not rate:
            return 0
        self.tokens = min(max(1.0, rate), self.tokens + (now - self.filled) * rate)
        self.filled = now
        if self.tokens >= 1:
            self.tokens -= 1
            return 0
        return (1 - self.tokens) / rate

    def retry_after(self, seconds):
        """The header, in whole seconds or as a date."""
        whole = math.ceil(seconds)
        value = formatdate(time.time() + whole, usegmt=True) if self.options.retry_after_date else str(whole)
        return {"Retry-After": value}

    def note_begin(self):
        """Count how many calls are in hand, and how many began within a second."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        now = time.monotonic()
        self.begun.append(now)
        while self.begun[0] < now - 1:
            self.begun.popleft()
        self.most_in_a_second = max(self.most_in_a_second, len(self.begun))

    def stats(self):
        """Everything that was counted."""
        return {
            "calls": sum(counts["calls"] for counts in self.keys.values()),
            "ends": dict(self.ends),
            "atOnce": self.at_once,
            "mostAtOnce": self.most_at_once,
            "mostInASecond": self.most_in_a_second,
            "keys": self.keys,
        }


async def read_request(reader):
    """Method, path, headers (lower case) and body of the next request; None when there is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise Refused(413) from None
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Refused(400) from None
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length", "0")
    if first.count(" ") != 2 or not length.isdigit() or "transfer-encoding" in headers:
        raise Refused(400)
    if int(length) > LONGEST_BODY:
        raise Refused(413)
    method, path, _ = first.split(" ")
    return method, path, headers, await reader.readexactly(int(length))


def response(status, document, headers=None, method="GET", close=False):
    """The bytes of an answer."""
    body = json.dumps(document).encode() + b"\n"
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
    if close:
        fields["Connection"] = "close"
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} {REASONS[status]}\r\n{head}\r\n".encode() + (b"" if method == "HEAD" else body)


async def send(writer, content):
    writer.write(content)
    await writer.drain()


def share(text):
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def amount(text):
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 on")
    return value


def read_options(arguments=None):
    parser = argparse.ArgumentParser(prog="slow_api", description=__doc__.partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0: a free one (0)")
    parser.add_argument("--latency", type=amount, default=0.3, help="seconds an answer takes (0.3)")
    parser.add_argument("--jitter", type=amount, default=0.0, help="seconds by which it takes more or less (0)")
    parser.add_argument("--fail-rate", type=share, default=0.0, help="share of calls answered 500 (0)")
    parser.add_argument("--busy-rate", type=share, default=0.0, help="share of calls answered 503 with Retry-After (0)")
    parser.add_argument("--hang-rate", type=share, default=0.0, help="share of calls never answered (0)")
    parser.add_argument("--cut-rate", type=share, default=0.0, help="share of calls whose answer breaks off (0)")
    parser.add_argument("--rate-limit", type=amount, default=0.0, help="calls a second, above it 429; 0: no limit (0)")
    parser.add_argument("--retry-after", type=amount, default=1.0, help="seconds that a 503 asks to wait (1)")
    parser.add_argument("--retry-after-date", action="store_true", help="say Retry-After as a date")
    parser.add_argument("--hang-seconds", type=amount, default=600.0, help="how long a call hangs (600)")
    parser.add_argument("--seed", type=int, default=1, help="which calls meet which fault (1)")
    options = parser.parse_args(arguments)
    if options.fail_rate + options.busy_rate + options.hang_rate + options.cut_rate > 1:
        parser.error("the rates of faults add up to more than 1")
    return options


async def main():
    options = read_options()
    api = SlowApi(options)
    connections = set()

    async def accept(reader, writer):
        task = asyncio.current_task()
        connections.add(task)
        try:
            await api.serve(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            connections.discard(task)

    try:
        server = await asyncio.start_server(accept, options.host, options.port, limit=LONGEST_HEAD)
    except OSError as error:
        sys.exit(f"slow_api cannot listen on {options.host}:{options.port}: {error.strerror or error}")
    host, port = server.sockets[0].getsockname()[:2]
    print(f"slow_api listens at http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        except NotImplementedError:
            pass  # on Windows Ctrl-C ends it anyway
    await ended.wait()
    server.close()
    for task in connections:
        task.cancel()
    await asyncio.gather(*connections, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
