"""`python -m tests.sandbox`: run the sandbox, or script a running one by hand.

python -m tests.sandbox serve --folder .demo/sandbox --control-port 8095
python -m tests.sandbox account Alice --contact Bob
python -m tests.sandbox scan Alice 'https://wa.me/settings/linked_devices#...'
python -m tests.sandbox send Bob Alice 'hello'
python -m tests.sandbox inbox Bob --wait 30
"""

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.sandbox.client import SandboxClient, SandboxError
from tests.sandbox.launch import CONFIG_VARIABLE

DEFAULT_CONFIG = Path(".demo/sandbox/sandbox.json")  # where the demo's sandbox leaves its file

Command = Callable[[SandboxClient, argparse.Namespace], Awaitable[object]]


async def _account(sandbox: SandboxClient, args: argparse.Namespace) -> object:
    made = await sandbox.account(args.name, args.contact, number=args.number, echo=args.echo, receipts=args.receipts)
    return {"number": made.number, "name": made.name, "lid": made.lid}


async def _accounts(sandbox: SandboxClient, _args: argparse.Namespace) -> object:
    return await sandbox.call("GET", "/accounts")


async def _scan(sandbox: SandboxClient, args: argparse.Namespace) -> object:
    return {"device": await (await sandbox.find(args.who)).scan(args.text)}


async def _code(sandbox: SandboxClient, args: argparse.Namespace) -> object:
    return {"device": await (await sandbox.find(args.who)).type_code(args.text)}


async def _devices(sandbox: SandboxClient, args: argparse.Namespace) -> object:
    return await (await sandbox.find(args.who)).linked()


async def _unlink(sandbox: SandboxClient, args: argparse.Namespace) -> object:
    return {"removed": await (await sandbox.find(args.who)).unlink()}


async def _send(sandbox: SandboxClient, args: argparse.Namespace) -> object:
    sender = await sandbox.find(args.who)
    if args.json:
        return {"id": await sender.send_message(args.to, json.loads(args.text))}
    return {"id": await sender.send_text(args.to, args.text)}


async def _typing(sandbox: SandboxClient, args: argparse.Namespace) -> object:
    await (await sandbox.find(args.who)).typing(args.to, args.state)
    return None


async def _inbox(sandbox: SandboxClient, args: argparse.Namespace) -> object:
    return await (await sandbox.find(args.who)).inbox(args.since, args.wait, args.kinds)


async def _fault(sandbox: SandboxClient, args: argparse.Namespace) -> object:
    return await sandbox.fault(args.name, args.scope, count=args.count, value=args.value, match=args.match)


async def _clear(sandbox: SandboxClient, _args: argparse.Namespace) -> object:
    await sandbox.clear_faults()
    return None


async def _stats(sandbox: SandboxClient, _args: argparse.Namespace) -> object:
    return await sandbox.stats()


async def _trace(sandbox: SandboxClient, args: argparse.Namespace) -> object:
    return await sandbox.trace(args.since, args.who, limit=args.limit)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox", description="WhatsApp in a box.")
    parser.add_argument("--control", default="", help="URL of a running sandbox")
    default = os.environ.get(CONFIG_VARIABLE, str(DEFAULT_CONFIG))
    parser.add_argument("--config", type=Path, default=Path(default), help=f"its file (default {default})")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run a sandbox")
    serve.add_argument("--folder", type=Path, default=DEFAULT_CONFIG.parent)
    serve.add_argument("--host", default="127.0.0.1", help="address of the proxy; the control API is on loopback")
    serve.add_argument("--port", type=int, default=0, help="of the proxy; 0 is a free one")
    serve.add_argument("--control-port", type=int, default=0)
    serve.add_argument("--follow-stdin", action="store_true", help="end when standard input closes")
    serve.add_argument("--qr-refs", type=int, default=6, help="codes per attempt; the client shows the first 60 s")
    serve.add_argument("--fresh-count", type=int, help="prekeys a fresh client is told of; 100 makes it faster")
    serve.add_argument("--linger", type=float, default=0.12, help="seconds between a last stanza and the close")

    def add(name: str, command: Command, words: str, *positional: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=words)
        sub.set_defaults(run=command)
        for each in positional:
            sub.add_argument(each)
        return sub

    account = add("account", _account, "make an account", "name")
    account.add_argument("--number", default="")
    account.add_argument("--contact", action="append", default=[], help="name or number; may be repeated")
    account.add_argument("--echo", type=float, default=-1, help="seconds until it sends a text back")
    account.add_argument("--receipts", choices=["none", "delivered", "read"], default="delivered")
    add("accounts", _accounts, "list accounts")
    add("scan", _scan, "scan a QR code's text", "who", "text")
    add("code", _code, "type a pairing code", "who", "text")
    add("devices", _devices, "list linked devices", "who")
    add("unlink", _unlink, "remove all linked devices", "who")
    send = add("send", _send, "send a text", "who", "to", "text")
    send.add_argument("--json", action="store_true", help="the text is a WhatsApp Message as protobuf JSON")
    typing = add("typing", _typing, "show that somebody types", "who", "to")
    typing.add_argument("state", nargs="?", choices=["composing", "recording", "paused"], default="composing")
    inbox = add("inbox", _inbox, "show what a phone saw", "who")
    inbox.add_argument("--since", type=int, default=0)
    inbox.add_argument("--wait", type=float, default=0, help="seconds for the first record")
    inbox.add_argument("--kinds", default="", help="such as message,receipt")
    fault = add("fault", _fault, "turn a fault knob", "name")
    fault.add_argument("--scope", help="a number, with :N one device; without it everybody")
    fault.add_argument("--count", type=int)
    fault.add_argument("--value", type=int, default=0)
    fault.add_argument("--match", default="")
    add("clear", _clear, "turn all fault knobs back")
    add("stats", _stats, "show counts")
    trace = add("trace", _trace, "show what went over the wires")
    trace.add_argument("--who")
    trace.add_argument("--since", type=int, default=0)
    trace.add_argument("--limit", type=int, default=100)
    return parser


async def _script(args: argparse.Namespace) -> None:
    client = SandboxClient(args.control) if args.control else SandboxClient.of_config(args.config)
    async with client as sandbox:
        result = await args.run(sandbox, args)
    lines = result if isinstance(result, list) else [] if result is None else [result]
    for line in lines:
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")


def _serve(args: argparse.Namespace) -> None:
    # Only the server needs the protobuf modules and the cryptography: the other commands start faster without.
    from tests.sandbox.control.service import Options, serve  # noqa: PLC0415
    from tests.sandbox.world import Settings  # noqa: PLC0415

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    options = Options(args.folder, args.port, args.control_port, args.follow_stdin, args.host)
    asyncio.run(serve(options, Settings(qr_refs=args.qr_refs, fresh_count=args.fresh_count, linger=args.linger)))


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 if it worked, 1 with a sentence on standard error if not."""
    args = _parser().parse_args(argv)
    try:
        if args.command == "serve":
            _serve(args)
        else:
            asyncio.run(_script(args))
    except (SandboxError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
