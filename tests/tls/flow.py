"""Cases about the messages of a handshake and after it: missing, twice, wrong, out of place."""

from hello import STRANGER, Raw
from peer import CERTIFICATE, FINISHED, VERIFY, cases, handshake, talk
from records import ALERT, DATA, HANDSHAKE
from tlslite.api import X509CertChain
from tlslite.constants import KeyUpdateMessageType
from tlslite.messages import KeyUpdate

CASES, case = cases()
DEVICE = "200"
KEY_UPDATE, TICKET, HELLO_REQUEST = 24, 4, 0


def post(*content, kind=HANDSHAKE):
    """After the handshake: each of these in a record of its own."""

    def after(peer):
        for part in content:
            peer.record(kind, part)

    return after


def instead(message):
    return lambda peer, replaced: [Raw(message)]


# The peer's half of the handshake.


@case(DEVICE)
def a_device(aim):
    return talk(aim, badge="device")


@case("alert decrypt_error")
def a_finished_with_a_wrong_mac(aim):
    def hook(peer, finished):
        finished.verify_data[0] ^= 1
        return [finished]

    return talk(aim, hooks={FINISHED: hook})


@case("alert decrypt_error")
def a_device_s_finished_with_a_wrong_mac(aim):
    def hook(peer, finished):
        finished.verify_data[-1] ^= 128
        return [finished]

    return talk(aim, badge="device", hooks={FINISHED: hook})


@case("alert decrypt_error")
def a_finished_cut_short(aim):
    def hook(peer, finished):
        return [Raw(handshake(FINISHED, finished.verify_data[:-1]))]

    return talk(aim, hooks={FINISHED: hook})


@case("alert decrypt_error")
def a_finished_of_nothing(aim):
    return talk(aim, hooks={FINISHED: instead(handshake(FINISHED, b""))})


@case("alert bad_record_mac")
def no_finished(aim):
    return talk(aim, hooks={FINISHED: lambda peer, finished: []})


@case("alert unexpected_message")
def a_finished_twice(aim):
    return talk(aim, hooks={FINISHED: lambda peer, finished: [Raw(finished.write() * 2)]})


@case("alert unexpected_message")
def no_certificate_message(aim):
    return talk(aim, hooks={CERTIFICATE: lambda peer, message: []})


@case("alert unexpected_message")
def a_certificate_without_its_proof(aim):
    return talk(aim, badge="device", hooks={VERIFY: lambda peer, message: []})


@case("alert unexpected_message")
def a_certificate_twice(aim):
    return talk(aim, badge="device", hooks={CERTIFICATE: lambda peer, message: [message] * 2})


@case("alert unexpected_message")
def a_proof_before_its_certificate(aim):
    proof = handshake(VERIFY, b"\4\3\0\x08" + bytes(8))
    return talk(aim, badge="device", hooks={CERTIFICATE: instead(proof)})


@case("alert decrypt_error")
def a_proof_with_a_byte_changed(aim):
    def hook(peer, verify):
        verify.signature = verify.signature[:-1] + bytes([verify.signature[-1] ^ 1])
        return [verify]

    return talk(aim, badge="device", hooks={VERIFY: hook})


@case("alert illegal_parameter")
def a_proof_by_an_old_scheme(aim):
    def hook(peer, verify):
        verify.signatureAlgorithm = (4, 1)
        return [verify]

    return talk(aim, badge="device", hooks={VERIFY: hook})


@case("alert decode_error")
def a_certificate_message_cut_short(aim):
    return talk(aim, hooks={CERTIFICATE: instead(handshake(CERTIFICATE, b"\0\0\0"))})


@case("alert bad_certificate", rfc="alert decode_error")
def a_certificate_of_no_bytes(aim):
    body = b"\0" + b"\0\0\5" + b"\0\0\0" + b"\0\0"
    return talk(aim, hooks={CERTIFICATE: instead(handshake(CERTIFICATE, body))})


@case("alert bad_certificate")
def a_certificate_that_is_none(aim):
    body = b"\0" + b"\0\0\x0d" + b"\0\0\x08" + b"\x30\x06\2\1\1\2\1\1" + b"\0\0"
    return talk(aim, hooks={CERTIFICATE: instead(handshake(CERTIFICATE, body))})


@case("closed")
def a_chain_of_60_kib(aim):
    one = b"\0\x0f\0" + bytes(0xF00) + b"\0\0"
    body = b"\0" + (len(one) * 16).to_bytes(3, "big") + one * 16
    return talk(aim, hooks={CERTIFICATE: instead(handshake(CERTIFICATE, body))})


@case("alert decode_error")
def a_context_that_nobody_gave(aim):
    def hook(peer, message):
        return [Raw(handshake(CERTIFICATE, b"\2hi" + bytes(3)))]

    return talk(aim, hooks={CERTIFICATE: hook})


