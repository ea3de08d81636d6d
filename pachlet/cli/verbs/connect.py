"""connect: choose the server for this and every other Pachyderm client of this user.

Read next: config.py, pachlet/client/context.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from pachlet.cli.session import Session
from pachlet.client import cluster
from pachlet.client.connection import Address, Connection
from pachlet.client.context import config_path, contexts, read_config, set_context, write_config


def connect_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("address", metavar="host:port")
    parser.add_argument(
        "--alias", default="", metavar="NAME", help="a name for this server (default: its address)"
    )


def connect(session: Session, arguments: Namespace) -> None:
    address = Address(arguments.address)
    # A server that does not answer is not worth remembering.
    with session.telling(Connection(address.url)) as connection:
        info = cluster.inspect_cluster(connection)
    name = arguments.alias or str(address)
    path = config_path(session.environ)
    before = read_config(path)
    config = set_context(before, name, pachd_address=address.url, cluster_deployment_id=info.deployment_id)
    write_config(path, config)
    if (contexts(before).get(name) or {}).get("pachd_address") != address.url:
        session.print(f"New context '{name}' created, will connect to Pachyderm at {address.url}")
    session.print(f"Context '{name}' set as active")
