"""Reads trust/vectors/conversation.json without any code of ours: everything after the KEM.

Needs Python's standard library only. ChaCha20, Poly1305 and HChaCha20 are written out here from
RFC 8439 and draft-irtf-cfrg-xchacha; the chain key of each message is given by the vectors, and the
chain between them is checked.
"""

import hashlib
import hmac
import json
import pathlib
import struct

VECTORS = pathlib.Path(__file__).parents[2] / "trust" / "vectors" / "conversation.json"


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def rotate(value, by):
    return ((value << by) | (value >> (32 - by))) & 0xFFFFFFFF


def rounds(state):
    s = list(state)

    def quarter(a, b, c, d):
        for x, y, z, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            s[z] = rotate(s[z] ^ s[x], by)

    for _ in range(10):
        for column in range(4):
            quarter(column, column + 4, column + 8, column + 12)
        quarter(0, 5, 10, 15)
        quarter(1, 6, 11, 12)
        quarter(2, 7, 8, 13)
        quarter(3, 4, 9, 14)
    return s


def initial(key, rest):
    return struct.unpack("<4I8I", b"expand 32-byte k" + key) + struct.unpack("<4I", rest)


def hchacha(key, nonce):
    s = rounds(initial(key, nonce))
    return struct.pack("<8I", *s[:4], *s[12:])


def block(key, counter, nonce):
    state = initial(key, struct.pack("<I", counter) + nonce)
    mixed = rounds(state)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(mixed, state)))


def poly1305(key, text):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(text), 16):
        total = (total + int.from_bytes(text[at : at + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def open_xchacha(key, nonce, aad, ciphertext, tag):
    key, nonce = hchacha(key, nonce[:16]), bytes(4) + nonce[16:]

    def pad(text):
        return text + bytes(-len(text) % 16)

    lengths = struct.pack("<QQ", len(aad), len(ciphertext))
    one_time = block(key, 0, nonce)[:32]
    assert poly1305(one_time, pad(aad) + pad(ciphertext) + lengths) == tag, "tag"
    stream = b"".join(block(key, 1 + n, nonce) for n in range(-(-len(ciphertext) // 64)))
    return bytes(a ^ b for a, b in zip(ciphertext, stream))


def take(text, *lengths):
    for length in lengths:
        yield text[:length]
        text = text[length:]
    yield text


def main():
    vectors = json.loads(VECTORS.read_text())
    chain = None
    for number, message in enumerate(vectors["messages"]):
        bytes_ = bytes.fromhex(message["envelope"])
        assert bytes_[0] == 2
        length = int.from_bytes(bytes_[1:3], "big")
        behind = bytes_[3 + length :]
        index, flag = int.from_bytes(behind[16:18], "big"), behind[18]
        assert index == number and flag == (1 if number < 2 else 0)
        prefix_length = 3 + length + 19 + flag * (16 + 1120 + 80)
        prefix, nonce, commitment, sealed = take(bytes_, prefix_length, 24, 32)
        given = bytes.fromhex(message["chainKey"])
        assert chain in (None, given), "the chain"
        message_key, chain = mac(given, b"\x01"), mac(given, b"\x02")
        assert message_key.hex() == message["messageKey"]
        prk, bound = mac(nonce, message_key), hashlib.sha256(prefix).digest()
        assert mac(prk, b"entente message commitment", bound, b"\x01") == commitment
        key = mac(prk, b"entente message key", bound, b"\x01")
        plaintext = open_xchacha(key, nonce, prefix, sealed[:-16], sealed[-16:])
        size = int.from_bytes(plaintext[:4], "big")
        body, padding = plaintext[4 : 4 + size], plaintext[4 + size :]
        assert message["text"].encode() in body and not any(padding)
        assert len(plaintext) % 64 == 0
    print(f"{len(vectors['messages'])} messages read")


main()
