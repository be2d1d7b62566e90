//! No record that comes as mail makes its reader panic; what the validator takes is read; and no
//! sequence of words makes either side of a task panic or leave a settled end.
#![no_main]

use entente_lexicon::records::comms::{self, TaskState};
use entente_lexicon::{Content, Timestamp, schema};
use entente_tasks::{Heard, Says, Task, Terms, Word};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Content::Record(part)) = serde_json::from_slice(bytes) {
        read(&part.record);
    }
    if let Ok(record) = serde_json::from_slice::<Value>(bytes) {
        read(&record);
    }
    hear(bytes);
});

fn read(record: &Value) {
    let Ok(kind) = schema::lexicons().validate(record) else {
        return;
    };
    let outcome = match kind.nsid() {
        "agent.comms.request" => comms::read::<comms::Request>(record).map(drop),
        "agent.comms.response" => comms::read::<comms::Response>(record).map(drop),
        "agent.comms.message" => comms::read::<comms::Message>(record).map(drop),
        "agent.comms.broadcast" => comms::read::<comms::Broadcast>(record).map(drop),
        "agent.comms.handoff" => comms::read::<comms::Handoff>(record).map(drop),
        _ => return,
    };
    assert!(outcome.is_ok(), "{record}: {outcome:?}");
}

fn hear(bytes: &[u8]) {
    let (mut requester, request) = Task::ask(Terms::default(), Timestamp(0)).unwrap();
    let (mut worker, _) = Task::asked(Terms::default(), request).unwrap();
    for part in bytes.chunks_exact(3) {
        let n = u32::from(part[1]);
        let says = match part[2] % 11 {
            0 => Says::Request,
            1 => Says::Cancel,
            2 => Says::Input { answers: n },
            other => Says::Status(TaskState::ALL[usize::from(other) - 3]),
        };
        let word = Word {
            attempt: u32::from(part[0]),
            n,
            says,
        };
        for task in [&mut requester, &mut worker] {
            let before = task.clone();
            if let Ok(Heard::Taken(_)) = task.hear(word, Timestamp(1)) {
                let end = before.state();
                assert!(!end.is_final() || end == TaskState::Failed);
            } else {
                assert_eq!(before, *task);
            }
        }
    }
}
