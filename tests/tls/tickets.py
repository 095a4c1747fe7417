"""Cases about resumption: tickets used twice, changed, of others, and early data."""

from flow import DEVICE
from hello import STRANGER, extension
from peer import HELLO, cases, handshake, record, talk
from records import DATA
from tlslite.constants import ExtensionType

CASES, case = cases()


def session_of(aim, badge=None):
    """A session with its ticket, which comes with the first answer."""
    kept = []
    talk(aim, badge=badge, after=lambda peer: kept.append(peer))
    session = kept[0].session
    assert session.tickets, "the server gave a ticket"
    return session


def resumed(aim, session, **more):
    """The answer, and whether the session was resumed."""
    kept = []
    said = talk(aim, session=session, after=lambda peer: kept.append(peer), **more)
    return said + (" resumed" if kept[0].resumed else " after a full handshake")


@case(STRANGER + " resumed")
def a_ticket(aim):
    return resumed(aim, session_of(aim))


@case(DEVICE + " resumed")
def a_device_s_ticket(aim):
    return resumed(aim, session_of(aim, "device"))


@case(STRANGER + " after a full handshake")
def a_ticket_sent_again(aim):
    session = session_of(aim)
    ticket = session.tickets[0]
    first = resumed(aim, session)
    assert first.endswith("resumed"), first
    session.tickets[:] = [ticket]
    return resumed(aim, session)


@case("403 resumed")
def a_ticket_of_a_removed_device(aim):
    return resumed(aim, session_of(aim, "removed"))


@case(STRANGER + " after a full handshake")
def a_device_s_ticket_sent_again_by_a_stranger(aim):
    session = session_of(aim, "device")
    ticket = session.tickets[0]
    resumed(aim, session)
    session.tickets[:] = [ticket]
    return resumed(aim, session)


@case(STRANGER + " after a full handshake")
def a_ticket_with_a_bit_changed(aim):
    session = session_of(aim)
    session.tickets[0].ticket[0] ^= 1
    return resumed(aim, session)


@case("alert decrypt_error")
def a_ticket_without_its_secret(aim):
    session = session_of(aim)
    session.resumptionMasterSecret[0] ^= 1
    return resumed(aim, session)


@case(STRANGER + " after a full handshake")
def a_ticket_without_a_new_key_exchange(aim):
    session = session_of(aim)
    return resumed(aim, session, psk_modes=["psk_ke"])


@case(STRANGER + " resumed")
def a_ticket_of_an_odd_age(aim):
    session = session_of(aim)
    session.tickets[0].ticket_age_add ^= 0x55555555
    return resumed(aim, session)


@case("no early data")
def tickets_allow_no_early_data(aim):
    session = session_of(aim)
    kinds = {found.extType for found in session.tickets[0].extensions}
    return "early data" if ExtensionType.early_data in kinds else "no early data"


@case(STRANGER)
def early_data_all_the_same(aim):
    return talk(aim, hooks={HELLO: with_early_data(b"x" * 200)})


@case("alert bad_record_mac")
def early_data_without_end(aim):
    return talk(aim, hooks={HELLO: with_early_data(b"x" * 16_000, times=20)})


def with_early_data(content, times=1):
    """Offers early data and sends some, under a key that nobody has."""

    def hook(peer, hello):
        body = b"\0\x0b\0\5ticke\0\0\0\0" + b"\0\x21\x20" + bytes(32)
        hello.extensions.append(extension(ExtensionType.early_data))
        hello.extensions.append(extension(ExtensionType.pre_shared_key, body))
        yield hello
        peer.raw(record(DATA, content) * times)

    return hook


@case("alert unexpected_message")
def an_end_of_early_data_that_was_not_taken(aim):
    return talk(aim, after=lambda peer: peer.record(22, handshake(5, b"")))
