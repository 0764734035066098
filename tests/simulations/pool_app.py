"""A ClientApp whose message says what to do; other calls that the tests make in processes of their own."""

import json
import os
import signal
from pathlib import Path

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.query()
def query(message: Message, context: Context) -> Message:
    """Send the arrays back, unless ``do-SITE`` says to die, to hang, or to raise."""
    config = message.content["config"]
    site = str(context.node_config["site"])
    do = config.get(f"do-{site}", "")
    marker = Path(str(config["folder"])) / f"{site}.pid"
    first = not marker.exists()
    marker.write_text(str(os.getpid()))
    if do == "die" or (do == "die once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "exit":
        os._exit(7)
    if do == "raise":
        raise RuntimeError("boom\nand more")
    if do == "hang":
        signal.pause()
    content = RecordDict({"answer": MetricRecord({"pid": os.getpid()})})
    for name, record in message.content.array_records.items():
        content[name] = record
    return Message(content, reply_to=message)


def request(folder: Path, **do: str) -> RecordDict:
    """Arrays of all kinds, and what the sites are to do."""
    arrays = ArrayRecord()
    arrays["w"] = Array("float32", (3,), "raw", b"123456789012")
    arrays["empty"] = Array("float32", (0, 2), "raw", b"")
    arrays["b"] = Array("int8", (5,), "raw", b"12345")
    arrays["b"].data = memoryview(b"abcde")
    config = ConfigRecord({"folder": str(folder)} | {f"do-{site}": what for site, what in do.items()})
    return RecordDict({"weights": arrays, "none": ArrayRecord(), "config": config})


def report() -> None:
    """Print where this process finds itself."""
    status = Path("/proc/self/status").read_text().splitlines()
    ignored = int(next(line for line in status if line.startswith("SigIgn")).split()[1], 16)
    interrupt = bool(ignored >> (signal.SIGINT - 1) & 1)
    here = {"folder": os.getcwd(), "variable": os.environ.get("MEDFED_TEST"), "nice": os.nice(0), "deaf": interrupt}
    print(json.dumps(here))


def leave(code: str) -> None:
    """End with this exit code."""
    raise SystemExit(int(code))
