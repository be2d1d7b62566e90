//! The official SDK in a process of its own, driven line by line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use entente_e2e::deployment::root;
use entente_e2e::wait::wait_for;
use serde_json::{Value, json};

/// The SDK. It ends with whoever holds it.
pub(crate) struct Sdk {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Drop for Sdk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sdk {
    pub(crate) fn start() -> Self {
        let mut child = Command::new("node")
            .arg(root().join("e2e/oracles/a2a.mjs"))
            .current_dir(root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take().unwrap(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Gives a command and reads its answer.
    pub(crate) fn ask(&mut self, command: &Value) -> Result<Value, Value> {
        writeln!(self.stdin, "{command}").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        match answer.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(answer["ok"].clone()),
        }
    }

    /// Makes a client of the agent below `url`.
    pub(crate) fn open(&mut self, name: &str, url: &str, key: Option<&str>) {
        let command = json!({ "op": "open", "name": name, "url": url, "key": key });
        self.ask(&command).unwrap();
    }

    pub(crate) fn attempt(
        &mut self,
        name: &str,
        method: &str,
        params: &Value,
    ) -> Result<Value, Value> {
        self.ask(&json!({ "op": "call", "name": name, "method": method, "params": params }))
    }

    pub(crate) fn call(&mut self, name: &str, method: &str, params: &Value) -> Value {
        self.attempt(name, method, params)
            .unwrap_or_else(|error| panic!("{method} {params}: {error}"))
    }

    /// Makes a call that is refused with this error of the SDK's.
    pub(crate) fn refused(&mut self, name: &str, method: &str, params: &Value, error: &str) {
        let refused = self.attempt(name, method, params).unwrap_err();
        let told = refused["name"].as_str().unwrap();
        assert!(told.ends_with(error), "{method} {params}: {refused}");
    }

    /// Begins a stream; returns its number.
    pub(crate) fn stream(&mut self, name: &str, method: &str, params: &Value) -> Value {
        let command = json!({ "op": "stream", "name": name, "method": method, "params": params });
        self.ask(&command).unwrap()
    }

    /// Waits until what a stream told satisfies `holds`, and returns all of it.
    pub(crate) fn told(
        &mut self,
        stream: &Value,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Value {
        wait_for(what, Duration::from_secs(60), || {
            let told = self
                .ask(&json!({ "op": "told", "stream": stream }))
                .unwrap();
            holds(&told).then_some(told)
        })
    }
}
