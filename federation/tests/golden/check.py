"""Checks the golden frames against docs/protocol/federation.md with other people's cryptography.

Not part of the test suite: it needs Python's `cryptography` with ML-KEM (47 or later) and shares
no code with the crate, so that a mistake made the same way on both sides of a link is seen.
Run after any change of the frames: python3 federation/tests/golden/check.py
"""

import hashlib
import hmac
import pathlib
import struct

from cryptography.hazmat.primitives.asymmetric import mlkem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

HERE = pathlib.Path(__file__).parent


def golden(name):
    return bytes.fromhex((HERE / f"{name}.hex").read_text().replace("\n", ""))


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def expand(prk, info):
    return mac(prk, info, b"\x01")


def decode(data, at=0):
    """Reads one item of canonical DAG-CBOR."""
    major, argument = data[at] >> 5, data[at] & 31
    at += 1
    if argument >= 24:
        length = {24: 1, 25: 2, 26: 4, 27: 8}[argument]
        least = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}[argument]
        argument = int.from_bytes(data[at : at + length], "big")
        at += length
        assert argument >= least, "shortest form"
    if major == 0:
        return argument, at
    if major in (2, 3):
        raw = data[at : at + argument]
        return (raw if major == 2 else raw.decode()), at + argument
    if major == 4:
        items = []
        for _ in range(argument):
            item, at = decode(data, at)
            items.append(item)
        return items, at
    assert major == 5, major
    entries, before = {}, None
    for _ in range(argument):
        key, at = decode(data, at)
        order = (len(key), key.encode())
        assert before is None or order > before, "sorted keys"
        entries[key], at = decode(data, at)
        before = order
    return entries, at


def whole(data):
    item, end = decode(data)
    assert end == len(data)
    return item


def main():
    frames = [golden(name) for name in ("1-hello", "2-hello-ack", "3-auth", "4-ready")]
    parts = [whole(frame) for frame in frames]
    bodies = [whole(part[0]) for part in parts]

    transcript, digests = [sha256(b"entente/1 transcript")], [None]
    for frame, part in zip(frames, parts):
        digests.append(sha256(b"entente/1 digest\0", transcript[-1], part[0]))
        transcript.append(sha256(b"entente/1 frame\0", transcript[-1], frame))

    alpha = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
    beta = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
    labels = [
        (beta, b"entente/1 responder hello-ack\0"),
        (alpha, b"entente/1 initiator auth\0"),
        (beta, b"entente/1 responder ready\0"),
    ]
    for number, (key, label) in enumerate(labels, start=2):
        key.public_key().verify(parts[number - 1][1], label + digests[number])

    # The initiator's KEM key is the first draw of the tests' generator with seed 1.
    seed = hashlib.shake_256(sha256(struct.pack(">QQ", 1, 1))).digest(96)
    lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(seed[:64])
    curve = X25519PrivateKey.from_private_bytes(seed[64:])
    curve_public = curve.public_key().public_bytes_raw()
    assert bodies[0]["shares"] == [
        [0x647A, lattice.public_key().public_bytes_raw() + curve_public]
    ]
    lattice_ct, curve_ct = bodies[1]["ct"][:1088], bodies[1]["ct"][1088:]
    shared = hashlib.sha3_256(
        lattice.decapsulate(lattice_ct)
        + curve.exchange(X25519PublicKey.from_public_bytes(curve_ct))
        + curve_ct
        + curve_public
        + rb"\.//^" + b"\\"
    ).digest()

    extracted = mac(digests[2], shared)
    speakers = [bodies[1]["from"]["did"], bodies[0]["from"]["did"], bodies[1]["from"]["did"]]
    for number, speaker in enumerate(speakers, start=2):
        key = expand(extracted, b"entente/1 mac " + bytes([number]))
        assert parts[number - 1][2] == mac(key, digests[number], speaker.encode())

    master = expand(extracted, b"entente/1 master")
    key = expand(mac(transcript[4], master), b"entente/1 frames initiator to responder")
    names = ("5-ping", "6-pong", "7-msg", "8-ack", "9-confirm", "10-bye")
    for counter, name in enumerate(names):
        frame = golden(name)
        assert frame[-16:] == mac(key, b"\x01", frame[:-16])[:16], name
        assert int.from_bytes(frame[1:9], "big") == counter, name

    alpha.public_key().verify(golden("8-ack")[-80:-16], golden("8-ack-statement"))
    print("all golden frames check")


main()
