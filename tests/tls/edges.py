"""TLS 1.3 cases against a running server: `edges.py HOST PORT FOLDER`.

FOLDER has `request`, the bytes of an HTTP request, and `NAME.identity`, badges of devices. For each
case it prints name, what is expected and what came, with tabs between. A case is expected to end as
RFC 8446 says; where another alert is expected, the case says so.
"""

import pathlib
import sys

import flow
import hello
import records
import tickets
from peer import Aim, outcome


def main():
    aim = Aim(sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]))
    only = sys.argv[4:]
    for part in (hello, records, flow, tickets):
        for name, expected, case in part.CASES:
            if not only or name in only:
                print(name, expected, outcome(case, aim), sep="\t", flush=True)


main()
