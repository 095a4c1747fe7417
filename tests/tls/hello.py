"""Cases about the ClientHello."""

from peer import HELLO, bare, cases, handshake, record, talk
from tlslite.constants import ContentType, ExtensionType, GroupName
from tlslite.extensions import SNIExtension, TLSExtension

CASES, case = cases()
STRANGER = "401"


def with_hello(aim, change, **more):
    """A connection whose ClientHello is changed before it leaves."""

    def hook(peer, hello):
        return [change(hello) or hello]

    return talk(aim, hooks={HELLO: hook}, **more)


def without(*kinds):
    def change(hello):
        hello.extensions = [kept for kept in hello.extensions if kept.extType not in kinds]

    return change


def both(one, other):
    def change(hello):
        one(hello)
        other(hello)

    return change


def extension(kind, content=b""):
    return TLSExtension().create(kind, bytearray(content))


def adding(*extensions):
    def change(hello):
        hello.extensions.extend(extensions)

    return change


def replacing(kind, content):
    """The extension with other content in its place."""

    def change(hello):
        hello.extensions = [
            extension(kind, content) if kept.extType == kind else kept for kept in hello.extensions
        ]

    return change


def shares(*entries):
    """Key shares: pairs of group and key."""
    body = b"".join(
        group.to_bytes(2, "big") + len(key).to_bytes(2, "big") + key for group, key in entries
    )
    return replacing(ExtensionType.key_share, len(body).to_bytes(2, "big") + body)


def p256(point):
    """Only P-256 is offered, with this share."""
    groups = replacing(ExtensionType.supported_groups, b"\0\2\0\x17")
    return both(groups, shares((GroupName.secp256r1, point)))


@case(STRANGER)
def a_plain_hello(aim):
    return talk(aim)


@case(STRANGER)
def values_that_nobody_knows(aim):
    def change(hello):
        hello.cipher_suites.insert(0, 0x2A2A)
        hello.extensions.insert(0, extension(0x3A3A))
        hello.extensions.append(extension(0x4A4A, b"\0"))

    return with_hello(aim, change)


@case(STRANGER)
def no_session_id(aim):
    return with_hello(aim, lambda hello: setattr(hello, "session_id", bytearray()))


@case(STRANGER)
def a_hello_retry(aim):
    return talk(aim, keyShares=[])


@case(STRANGER)
def a_retry_to_another_curve(aim):
    return talk(aim, keyShares=["secp521r1"])


@case("alert protocol_version")
def no_supported_versions(aim):
    return with_hello(aim, without(ExtensionType.supported_versions))


@case("alert protocol_version")
def only_tls_1_2(aim):
    return talk(aim, minVersion=(3, 3), maxVersion=(3, 3), keyShares=[])


@case("alert handshake_failure", rfc="alert protocol_version")
def only_tls_1_0(aim):
    return talk(aim, minVersion=(3, 1), maxVersion=(3, 1), keyShares=[])


@case("alert protocol_version")
def fallen_back_to_tls_1_2(aim):
    return talk(
        aim, minVersion=(3, 3), maxVersion=(3, 3), keyShares=[], sendFallbackSCSV=True
    )


@case("alert protocol_version")
def only_a_draft_of_tls_1_3(aim):
    return with_hello(aim, replacing(ExtensionType.supported_versions, b"\2\x7f\x1c"))


@case("alert handshake_failure", rfc="alert protocol_version")
def ssl_3(aim):
    body = b"\3\0" + bytes(32) + b"\0" + b"\0\2\0\x35" + b"\1\0"
    return bare(aim, record(ContentType.handshake, handshake(HELLO, body), version=(3, 0)))


@case("alert decode_error")
def ssl_2(aim):
    suites = "010080020080030080040080050080060040"
    return bare(aim, bytes.fromhex("802e010002001200000010" + suites) + bytes(16))


@case("alert handshake_failure", rfc="alert missing_extension")
def no_supported_groups(aim):
    return with_hello(aim, without(ExtensionType.supported_groups))


@case("alert handshake_failure", rfc="alert missing_extension")
def no_key_share(aim):
    return with_hello(aim, without(ExtensionType.key_share))


@case("alert handshake_failure", rfc="alert missing_extension")
def no_signature_algorithms(aim):
    return with_hello(aim, without(ExtensionType.signature_algorithms))


@case("alert handshake_failure")
def no_group_in_common(aim):
    groups = replacing(ExtensionType.supported_groups, b"\0\2\0\x1e")
    return with_hello(aim, both(groups, shares((0x1E, bytes(56)))))


@case("alert handshake_failure")
def no_suite_in_common(aim):
    return with_hello(aim, lambda hello: setattr(hello, "cipher_suites", [0x1304, 0x1305]))


@case("alert decode_error")
def no_suite_at_all(aim):
    return with_hello(aim, lambda hello: setattr(hello, "cipher_suites", []))


@case("alert handshake_failure")
def no_signature_in_common(aim):
    return with_hello(aim, replacing(ExtensionType.signature_algorithms, b"\0\2\x08\x08"))


@case("alert illegal_parameter")
def an_x25519_share_of_zeros(aim):
    return with_hello(aim, shares((GroupName.x25519, bytes(32))))


