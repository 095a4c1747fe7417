"""Cases about records: lengths, kinds, fragments, encryption."""

from hello import STRANGER, Raw
from peer import CCS, FINISHED, HELLO, bare, cases, handshake, record, talk
from tlslite.constants import AlertDescription, ContentType
from tlslite.messages import Message

CASES, case = cases()
DATA, ALERT, HANDSHAKE = (
    ContentType.application_data,
    ContentType.alert,
    ContentType.handshake,
)
# The most plaintext of a record, and the most that encryption may add.
PLAIN_MAX, ADDED_MAX = 2**14, 256


# Before there are keys.


@case("closed")
def nothing_at_all(aim):
    return bare(aim, b"", then_end=True)


@case("alert decode_error")
def http_without_tls(aim):
    return bare(aim, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")


@case("alert decode_error")
def zeros(aim):
    return bare(aim, bytes(2000))


@case("alert decode_error")
def a_record_of_an_unknown_kind(aim):
    return bare(aim, record(99, b"\1\0\0\1\0"))


@case("alert decode_error")
def an_empty_handshake_record(aim):
    return bare(aim, record(HANDSHAKE, b""))


@case("alert decode_error")
def a_plain_record_too_long(aim):
    return bare(aim, record(HANDSHAKE, b"\1\0\xff\xff", length=PLAIN_MAX + ADDED_MAX * 8 + 1))


@case("alert decode_error")
def a_record_of_65535_bytes(aim):
    return bare(aim, record(HANDSHAKE, b"\1\0\xff\xff", length=65_535))


@case("closed")
def a_hello_that_would_have_16_mib(aim):
    return bare(aim, record(HANDSHAKE, handshake(HELLO, bytes(16_000), length=2**24 - 1)))


@case("closed")
def a_hello_that_never_ends(aim):
    pieces = record(HANDSHAKE, handshake(HELLO, bytes(1_000), length=60_000))
    return bare(aim, pieces + record(HANDSHAKE, bytes(1_000)) * 30)


@case("alert decode_error")
def a_hello_in_empty_pieces(aim):
    first = record(HANDSHAKE, handshake(HELLO, b"\3\3", length=300))
    return bare(aim, first + record(HANDSHAKE, b"") * 4_000)


@case(STRANGER)
def a_hello_of_a_byte_a_record(aim):
    return talk(aim, hooks={HELLO: in_pieces_of(1)})


@case(STRANGER)
def a_hello_of_three_bytes_a_record(aim):
    return talk(aim, hooks={HELLO: in_pieces_of(3)})


def in_pieces_of(length):
    def hook(peer, hello):
        peer.recordSize = length
        return [hello]

    return hook


@case("alert unexpected_message")
def a_server_hello_from_a_peer(aim):
    return bare(aim, record(HANDSHAKE, handshake(2, bytes(40))))


@case("alert unexpected_message")
def application_data_first(aim):
    return bare(aim, record(DATA, b"GET / HTTP/1.1\r\n\r\n"))


@case("alert unexpected_message")
def a_change_of_cipher_first(aim):
    return bare(aim, record(ContentType.change_cipher_spec, b"\1"))


@case("alert unexpected_message")
def two_hellos_at_once(aim):
    return talk(aim, hooks={HELLO: lambda peer, hello: [Raw(hello.write() * 2)]})


@case("alert unexpected_message")
def a_hello_with_a_byte_of_the_next_message(aim):
    return talk(aim, hooks={HELLO: lambda peer, hello: [Raw(hello.write() + b"\x14")]})


@case("closed")
def an_alert_first(aim):
    return bare(aim, record(ALERT, bytes([2, AlertDescription.internal_error])))


@case("closed")
def a_goodbye_first(aim):
    return bare(aim, record(ALERT, bytes([1, AlertDescription.close_notify])), then_end=True)


@case("alert decode_error")
def an_alert_of_one_byte(aim):
    return bare(aim, record(ALERT, b"\2"))


@case("closed")
def a_thousand_warnings(aim):
    return bare(aim, record(ALERT, bytes([1, AlertDescription.user_canceled])) * 1_000)


@case("closed")
def a_hello_cut_at_every_eighth_byte(aim):
    whole = []

    def hook(peer, hello):
        whole.append(record(HANDSHAKE, hello.write(), version=(3, 1)))
        return [hello]

    talk(aim, hooks={HELLO: hook})
    ends = {bare(aim, whole[0][:end], then_end=True) for end in range(1, len(whole[0]), 8)}
    return ends.pop() if len(ends) == 1 else " and ".join(sorted(ends))


# While the handshake goes on, and once keys are there.


@case(STRANGER)
def a_change_of_cipher_in_its_place(aim):
    return talk(aim, hooks={CCS: lambda peer, ccs: [ccs]})


@case(STRANGER)
def no_change_of_cipher(aim):
    return talk(aim, hooks={CCS: lambda peer, ccs: []})


@case("alert unexpected_message")
def a_change_of_cipher_to_nothing(aim):
    wrong = Message(ContentType.change_cipher_spec, bytearray(b"\2"))
    return talk(aim, hooks={CCS: lambda peer, ccs: [wrong]})


@case("closed", rfc="alert unexpected_message")
def a_hundred_changes_of_cipher(aim):
    return talk(aim, hooks={CCS: lambda peer, ccs: [ccs] * 100})


@case("alert unexpected_message")
def a_change_of_cipher_after_the_end(aim):
    return talk(aim, after=lambda peer: peer.raw(record(ContentType.change_cipher_spec, b"\1")))


@case("alert unexpected_message")
def a_change_of_cipher_encrypted(aim):
    changed = b"\1" + bytes([ContentType.change_cipher_spec])
    return talk(aim, after=lambda peer: peer.raw(peer.sealed(changed)))


@case("alert bad_record_mac")
def a_byte_of_ciphertext_changed(aim):
    def after(peer):
        sealed = bytearray(peer.sealed(b"GET" + bytes([DATA])))
        sealed[-1] ^= 1
        peer.raw(sealed)

    return talk(aim, after=after)


@case("alert bad_record_mac")
def a_record_twice(aim):
    return talk(aim, after=lambda peer: peer.raw(peer.sealed(b"GET" + bytes([DATA])) * 2))


@case("alert bad_record_mac")
def a_record_shorter_than_its_tag(aim):
    return talk(aim, after=lambda peer: peer.raw(record(DATA, bytes(15))))


@case("alert bad_record_mac")
def records_out_of_order(aim):
    def after(peer):
        first, second = (peer.sealed(part + bytes([DATA])) for part in (b"GE", b"T /"))
        peer.raw(second + first)

    return talk(aim, after=after)


@case("alert bad_record_mac", rfc="alert unexpected_message")
def a_record_in_the_clear_after_keys(aim):
    return talk(aim, after=lambda peer: peer.raw(record(HANDSHAKE, handshake(HELLO, bytes(40)))))


@case("alert bad_record_mac", rfc="alert unexpected_message")
def an_alert_in_the_clear_after_keys(aim):
    return talk(aim, after=lambda peer: peer.raw(record(ALERT, b"\2\x50")))


@case("alert bad_record_mac", rfc="alert unexpected_message")
def a_finished_in_the_clear(aim):
    def hook(peer, finished):
        peer.raw(record(HANDSHAKE, finished.write()))
        return []

    return talk(aim, hooks={FINISHED: hook})


@case("closed", rfc="alert unexpected_message")
def an_inner_record_of_zeros_alone(aim):
    return talk(aim, after=lambda peer: peer.raw(peer.sealed(bytes(40))))


@case("closed", rfc="alert unexpected_message")
def an_inner_record_of_nothing(aim):
    return talk(aim, after=lambda peer: peer.raw(peer.sealed(b"")))


@case("alert decode_error", rfc="alert unexpected_message")
def an_inner_record_of_an_unknown_kind(aim):
    return talk(aim, after=lambda peer: peer.raw(peer.sealed(b"GET\x63")))


@case("alert decode_error", rfc="alert unexpected_message")
def an_inner_heartbeat(aim):
    return talk(aim, after=lambda peer: peer.raw(peer.sealed(b"\1\x40\0" + bytes([24]))))


@case(STRANGER, rfc="alert unexpected_message")
def an_inner_handshake_record_of_nothing(aim):
    return talk(aim, after=lambda peer: peer.raw(peer.sealed(bytes([HANDSHAKE]))))


@case("alert decode_error", rfc="alert unexpected_message")
def an_inner_alert_of_nothing(aim):
    return talk(aim, after=lambda peer: peer.raw(peer.sealed(bytes([ALERT]))))


@case(STRANGER)
def twenty_empty_records(aim):
    return talk(aim, after=empty_records(20))


@case("closed")
def a_thousand_empty_records(aim):
    return talk(aim, after=empty_records(1_000))


def empty_records(count):
    def after(peer):
        for _ in range(count):
            peer.raw(peer.sealed(bytes([DATA])))

    return after


@case(STRANGER)
def a_record_padded_to_the_brim(aim):
    padded = bytes([DATA]) + bytes(PLAIN_MAX)
    return talk(aim, after=lambda peer: peer.raw(peer.sealed(padded)))


@case("alert record_overflow")
def an_inner_record_too_long(aim):
    padded = bytes([DATA]) + bytes(PLAIN_MAX + 1)
    return talk(aim, after=lambda peer: peer.raw(peer.sealed(padded)))


@case("alert record_overflow")
def inner_data_too_long(aim):
    data = b"x" * (PLAIN_MAX + 1) + bytes([DATA])
    return talk(aim, after=lambda peer: peer.raw(peer.sealed(data)))


@case("alert record_overflow")
def a_record_longer_than_encryption_makes_it(aim):
    return talk(aim, after=lambda peer: peer.raw(peer.sealed(b"x" * (PLAIN_MAX + ADDED_MAX))))


@case(STRANGER)
def a_request_of_a_byte_a_record(aim):
    def after(peer):
        peer.recordSize = 1

    return talk(aim, after=after)


@case(STRANGER)
def every_record_padded(aim):
    def after(peer):
        peer._recordLayer.padding_cb = lambda length, kind, most: min(most, 1_000)

    return talk(aim, after=after)


@case("closed")
def a_goodbye_before_the_request(aim):
    def after(peer):
        peer.record(ALERT, bytes([1, AlertDescription.close_notify]))

    return talk(aim, after=after)


@case(STRANGER)
def each_cipher_suite(aim):
    suites = ["aes128gcm", "aes256gcm", "chacha20-poly1305"]
    said = {talk(aim, cipherNames=[suite]) for suite in suites}
    return said.pop() if len(said) == 1 else str(said)
