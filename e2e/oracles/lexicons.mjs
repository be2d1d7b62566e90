// The reference implementation of Lexicon judges our documents and records.
//
//   node lexicons.mjs < {"documents": [text…], "records": [text…]}
//
// prints for each record null, or why it is refused. A document it cannot read ends it.
import { readFileSync } from "node:fs";

import { Lexicons, jsonToLex, parseLexiconDoc } from "@atproto/lexicon";

const { documents, records } = JSON.parse(readFileSync(0, "utf8"));
const lexicons = new Lexicons(documents.map((text) => parseLexiconDoc(JSON.parse(text))));

function verdict(text) {
  try {
    const record = JSON.parse(text);
    lexicons.assertValidRecord(record?.$type, jsonToLex(record));
    return null;
  } catch (error) {
    return error.message || "refused";
  }
}

console.log(JSON.stringify(records.map(verdict)));