@case("closed", rfc="alert unexpected_message")
def data_between_the_halves_of_a_message(aim):
    def hook(peer, finished):
        whole = finished.write()
        peer.record(HANDSHAKE, whole[:10])
        peer.record(DATA, b"GET / HTTP/1.1\r\n")
        return [Raw(whole[10:])]

    return talk(aim, hooks={FINISHED: hook})


@case("alert unexpected_message")
def data_before_the_finished(aim):
    def hook(peer, finished):
        peer.record(DATA, aim.request)
        return [finished]

    return talk(aim, badge="device", hooks={FINISHED: hook})


@case("alert unexpected_message")
def a_key_update_before_the_finished(aim):
    def hook(peer, finished):
        return [Raw(handshake(KEY_UPDATE, b"\0")), finished]

    return talk(aim, hooks={FINISHED: hook})


# After it.


@case("alert unexpected_message")
def a_renegotiation(aim):
    hello = b"\3\3" + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0"
    return talk(aim, after=post(handshake(1, hello)))


@case("alert unexpected_message")
def a_request_to_say_hello(aim):
    return talk(aim, after=post(handshake(HELLO_REQUEST, b"")))


@case("alert unexpected_message")
def a_finished_after_the_end(aim):
    return talk(aim, after=post(handshake(FINISHED, bytes(32))))


@case("alert unexpected_message")
def a_certificate_after_the_end(aim):
    return talk(aim, after=post(handshake(CERTIFICATE, bytes(4))))


@case("alert unexpected_message")
def a_ticket_from_a_peer(aim):
    body = bytes(8) + b"\0" + b"\0\1x" + b"\0\0"
    return talk(aim, after=post(handshake(TICKET, body)))


@case(STRANGER)
def new_keys(aim):
    return talk(aim, after=lambda peer: update(peer, KeyUpdateMessageType.update_not_requested))


@case(STRANGER)
def new_keys_for_both(aim):
    return talk(aim, after=lambda peer: update(peer, KeyUpdateMessageType.update_requested))


@case("closed")
def a_thousand_new_keys(aim):
    def after(peer):
        for _ in range(1_000):
            update(peer, KeyUpdateMessageType.update_requested)

    return talk(aim, after=after)


def update(peer, kind):
    for _ in peer.send_keyupdate_request(kind):
        pass


@case("alert bad_record_mac")
def the_old_keys_after_new_ones(aim):
    def after(peer):
        old = peer._recordLayer._writeState
        peer.record(HANDSHAKE, KeyUpdate().create(0).write())
        peer._recordLayer._writeState = old

    return talk(aim, after=after)


@case("alert illegal_parameter")
def new_keys_of_an_unknown_kind(aim):
    return talk(aim, after=post(handshake(KEY_UPDATE, b"\2")))


@case("alert decode_error")
def new_keys_that_say_nothing(aim):
    return talk(aim, after=post(handshake(KEY_UPDATE, b"")))


@case("alert unexpected_message")
def new_keys_with_a_message_behind(aim):
    two = handshake(KEY_UPDATE, b"\0") + handshake(KEY_UPDATE, b"\0")
    return talk(aim, after=post(two))


@case("closed", rfc="alert unexpected_message")
def half_a_message_and_then_data(aim):
    def after(peer):
        peer.record(HANDSHAKE, handshake(KEY_UPDATE, b"\0")[:3])

    return talk(aim, after=after)


@case("closed")
def a_message_that_never_ends(aim):
    part = handshake(TICKET, bytes(4_000), length=2**24 - 1)
    return talk(aim, after=post(part, *[bytes(4_000)] * 20))


@case("closed")
def a_fatal_alert_after_the_end(aim):
    return talk(aim, after=post(b"\2\x50", kind=ALERT))


# Who shows which certificate.


@case("alert certificate_expired")
def an_expired_certificate(aim):
    return talk(aim, badge="expired")


@case("alert unknown_ca")
def a_certificate_of_another_site(aim):
    return talk(aim, badge="foreign")


@case("403")
def a_certificate_of_a_removed_device(aim):
    return talk(aim, badge="removed")


@case("alert decrypt_error")
def a_certificate_of_another_device(aim):
    (chain, _), (_, key) = aim.badges["device"], aim.badges["removed"]
    return talk(aim, badge=(chain, key), hooks={VERIFY: any_signature})


@case("alert decrypt_error")
def another_device_s_proof_sent_again(aim):
    seen = []
    talk(aim, badge="device", hooks={VERIFY: lambda peer, m: seen.append(m.write()) or [m]})
    return talk(aim, badge="device", hooks={VERIFY: instead(seen[0])})


@case("alert unsupported_certificate")
def the_server_s_own_certificate(aim):
    shown = []

    def look(peer):
        shown.append(peer.session.serverCertChain.x509List[0])

    talk(aim, after=look)
    _, key = aim.badges["device"]
    return talk(aim, badge=(X509CertChain(shown), key))


def any_signature(peer, verify):
    return [verify]


@case(DEVICE)
def certificates_may_be_compressed_but_are_not(aim):
    return talk(aim, badge="device", certificate_compression_receive=["zlib"])
