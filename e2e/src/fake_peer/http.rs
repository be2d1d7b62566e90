//! The fake peer's web server: one thread a connection, one request a connection.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tungstenite::WebSocket;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Role;

use super::{FEDERATION_PATH, OnDial, Page, Shared, Upgrade};
use crate::socket::Socket;

/// Longer than any caller waits.
const HOLD: Duration = Duration::from_secs(60);
const MAX_HEAD: usize = 32 * 1024;

struct Request {
    path: String,
    headers: BTreeMap<String, String>,
}

/// Listens on `port` until the process ends.
pub(super) fn serve(port: u16, shared: Arc<Shared>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the fake peer's port is free");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || answer(stream, &shared));
        }
    });
}

fn answer(mut stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let Some(request) = read_request(&mut stream) else {
        return;
    };
    shared.asked.lock().unwrap().push(request.path.clone());
    if request.path == FEDERATION_PATH {
        return answer_dial(stream, request, shared);
    }
    let page = shared.pages.lock().unwrap().get(&request.path).cloned();
    write_page(&mut stream, &page.unwrap_or_else(|| Page::status(404)));
}

fn answer_dial(mut stream: TcpStream, request: Request, shared: &Shared) {
    let what = shared.on_dial.lock().unwrap().clone();
    match what {
        OnDial::Hold => thread::sleep(HOLD),
        OnDial::Answer(page) => write_page(&mut stream, &page),
        OnDial::Accept => {
            let Some(key) = request.headers.get("sec-websocket-key") else {
                return write_page(&mut stream, &Page::status(426));
            };
            let accept = derive_accept_key(key.as_bytes());
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
            );
            if stream.write_all(head.as_bytes()).is_ok() {
                let socket =
                    Socket::from_inner(WebSocket::from_raw_socket(stream, Role::Server, None));
                let upgrade = Upgrade {
                    socket,
                    headers: request.headers,
                };
                let _ = shared.upgrades.lock().unwrap().send(upgrade);
            }
        }
    }
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    // One byte at a time, so that nothing of what follows an upgrade is swallowed.
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > MAX_HEAD || stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut lines = text.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    // Percent signs never stand in the paths that the protocol uses, except for `:` and `@`.
    Some(Request {
        path: path.replace("%3A", ":").replace("%40", "@"),
        headers,
    })
}

fn write_page(stream: &mut TcpStream, page: &Page) {
    let mut head = format!("HTTP/1.1 {} Answer\r\n", page.status);
    for (name, value) in &page.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!(
        "content-length: {}\r\nconnection: close\r\n\r\n",
        page.body.len()
    ));
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&page.body);
}
