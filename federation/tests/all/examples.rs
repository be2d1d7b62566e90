//! `docs/protocol/examples.md`, read: each frame in `golden/` decodes to the fields that the document
//! states, and these encode to the same bytes. `UPDATE_GOLDEN=1` writes the fields anew.

use std::fmt::{Display, Write as _};
use std::path::PathBuf;

use entente_federation::Status;
use entente_federation::frame::items::{self, WireItem};
use entente_federation::frame::opening::{self, Body, OpeningFrame, Party};
use entente_federation::frame::receipt::Receipt;
use entente_federation::frame::session::{Header, Kind, TAG_LENGTH, finish, open};
use entente_federation::handshake::keys::Traffic;

use crate::golden;

const OPENING: [(&str, &str); 4] = [
    ("HELLO", "1-hello"),
    ("HELLO_ACK", "2-hello-ack"),
    ("AUTH", "3-auth"),
    ("READY", "4-ready"),
];
const SESSION: [(&str, &str); 7] = [
    ("PING", "5-ping"),
    ("PONG", "6-pong"),
    ("MSG", "7-msg"),
    ("ACK", "8-ack"),
    ("CONFIRM", "9-confirm"),
    ("BYE", "10-bye"),
    ("STATUS", "11-status"),
];

#[test]
fn every_example_decodes_to_what_the_document_states_and_encodes_to_the_same_bytes() {
    let traffic = golden::traffic();
    let mut stated = Document::read();
    for (name, file) in OPENING {
        let bytes = hex(&golden::read(file));
        let (fields, again) = opening_frame(&bytes);
        assert_eq!(again, bytes, "{name} encodes to other bytes");
        stated.compare(name, &fields);
    }
    for (name, file) in SESSION {
        let bytes = hex(&golden::read(file));
        let (fields, again) = session_frame(&bytes, &traffic);
        assert_eq!(again, bytes, "{name} encodes to other bytes");
        stated.compare(name, &fields);
    }
    stated.finish();
}

/// The document; each heading `## NAME` is followed by one block with the frame's fields.
struct Document {
    path: PathBuf,
    text: String,
}

impl Document {
    fn read() -> Self {
        let folder = env!("CARGO_MANIFEST_DIR");
        let path: PathBuf = [folder, "..", "docs", "protocol", "examples.md"]
            .iter()
            .collect();
        let text = std::fs::read_to_string(&path).unwrap();
        Self { path, text }
    }

    fn compare(&mut self, name: &str, fields: &str) {
        let (before, rest) = self.text.split_once(&format!("\n## {name}\n")).unwrap();
        let (comment, rest) = rest.split_once("```text\n").unwrap();
        let (stated, after) = rest.split_once("```\n").unwrap();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let text = format!("{before}\n## {name}\n{comment}```text\n{fields}```\n{after}");
            self.text = text;
        } else {
            assert_eq!(
                stated, fields,
                "{name} has other fields than docs/protocol/examples.md states: UPDATE_GOLDEN=1 writes them"
            );
        }
    }

    fn finish(self) {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(self.path, self.text).unwrap();
        }
    }
}

/// Lines of names and values.
#[derive(Default)]
struct Fields(String);

impl Fields {
    fn add(&mut self, name: &str, value: impl Display) {
        writeln!(self.0, "{name:<13} {value}").unwrap();
    }

    fn party(&mut self, from: &Party) {
        self.add("from.did", &from.did);
        self.add("from.host", &from.host);
        self.add("from.doc", show(&*from.doc));
        self.add("from.kid", &from.kid);
    }
}

impl Fields {
    fn status(&mut self, body: &[u8]) -> Status {
        let status = Status::decode(body).unwrap();
        let amounts = [("limits", &status.limits), ("usage", &status.usage)];
        for (name, it) in amounts {
            for (stream, amount) in [
                ("msg", it.msg),
                ("evt", it.evt),
                ("ctl", it.ctl),
                ("outbox", it.outbox),
            ] {
                let text = format!("{} items, {} bytes", amount.items, amount.bytes);
                self.add(&format!("{name}.{stream}"), text);
            }
        }
        self.add("view", format!("{:?}", status.view));
        status
    }
}

