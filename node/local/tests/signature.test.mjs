// Another implementation of RFC 9421 reads the upgrade that we sign, and we read the one it signs:
// `well-known/signed/upgrade.json` is what both sides recorded. Rust checks the other half.
import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { createSigner, createVerifier, httpbis } from "http-message-signatures";

const file = new URL("../../../well-known/signed/upgrade.json", import.meta.url);
const { ours, theirs } = JSON.parse(readFileSync(file, "utf8"));

/** Ed25519 keys in DER are a fixed prefix and 32 bytes. */
const PUBLIC = Buffer.from("302a300506032b6570032100", "hex");
const SECRET = Buffer.from("302e020100300506032b657004220420", "hex");

test("another implementation believes the upgrade that we sign", async () => {
  const der = Buffer.concat([PUBLIC, Buffer.from(ours.publicKey, "base64")]);
  const key = createPublicKey({ key: der, format: "der", type: "spki" });
  const config = {
    keyLookup: async ({ keyid }) => ({
      id: keyid,
      algs: ["ed25519"],
      verify: createVerifier(key, "ed25519"),
    }),
    notAfter: ours.at,
    requiredFields: ["@method", "@authority", "@path"],
    requiredParams: ["created", "expires", "nonce", "keyid"],
  };
  assert.equal(await httpbis.verifyMessage(config, ours), true);
  for (const change of [{ method: "POST" }, { url: ours.url.replace("beta", "gamma") }]) {
    await assert.rejects(async () => {
      if (!(await httpbis.verifyMessage(config, { ...ours, ...change }))) throw new Error("refused");
    });
  }
});

test("the recorded upgrade of another implementation is what it signs", async () => {
  const der = Buffer.concat([SECRET, Buffer.alloc(32, 3)]);
  const secret = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const keyid = /keyid="([^"]+)"/.exec(ours.headers["signature-input"])[1];
  const signed = await httpbis.signMessage(
    {
      key: { id: keyid, alg: "ed25519", sign: createSigner(secret, "ed25519", keyid).sign },
      name: "theirs",
      fields: ["@path", "x-entente-host", "@authority", "@method"],
      params: ["tag", "alg", "keyid", "nonce", "expires", "created"],
      paramValues: {
        created: new Date(ours.at * 1000),
        expires: new Date((ours.at + 30) * 1000),
        nonce: "another-implementation",
        tag: "entente-link",
      },
    },
    { method: ours.method, url: ours.url, headers: { "x-entente-host": ours.headers["x-entente-host"] } },
  );
  const headers = Object.fromEntries(
    Object.entries(signed.headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  assert.deepEqual(headers, theirs.headers, JSON.stringify(headers));
});
