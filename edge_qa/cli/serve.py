"""edge-qa serve: a bundle behind HTTP."""

import logging
from pathlib import Path
from typing import Literal

import click

from edge_qa.cli.options import budget_option, cache_option, engine_option, precision_option
from edge_qa.cli.parameters import PATH, finite
from edge_qa.inference.engine_choice import EngineName
from edge_qa.service.settings import MIB, Limits, Listening, Model

_DEFAULTS = Limits()
# What no machine of today has; numbers far beyond it do not fit the messages between processes.
_MOST, _MOST_MIB = 2**40, 2**30


def _path_segment(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Refuse a name that no URL can hold between two slashes: /v2/models/NAME would never be found."""
    if value is not None and (not value.strip() or "/" in value or value in (".", "..") or not value.isprintable()):
        raise click.BadParameter(f"got {value!r}, wanted a name that can stand in /v2/models/NAME: no slash, not blank")
    return value


def _host_names(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what no Host header is compared with: its port is left out first."""
    for value in values:
        # A port is all that may follow a colon, but in an IPv6 address.
        if not value.isprintable() or set(value) & set("/@?# ") or not value or value.count(":") == 1:
            raise click.BadParameter(f"got {value!r}, wanted a name or an address, without scheme, path and port")
    return values


@click.command()
@click.argument("bundle", type=PATH)
@click.option(
    "--documents",
    type=PATH,
    metavar="LIBRARY",
    help="Answer from the documents that edge-qa index put into this file, too.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Listen on this IP address; one that other machines can reach needs --token-file.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Listen on this port; 0 for one that is free.",
)
@click.option("--socket", type=PATH, metavar="PATH", help="Listen on a Unix socket at this path, and on no port.")
@click.option(
    "--token-file",
    type=PATH,
    metavar="FILE",
    help="Answer only clients that send the token in this file: Authorization: Bearer TOKEN.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    callback=_host_names,
    metavar="NAME",
    help="Answer requests for this name, too (Host header), beside those of the loopback and the address.",
)
@click.option(
    "--name",
    metavar="NAME",
    callback=_path_segment,
    help="Call the model this in /info and /v2; the folder's name by default.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=_DEFAULTS.workers,
    show_default=True,
    help="Answer in this many processes; each loads the model.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Use this many cores in each worker; an equal share of what this process may use by default.",
)
@click.option(
    "--worker-memory",
    type=click.IntRange(0, _MOST_MIB),
    default=(_DEFAULTS.worker_bytes or 0) // MIB,
    show_default=True,
    metavar="MIB",
    help="Let a worker hold no more data than this; one that needs more is replaced. 0 for no limit.",
)
@click.option(
    "--max-batch-tokens",
    type=click.IntRange(1, _MOST),
    default=_DEFAULTS.batch_tokens,
    show_default=True,
    metavar="TOKENS",
    help="Run windows of several requests together up to this many tokens.",
)
@click.option(
    "--max-queue",
    type=click.IntRange(1, _MOST),
    default=_DEFAULTS.queued,
    show_default=True,
    metavar="REQUESTS",
    help="Let this many requests wait; further ones get a 429.",
)
@click.option(
    "--max-body",
    type=click.IntRange(1, _MOST),
    default=_DEFAULTS.body_bytes,
    show_default=True,
    metavar="BYTES",
    help="Refuse requests with more bytes than this with a 413.",
)
@click.option(
    "--request-timeout",
    type=click.FloatRange(min=0.1, max=3600),
    callback=finite,
    default=_DEFAULTS.request_s,
    show_default=True,
    metavar="SECONDS",
    help="Answer a request within this time, or not at all.",
)
@click.option(
    "--receive-timeout",
    type=click.FloatRange(min=0.1, max=3600),
    callback=finite,
    default=_DEFAULTS.receive_s,
    show_default=True,
    metavar="SECONDS",
    help="Wait this long for the head of a request, and for its body.",
)
@click.option(
    "--hang-timeout",
    type=click.FloatRange(min=0.1, max=3600),
    callback=finite,
    default=_DEFAULTS.hang_s,
    show_default=True,
    metavar="SECONDS",
    help="Replace a worker that says nothing for this long after the deadline of its requests.",
)
@click.option(
    "--drain-timeout",
    type=click.FloatRange(min=0, max=3600),
    callback=finite,
    default=_DEFAULTS.drain_s,
    show_default=True,
    metavar="SECONDS",
    help="After SIGTERM, let what was accepted run this long.",
)
@precision_option
@engine_option
@cache_option
@budget_option
def serve(
    bundle: Path,
    documents: Path | None,
    host: str,
    port: int,
    socket: Path | None,
    token_file: Path | None,
    hosts: tuple[str, ...],
    name: str | None,
    workers: int,
    threads: int | None,
    worker_memory: int,
    max_batch_tokens: int,
    max_queue: int,
    max_body: int,
    request_timeout: float,
    receive_timeout: float,
    hang_timeout: float,
    drain_timeout: float,
    precision: Literal["f32", "bf16"],
    engine: EngineName,
    cache: str | None,
    budget: str,
) -> None:
    """Answer questions over HTTP, with the model in BUNDLE, until SIGTERM.

    There is a page at /, JSON at /v1 (/openapi.json describes it) and the Open Inference Protocol at /v2. Only this
    machine can ask, unless --host says otherwise. SIGHUP, or another folder at the place of BUNDLE, swaps the model
    without losing a request.
    """
    # Imported here, because --help works without the extra.
    from edge_qa.service.network.listening import read_token
    from edge_qa.service.serve import serve as run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    model = Model(
        bundle, name, documents, engine=engine, precision=precision, budget=budget, threads=threads, cache=cache
    )
    limits = Limits(
        workers=workers,
        worker_bytes=worker_memory * MIB or None,
        batch_tokens=max_batch_tokens,
        queued=max_queue,
        body_bytes=max_body,
        request_s=request_timeout,
        receive_s=receive_timeout,
        drain_s=drain_timeout,
        hang_s=hang_timeout,
    )
    token = None if token_file is None else read_token(token_file)
    run(
        model,
        limits,
        Listening(host, port, socket, token, hosts),
        listens=lambda address: click.echo(f"listening on {address}", err=True),
    )
