// Reads docs/protocol/vectors/envelope.json without any code of ours: records, owners' rows, shared
// rows and blobs, from docs/protocol/envelope.md and npm's noble packages alone. What must not open
// must be refused, with the same code.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { chacha20poly1305, xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { expand, extract, hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { ml_kem768_x25519 as xwing } from "@noble/post-quantum/hybrid.js";

const file = new URL("../../docs/protocol/vectors/envelope.json", import.meta.url);
const vectors = JSON.parse(readFileSync(file, "utf8"));

const hex = (text) => Uint8Array.from(Buffer.from(text, "hex"));
const text = (string) => new TextEncoder().encode(string);
const join = (...parts) => Uint8Array.from(Buffer.concat(parts.map((part) => Uint8Array.from(part))));
const same = (a, b) => Buffer.compare(a, b) === 0;
const u32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const u64 = (value) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};
/** Each part after its length. */
const bind = (...parts) => join(...parts.flatMap((part) => [u32(part.length), part]));

class Refused extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}
function check(holds, code) {
  if (!holds) throw new Refused(code);
}
function attempt(work, code) {
  try {
    return work();
  } catch {
    throw new Refused(code);
  }
}

/** Section 9.3: key and commitment. */
function schedule(dek, nonce, label, ctx) {
  const okm = hkdf(sha256, dek, nonce, join(text(label), sha256(ctx)), 64);
  return { key: okm.subarray(0, 32), commitment: okm.subarray(32) };
}

function openRecord(v) {
  const envelope = hex(v.envelope);
  check(envelope.length >= 78 && envelope.length <= 78 + 131072, "RECORD_LENGTH");
  check(same(envelope.subarray(0, 4), text("ANE1")), "RECORD_MALFORMED");
  check(envelope[4] === 1, "RECORD_UNKNOWN_SUITE");
  check(envelope[5] === 0, "RECORD_MALFORMED");
  const nonce = envelope.subarray(6, 30);
  const context = (version) =>
    bind(text("ane1/rec"), [1], text(v.owner), text(v.collection), text(v.rkey), u64(version), hex(v.dekId));
  const keys = (version) => schedule(hex(v.dek), nonce, "ane1/rec", context(version));
  const commits = (version) => same(keys(version).commitment, envelope.subarray(30, 62));
  const version = BigInt(v.version);
  if (!commits(version)) {
    for (let back = 1n; back <= 64n && back <= version; back++) {
      check(!commits(version - back), "RECORD_OLD_VERSION");
    }
    throw new Refused("RECORD_MISMATCH");
  }
  const aad = join(envelope.subarray(0, 62), context(version));
  const cipher = xchacha20poly1305(keys(version).key, nonce, aad);
  return attempt(() => cipher.decrypt(envelope.subarray(62)), "RECORD_DAMAGED");
}

function openWrap(v) {
  const row = hex(v.row);
  check(row.length === 77, "WRAP_LENGTH");
  check(row[0] === 1, "WRAP_UNKNOWN_VERSION");
  check(same(row.subarray(1, 5), u32(v.epoch)), "WRAP_OTHER_EPOCH");
  const bound = bind(text("ane1/self"), text(v.owner), text(v.collection), text(v.rkey), hex(v.dekId));
  const cipher = xchacha20poly1305(hex(v.kek), row.subarray(5, 29), join(row.subarray(0, 5), bound));
  return attempt(() => cipher.decrypt(row.subarray(29)), "WRAP_MISMATCH");
}

const KEMS = {
  1: { name: "X-Wing", id: 0x647a, enc: 1120, shared: sharedByXWing },
  2: { name: "X25519", id: 0x0020, enc: 32, shared: sharedByX25519 },
};

function sharedByXWing(seed, enc) {
  const { secretKey } = xwing.keygen(seed);
  return xwing.decapsulate(enc, secretKey);
}

/** DHKEM(X25519, HKDF-SHA256), RFC 9180, section 4.1. */
function sharedByX25519(secret, enc) {
  const suite = join(text("KEM"), [0, 0x20]);
  const labeled = (label, ikm) => join(text("HPKE-v1"), suite, text(label), ikm);
  const dh = x25519.getSharedSecret(secret, enc);
  const context = join(enc, x25519.getPublicKey(secret));
  const prk = extract(sha256, labeled("eae_prk", dh), new Uint8Array());
  return expand(sha256, prk, join([0, 32], labeled("shared_secret", context)), 32);
}

/** HPKE's key schedule and single open in base mode, RFC 9180, sections 5.1 and 5.2. */
function openHpke(kem, shared, info, aad, sealed) {
  const suite = join(text("HPKE"), [kem >> 8, kem & 255], [0, 1], [0, 3]);
  const labeledExtract = (salt, label, ikm) =>
    extract(sha256, join(text("HPKE-v1"), suite, text(label), ikm), salt);
  const labeledExpand = (prk, label, context, length) =>
    expand(sha256, prk, join([0, length], text("HPKE-v1"), suite, text(label), context), length);
  const none = new Uint8Array();
  const idHash = labeledExtract(none, "psk_id_hash", none);
  const infoHash = labeledExtract(none, "info_hash", info);
  const context = join([0], idHash, infoHash);
  const secret = labeledExtract(shared, "secret", none);
  const key = labeledExpand(secret, "key", context, 32);
  const nonce = labeledExpand(secret, "base_nonce", context, 12);
  return chacha20poly1305(key, nonce, aad).decrypt(sealed);
}