@case("alert illegal_parameter")
def an_x25519_share_cut_short(aim):
    return with_hello(aim, shares((GroupName.x25519, bytes([9]) * 31)))


@case("alert illegal_parameter")
def a_point_that_is_not_on_the_curve(aim):
    point = b"\4" + bytes([1]) * 64
    return with_hello(aim, p256(point))


@case("alert illegal_parameter")
def a_point_at_infinity(aim):
    return with_hello(aim, p256(b"\0"))


@case("alert illegal_parameter")
def a_compressed_point(aim):
    return with_hello(aim, p256(b"\2" + bytes([1]) * 32))


@case("alert illegal_parameter")
def a_hybrid_share_of_zeros(aim):
    groups = replacing(ExtensionType.supported_groups, b"\0\2\x11\xec")
    return with_hello(aim, both(groups, shares((0x11EC, bytes(1216)))))


@case("alert illegal_parameter")
def two_shares_of_one_group(aim):
    share = (GroupName.x25519, bytes([9]) * 32)
    return with_hello(aim, shares(share, share))


@case("alert decode_error")
def an_empty_share(aim):
    return with_hello(aim, shares((GroupName.x25519, b"")))


@case("alert illegal_parameter")
def an_extension_twice(aim):
    return with_hello(aim, adding(extension(ExtensionType.supported_versions, b"\2\3\4")))


@case("alert illegal_parameter")
def compression_is_offered(aim):
    return with_hello(aim, lambda hello: setattr(hello, "compression_methods", [1, 0]))


@case("alert illegal_parameter")
def only_compression(aim):
    return with_hello(aim, lambda hello: setattr(hello, "compression_methods", [1]))


@case("alert decode_error")
def no_compression_method(aim):
    return with_hello(aim, lambda hello: setattr(hello, "compression_methods", []))


@case("alert decode_error")
def a_session_id_of_33_bytes(aim):
    return with_hello(aim, lambda hello: setattr(hello, "session_id", bytearray(33)))


@case("alert decode_error")
def an_extension_longer_than_the_hello(aim):
    def change(hello):
        bytes_of_it = bytearray(hello.write())
        # The length of all extensions lies behind the compression methods.
        at = 4 + 2 + 32 + 1 + len(hello.session_id) + 2 + 2 * len(hello.cipher_suites) + 2
        bytes_of_it[at : at + 2] = b"\xff\xff"
        return Raw(bytes_of_it)

    return with_hello(aim, change)


@case("alert decode_error")
def bytes_behind_the_extensions(aim):
    def change(hello):
        body = hello.write()[4:] + b"\0\0\0"
        return Raw(handshake(HELLO, body))

    return with_hello(aim, change)


@case("alert decode_error")
def a_server_name_of_no_bytes(aim):
    return with_hello(aim, adding(extension(ExtensionType.server_name, b"\0\3\0\0\0")))


@case("alert decode_error")
def a_server_name_cut_short(aim):
    return with_hello(aim, adding(extension(ExtensionType.server_name, b"\0\x09\0\0\7door")))


@case(STRANGER)
def an_address_as_server_name(aim):
    return with_hello(aim, adding(SNIExtension().create(bytearray(b"127.0.0.1"))))


@case("alert decode_error")
def versions_of_odd_length(aim):
    return with_hello(aim, replacing(ExtensionType.supported_versions, b"\3\3\4\3"))


@case("alert illegal_parameter")
def a_retry_that_changes_nothing(aim):
    first = []

    def hook(peer, hello):
        first.append(bytearray(hello.write()))
        return [Raw(first[0])]

    return talk(aim, hooks={HELLO: hook}, keyShares=[])


@case("alert illegal_parameter")
def a_retry_with_another_suite(aim):
    def hook(peer, hello):
        again = hasattr(peer, "asked")
        peer.asked = True
        if again:
            hello.cipher_suites = [0x1303]
        return [hello]

    return talk(aim, hooks={HELLO: hook}, keyShares=[])


@case("alert illegal_parameter")
def a_retry_with_another_share(aim):
    def hook(peer, hello):
        if hasattr(peer, "asked"):
            shares((GroupName.secp521r1, b"\4" + bytes([1]) * 132))(hello)
        peer.asked = True
        return [hello]

    return talk(aim, hooks={HELLO: hook}, keyShares=[])


@case("alert missing_extension")
def a_binder_without_psk_modes(aim):
    body = b"\0\x0b\0\5ticke\0\0\0\0" + b"\0\x21\x20" + bytes(32)
    modes = without(ExtensionType.psk_key_exchange_modes)
    return with_hello(aim, both(modes, adding(extension(41, body))))


@case("alert illegal_parameter")
def a_psk_that_is_not_last(aim):
    body = b"\0\x0b\0\5ticke\0\0\0\0" + b"\0\x21\x20" + bytes(32)
    return with_hello(aim, adding(extension(41, body), extension(0x4A4A)))


@case("alert decode_error")
def a_psk_without_a_binder(aim):
    return with_hello(aim, adding(extension(41, b"\0\x0b\0\5ticke\0\0\0\0\0\0")))


class Raw:
    """A handshake message of these bytes."""

    contentType = ContentType.handshake

    def __init__(self, written):
        self.written = bytearray(written)

    def write(self):
        return self.written
