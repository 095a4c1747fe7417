#!/usr/bin/env python3
"""Packets for the tests of the firewall.

listen tcp:PORT.. udp:PORT..   answers on each, until it is ended
probe tcp:HOST:PORT ..         says of each: open, refused or silent
scan HOST FIRST LAST           names each TCP port that answers in any way
"""

import selectors
import socket
import sys
import time

PATIENCE_S = 1.0
AT_ONCE = 2000


def listen(what):
    selector = selectors.DefaultSelector()
    for item in what:
        kind, port = item.split(":")
        is_tcp = kind == "tcp"
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM if is_tcp else socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("0.0.0.0", int(port)))
        if is_tcp:
            made.listen(64)
        selector.register(made, selectors.EVENT_READ, is_tcp)
    print("listening", flush=True)
    while True:
        for key, _ in selector.select():
            if key.data:
                key.fileobj.accept()[0].close()
            else:
                data, peer = key.fileobj.recvfrom(2048)
                key.fileobj.sendto(data, peer)


def connect_all(targets):
    """What becomes of a connection to each (host, port)."""
    ends = {}
    selector = selectors.DefaultSelector()
    for target in targets:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)
        made.connect_ex(target)
        selector.register(made, selectors.EVENT_WRITE, target)
        ends[target] = "silent"
    until = time.monotonic() + PATIENCE_S
    while selector.get_map() and (left := until - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            error = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            ends[key.data] = "refused" if error else "open"
            selector.unregister(key.fileobj)
            key.fileobj.close()
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    return ends


def probe(what):
    for item in what:
        kind, host, port = item.split(":")
        target = (host, int(port))
        if kind == "tcp":
            print(connect_all([target])[target], flush=True)
            continue
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.settimeout(PATIENCE_S)
        try:
            made.connect(target)
            made.send(b"anybody there")
            made.recv(2048)
            print("open", flush=True)
        except TimeoutError:
            print("silent", flush=True)
        except PermissionError:
            # The kernel says so when our own rules drop what we send.
            print("silent", flush=True)
        except ConnectionRefusedError:
            print("refused", flush=True)


def scan(host, first, last):
    ports = list(range(int(first), int(last) + 1))
    for at in range(0, len(ports), AT_ONCE):
        ends = connect_all([(host, port) for port in ports[at : at + AT_ONCE]])
        for (_, port), end in ends.items():
            if end != "silent":
                print(port, end, flush=True)


if __name__ == "__main__":
    command, arguments = sys.argv[1], sys.argv[2:]
    if command == "scan":
        scan(*arguments)
    else:
        {"listen": listen, "probe": probe}[command](arguments)