fn opening_frame(bytes: &[u8]) -> (String, Vec<u8>) {
    let (frame, body) = OpeningFrame::decode(bytes).unwrap();
    let mut fields = Fields::default();
    let body = match body {
        Body::Hello(it) => {
            fields.add("t", it.t);
            fields.add("versions", format!("{:?}", it.versions));
            for (suite, key) in &it.shares {
                fields.add("shares", format!("0x{suite:04x} {}", show(key)));
            }
            fields.party(&it.from);
            fields.add("to", &it.to);
            fields.add("nonce", show(&*it.nonce));
            fields.add("dial", it.dial);
            fields.add("want", it.want);
            opening::encode(&it)
        }
        Body::HelloAck(it) => {
            fields.add("t", it.t);
            fields.add("version", it.version);
            fields.add("suite", format!("0x{:04x}", it.suite));
            fields.party(&it.from);
            fields.add("nonce", show(&*it.nonce));
            fields.add("ct", show(&it.ct));
            opening::encode(&it)
        }
        Body::Auth(it) => {
            fields.add("t", it.t);
            fields.add("attestation", show(&it.attestation));
            fields.add("cursors", format!("{:?}", it.cursors));
            opening::encode(&it)
        }
        Body::Ready(it) => {
            fields.add("t", it.t);
            fields.add("session", show(&*it.session));
            fields.add("granted", it.granted);
            fields.add("limits", format!("{:?}", it.limits));
            fields.add("cursors", format!("{:?}", it.cursors));
            for (stream, seq, id, code) in &it.rejects {
                fields.add("rejects", format!("{stream} {seq} {} {code}", show(&**id)));
            }
            opening::encode(&it)
        }
    };
    fields.add("signature", show(&frame.signature));
    fields.add("mac", show(&frame.mac));
    let again = OpeningFrame { body, ..frame };
    (fields.0, again.encode())
}

fn session_frame(bytes: &[u8], traffic: &Traffic) -> (String, Vec<u8>) {
    let (key, direction) = traffic.sending();
    let (header, body) = open(bytes, key, direction).unwrap();
    let mut fields = Fields::default();
    let Header {
        kind,
        counter,
        stream,
        epoch,
        seq,
    } = header;
    fields.add("type", format!("{} {kind:?}", bytes[0]));
    fields.add("counter", counter);
    fields.add("stream", stream);
    fields.add("epoch", epoch);
    fields.add("seq", seq);
    let mut frame = header.begin(body.len());
    match kind {
        Kind::Msg => {
            let (floor, messages) = items::read(body).unwrap();
            fields.add("floor", floor);
            for message in &messages {
                match message {
                    WireItem::Message(item) => {
                        fields.add("item", show(&item.id));
                        fields.add("  from", &item.from);
                        fields.add("  to", &item.to);
                        fields.add("  envelope", show(&item.bytes));
                    }
                    WireItem::Withdrawn => fields.add("item", "withdrawn"),
                }
            }
            items::write(&mut frame, floor, &messages);
        }
        Kind::Ack => {
            let (receipt, signature) = Receipt::read(epoch, seq, body).unwrap();
            fields.add("from", receipt.from);
            fields.add("at", receipt.at.0);
            for reject in &receipt.rejects {
                let (seq, id, code) = (reject.seq, show(&reject.id), &reject.code);
                fields.add("reject", format!("{seq} {id} {code}"));
            }
            fields.add("signature", show(&signature));
            receipt.write(&mut frame, &signature);
        }
        Kind::Ping | Kind::Pong => {
            fields.add("echo", show(body));
            frame.extend_from_slice(body);
        }
        Kind::Bye => {
            let code: [u8; 2] = body.try_into().unwrap();
            fields.add("code", u16::from_be_bytes(code));
            frame.extend_from_slice(body);
        }
        Kind::Status => {
            let status = fields.status(body);
            frame.extend_from_slice(&status.encode());
        }
        _ => {
            if !body.is_empty() {
                fields.add("body", show(body));
            }
            frame.extend_from_slice(body);
        }
    }
    fields.add("tag", show(&bytes[bytes.len() - TAG_LENGTH..]));
    finish(&mut frame, key, direction);
    (fields.0, frame)
}

/// Bytes as hex; of long ones the front.
fn show(bytes: &[u8]) -> String {
    let text = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    match bytes {
        [] => "empty".to_owned(),
        long if long.len() > 32 => format!("{}… ({} bytes)", text(&long[..16]), long.len()),
        short => text(short),
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}
