// Judges one webhook as a receiver would, without any code of ours: npm's http-message-signatures for the
// signature (RFC 9421), node:crypto for the digest (RFC 9530). Reads {method, url, headers, body, key} from
// its input, the key as Multikey text; says `ok`, or why it does not believe it.
import { createHash, createPublicKey } from "node:crypto";

import { createVerifier, httpbis } from "http-message-signatures";

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/** Ed25519 keys in DER are a fixed prefix and 32 bytes. */
const PUBLIC = "302a300506032b6570032100";

function ed25519(multikey) {
  let number = 0n;
  for (const letter of multikey.slice(1)) number = number * 58n + BigInt(BASE58.indexOf(letter));
  const hex = number.toString(16);
  if (!multikey.startsWith("z") || !hex.startsWith("ed01") || hex.length !== 68) throw new Error("no Ed25519 key");
  const der = Buffer.from(PUBLIC + hex.slice(4), "hex");
  return createPublicKey({ key: der, format: "der", type: "spki" });
}

async function judge({ method, url, headers, body, key }) {
  const verifier = createVerifier(ed25519(key), "ed25519");
  const config = {
    keyLookup: async ({ keyid }) => ({ id: keyid, algs: ["ed25519"], verify: verifier }),
    requiredFields: ["@method", "@authority", "@path", "content-type", "content-digest", "idempotency-key"],
    requiredParams: ["created", "expires", "keyid", "alg", "tag"],
    maxAge: 300,
    tolerance: 5,
  };
  if (!(await httpbis.verifyMessage(config, { method, url, headers }))) return "the signature does not verify";
  if (!/;tag="entente-webhook"/.test(headers["signature-input"])) return "another tag";
  const digest = createHash("sha256").update(body).digest("base64");
  if (headers["content-digest"] !== `sha-256=:${digest}:`) return "another digest";
  if (headers["idempotency-key"] !== JSON.stringify(JSON.parse(body).id)) return "another id";
  return "ok";
}

let text = "";
for await (const chunk of process.stdin) text += chunk;
try {
  console.log(await judge(JSON.parse(text)));
} catch (error) {
  console.log(`refused: ${error.message}`);
}
