// The reference implementation of atproto follows a network's stream of repos and believes nothing that
// is not proved by the repo's key.
//
//   node stream.mjs <origin> <cursor> <until>   prints what it was told, one JSON a line, until a record
//                                               key or a kind of event; `-` as cursor: from now on
import { Firehose } from "@atproto/sync";

const [origin, cursor, until] = process.argv.slice(2);
const say = (told) => console.log(JSON.stringify(told));

/** An agent's did.json as it is now. */
async function resolve(did) {
  const answer = await fetch(`${origin}/agents/${did}/did.json`);
  return answer.json();
}

async function resolveAtprotoKey(did) {
  const { verificationMethod } = await resolve(did);
  const { publicKeyMultibase } = verificationMethod.find(({ id }) => id.endsWith("#atproto"));
  return `did:key:${publicKeyMultibase}`;
}

const deadline = setTimeout(() => {
  say({ event: "timeout" });
  process.exit(1);
}, 60_000);

// One event after the other, in the order of the stream.
let turn = Promise.resolve();
const firehose = new Firehose({
  service: origin.replace(/^http/, "ws"),
  idResolver: { did: { resolve, resolveAtprotoKey } },
  unauthenticatedHandles: true,
  runner: {
    getCursor: () => (cursor === "-" ? undefined : Number(cursor)),
    trackEvent: (did, seq, work) => (turn = turn.then(work)),
  },
  subscriptionReconnectDelay: 60_000,
  onError: (error) => {
    say({ event: "error", name: error.constructor.name, message: `${error.message}: ${error.cause ?? error.err ?? ""}` });
    process.exit(0);
  },
  handleEvent: (told) => {
    const { event, seq, did, collection, rkey, rev } = told;
    const record = event === "delete" ? undefined : told.record;
    say({ event, seq, did, collection, rkey, rev, cid: told.cid?.toString(), status: told.status, text: record?.text?.slice(0, 100) });
    if (until === rkey || until === event) {
      clearTimeout(deadline);
      process.exit(0);
    }
  },
});
say({ event: "begun" });
firehose.start();
