"""A TLS 1.3 peer that breaks the rules where it is told to, on top of tlslite-ng.

A case says what to send instead of a message of the handshake (`hooks`, by kind of message) and
after it (`after`); then an HTTP request follows. What comes of it is a word:
the status of the answer, `alert NAME`, `closed` (without a word) or `hung`.
"""

import contextlib
import socket

from tlslite.api import (
    HandshakeSettings,
    TLSAbruptCloseError,
    TLSClosedConnectionError,
    TLSConnection,
    TLSLocalAlert,
    TLSRemoteAlert,
    X509CertChain,
    parsePEMKey,
)
from tlslite.constants import AlertDescription, ContentType
from tlslite.messages import Message
from tlslite.x509 import X509

# Longer than the server lets any phase of a connection last, the quiet between requests apart.
PATIENCE_S = 12
HELLO, CERTIFICATE, VERIFY, FINISHED = 1, 11, 15, 20
CCS = "change cipher spec"
ENDED = (TLSAbruptCloseError, TLSClosedConnectionError, ConnectionError)


def cases():
    """A list of cases (name, expected word, function), and the decorator that adds to it."""
    kept = []

    def case(expected, rfc=None):
        """`rfc`: what RFC 8446 says, where the server's TLS library ends otherwise."""

        def keep(function):
            kept.append((function.__name__, expected, function))
            return function

        return keep

    return kept, case


class Aim:
    """The server under test, what is asked of it, and the badges (key, certificate) at hand."""

    def __init__(self, host, port, folder):
        self.address = (host, int(port))
        self.request = (folder / "request").read_bytes()
        self.badges = {}
        for path in folder.glob("*.identity"):
            text = path.read_text()
            begin = text.index("-----BEGIN CERTIFICATE-----")
            end = text.index("-----END CERTIFICATE-----", begin) + 25
            certificate = X509().parse(text[begin:end])
            key = parsePEMKey(text, private=True)
            self.badges[path.stem] = (X509CertChain([certificate]), key)

    def socket(self):
        """A connection without a handshake."""
        connected = socket.create_connection(self.address, timeout=PATIENCE_S)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected


class Peer(TLSConnection):
    """A connection whose messages may be replaced as they leave."""

    hooks = {}

    def _sendMsg(self, msg, randomizeFirstBlock=True, update_hashes=True):
        if msg.contentType == ContentType.handshake:
            kind = getattr(msg, "handshakeType", None)
        else:
            kind = CCS if msg.contentType == ContentType.change_cipher_spec else None
        hook = self.hooks.get(kind)
        instead = [msg] if hook is None else hook(self, msg)
        for message in instead:
            yield from super()._sendMsg(message, randomizeFirstBlock, update_hashes)

    def _sendMsgThroughSocket(self, msg):
        # The server may have ended it: go on to where its alert can be read.
        with contextlib.suppress(OSError):
            yield from self._recordLayer.sendRecord(msg)

    def _sendMsgs(self, msgs):
        try:
            yield from super()._sendMsgs(msgs)
        except OSError:
            self.sock._write_queue.clear()
            self.sock.buffer_writes = False

    def raw(self, sent):
        """Bytes that are no record of ours, in their place among the records."""
        with contextlib.suppress(OSError):
            self.sock.flush()
            self.sock.socket.sendall(bytes(sent))

    def record(self, kind, content):
        """One record of this inner kind, encrypted once keys are there, however long."""
        with contextlib.suppress(OSError):
            self.sock.flush()
            for _ in self._recordLayer.sendRecord(Message(kind, bytearray(content))):
                pass

    def sealed(self, inner):
        """A record with this inner plaintext: its kind and padding are among these bytes."""
        data = self._recordLayer._encryptThenSeal(bytearray(inner), ContentType.application_data)
        return record(ContentType.application_data, data)

    def answer(self, request):
        """Sends the request and gives the status of the answer."""
        with contextlib.suppress(OSError, TLSClosedConnectionError):
            # The server may have ended it; what it said is still to be read.
            self.closed = False
            self.write(request)
        read = b""
        while b"\r\n" not in read:
            self.closed = False
            more = self.read(max=4096, min=1)
            if not more:
                return "closed"
            read += more
        return read.split(b" ")[1].decode()


def settings(**changes):
    """TLS 1.3 only, one key share."""
    chosen = HandshakeSettings()
    chosen.minVersion = chosen.maxVersion = (3, 4)
    chosen.keyShares = ["x25519"]
    chosen.certificate_compression_send = []
    chosen.certificate_compression_receive = []
    chosen.use_heartbeat_extension = False
    for name, value in changes.items():
        setattr(chosen, name, value)
    return chosen


def record(kind, content, version=(3, 3), length=None):
    """The bytes of a plain record; `length` may be a lie."""
    length = len(content) if length is None else length
    return bytes([kind, *version, length >> 8, length & 255]) + bytes(content)


def handshake(kind, content, length=None):
    """The bytes of a handshake message; `length` may be a lie."""
    length = len(content) if length is None else length
    return bytes([kind, *length.to_bytes(3, "big")]) + bytes(content)


def talk(aim, badge=None, hooks=None, after=None, session=None, **changes):
    """One connection from its first byte to the answer; gives the word for what came of it."""
    with aim.socket() as connected:
        peer = Peer(connected)
        peer.hooks = hooks or {}
        peer.ignoreAbruptClose = False
        chain, key = aim.badges[badge] if isinstance(badge, str) else badge or (None, None)
        peer.handshakeClientCert(chain, key, session=session, settings=settings(**changes))
        said = after(peer) if after else None
        return said or peer.answer(aim.request)


def bare(aim, sent, then_end=False):
    """Sends bytes without any TLS of ours, and gives the word for how it ended."""
    with aim.socket() as connected:
        with contextlib.suppress(OSError):
            connected.sendall(sent)
            if then_end:
                connected.shutdown(socket.SHUT_WR)
        return bare_end(connected)


def bare_end(connected):
    """Reads to the end, and gives the alert that came in the clear, if one did."""
    read = b""
    try:
        while more := connected.recv(4096):
            read += more
    except ConnectionError:
        pass
    while len(read) >= 5:
        length = int.from_bytes(read[3:5], "big")
        if read[0] == ContentType.alert and length == 2:
            return "alert " + AlertDescription.toRepr(read[6])
        read = read[5 + length :]
    return "closed"


def outcome(case, aim):
    """The word for what came of a case."""
    try:
        return case(aim)
    except TLSRemoteAlert as alert:
        name = AlertDescription.toRepr(alert.description) or str(alert.description)
        return "closed" if name == "close_notify" else "alert " + name
    except TLSLocalAlert as alert:
        return f"our own alert {AlertDescription.toRepr(alert.description)}: {alert.message}"
    except TimeoutError:
        return "hung"
    except ENDED:
        return "closed"
    except (AttributeError, AssertionError, TypeError, ValueError) as fault:
        return f"our own fault: {type(fault).__name__} {fault}"