function openShare(v) {
  const row = hex(v.row);
  check(row.length >= 2, "SHARE_LENGTH");
  check(row[0] === 1, "SHARE_UNKNOWN_VERSION");
  const kem = KEMS[row[1]];
  check(kem, "SHARE_UNKNOWN_KEM");
  check(row.length === 146 + kem.enc, "SHARE_LENGTH");
  const signer = row.subarray(2, 18);
  const recipient = row.subarray(18, 34);
  check(kem.name === v.kem && same(recipient, text(v.recipientKid)), "SHARE_WRONG_RECIPIENT");
  const bound = bind(
    text("ane1/share"), row.subarray(0, 2), text(v.owner), text(v.recipient), signer, recipient,
    text(v.collection), text(v.rkey), hex(v.dekId),
  );
  const signed = join(text("entente share\0"), bound, row.subarray(0, -64));
  const verified = ed25519.verify(row.subarray(-64), signed, hex(v.ownerKey), { zip215: false });
  check(verified, "SHARE_BAD_SIGNATURE");
  const enc = row.subarray(34, 34 + kem.enc);
  const sealed = row.subarray(34 + kem.enc, -64);
  return attempt(
    () => openHpke(kem.id, kem.shared(hex(v.recipientSeed), enc), bound, bound, sealed),
    "SHARE_UNOPENABLE",
  );
}

const CHUNK = 65536;

/** What chunks of this blob are opened and sealed with. */
function openHeader(v) {
  const header = hex(v.header);
  const right = header.length === 62 && same(header.subarray(0, 4), text("ANB1")) && header[5] === 0;
  check(right, "BLOB_MALFORMED");
  check(header[4] === 2, "BLOB_UNKNOWN_SUITE");
  const nonce = header.subarray(6, 30);
  const ctx = bind(text("ane1/blob"), [2], text(v.owner), text(v.collection), text(v.rkey), hex(v.dekId));
  const { key, commitment } = schedule(hex(v.dek), nonce, "ane1/blob", ctx);
  check(same(commitment, header.subarray(30)), "BLOB_MISMATCH");
  const count = Math.max(1, Math.ceil(v.size / CHUNK));
  const cipher = (index) => {
    const last = index === count - 1 ? 1 : 0;
    return xchacha20poly1305(key, join(nonce.subarray(0, 19), u32(index), [last]), join(header, ctx));
  };
  return { count, cipher };
}

function openBody(v, body) {
  const { count, cipher } = openHeader(v);
  const plain = [];
  for (let index = 0; index < count; index++) {
    const end = index === count - 1 ? body.length : (index + 1) * (CHUNK + 16);
    plain.push(cipher(index).decrypt(body.subarray(index * (CHUNK + 16), end)));
  }
  return join(...plain);
}

const counted = (size) => Uint8Array.from({ length: size }, (_, at) => Math.floor((at * 31) / 7) % 251);

function sealBody(v) {
  const { count, cipher } = openHeader(v);
  const plain = counted(v.size);
  const chunk = (_, index) => cipher(index).encrypt(plain.subarray(index * CHUNK, (index + 1) * CHUNK));
  return join(...Array.from({ length: count }, chunk));
}

function refuses(cases, open) {
  assert.ok(cases.length > 0);
  for (const v of cases) {
    assert.throws(() => open(v), { code: v.code }, `${v.name}: ${v.code}`);
  }
}

test("another implementation opens every record", () => {
  for (const v of vectors.records) assert.deepEqual(openRecord(v), hex(v.plaintext), v.name);
});

test("another implementation opens every owner's row", () => {
  for (const v of vectors.wraps) assert.deepEqual(openWrap(v), hex(v.dek));
});

test("another implementation opens shared rows of both KEMs", () => {
  assert.deepEqual(vectors.shares.map((v) => v.kem), ["X-Wing", "X25519"]);
  for (const v of vectors.shares) assert.deepEqual(openShare(v), hex(v.dek), v.kem);
});

test("another implementation seals every blob to the same bytes and opens it", () => {
  for (const v of vectors.blobs) {
    const body = sealBody(v);
    assert.equal(body.length, v.bodyLength, v.name);
    assert.deepEqual(sha256(body), hex(v.bodySha256), v.name);
    if (v.body !== null) assert.deepEqual(body, hex(v.body));
    assert.deepEqual(openBody(v, body), counted(v.size), v.name);
  }
});

test("what must not open is refused, with the same code", () => {
  refuses(vectors.invalid.records, openRecord);
  refuses(vectors.invalid.wraps, openWrap);
  refuses(vectors.invalid.shares, openShare);
});

test("blobs that were rearranged, cut or extended are refused", () => {
  const whole = sealBody(vectors.blobs.at(-1));
  const chunks = Array.from({ length: 5 }, (_, at) => whole.subarray(at * (CHUNK + 16), (at + 1) * (CHUNK + 16)));
  for (const v of vectors.invalid.blobs) {
    let body = join(...v.chunks.map((at) => chunks[at]));
    body = join(body.subarray(0, body.length - (v.cut ?? 0)), hex(v.append ?? ""));
    assert.throws(() => openBody(v, body), v.name);
    // What is wrong with a header is told by its code; what is wrong with a body by its tags.
    if (/MALFORMED|SUITE|MISMATCH/.test(v.code)) assert.throws(() => openHeader(v), { code: v.code });
  }
});
