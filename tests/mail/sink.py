"""A mail relay that keeps what it is sent: one line of JSON for each message.

Usage: sink.py PORT [--starttls CERTIFICATE KEY] [--refuse CODE]
"""

import argparse
import email
import email.policy
import json
import ssl
import sys
import threading

from aiosmtpd.controller import Controller


class Keeper:
    """Prints each message, or refuses each recipient."""

    def __init__(self, refuse):
        self.refuse = refuse

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if self.refuse:
            # As relays do: with the address, which then must not be in any log.
            return f"{self.refuse} <{address}> is unknown here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        print(
            json.dumps(
                {
                    "from": envelope.mail_from,
                    "to": envelope.rcpt_tos,
                    "subject": message["subject"],
                    "text": message.get_content(),
                    "tls": session.ssl is not None,
                }
            ),
            flush=True,
        )
        return "250 kept"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--starttls", nargs=2)
    parser.add_argument("--refuse", type=int)
    arguments = parser.parse_args()
    settings = {}
    if arguments.starttls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*arguments.starttls)
        settings = {"tls_context": context, "require_starttls": True}
    controller = Controller(
        Keeper(arguments.refuse), hostname="127.0.0.1", port=arguments.port, **settings
    )
    controller.start()
    print(f"ready on {arguments.port}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
