//! Dials and sockets.

use entente_federation::{Claimed, Code, Input, SocketId};

use crate::fact::Fact;
use crate::queue::Job;
use crate::socket::{Parcel, Socket};
use crate::world::World;

impl World {
    fn latency(&mut self) -> u64 {
        if self.rng.once_in(100) {
            self.rng.between(100, 2_000)
        } else {
            self.rng.between(5, 60)
        }
    }

    /// The machine asked for a socket: it comes, fails, or nobody answers.
    pub(crate) fn dial(&mut self, end: usize) {
        let level = self.ends[end].policy.level;
        if self.keeps_bounds(end) {
            self.see(&Fact::Dialled { end, level });
        }
        let life = self.ends[end].life;
        let pause = self.latency();
        self.queue
            .push(self.now + pause, Job::Connect { end, life });
    }

    pub(crate) fn connect(&mut self, end: usize, life: u64) {
        if self.ends[end].life != life || self.ends[end].link.is_none() {
            return;
        }
        let pair = end / 2;
        let cut = self.cut_until[pair] > self.now;
        if cut || self.ends[end ^ 1].link.is_none() {
            return match self.rng.below(3) {
                // Later than the link waits: the socket comes when nobody wants it any more.
                0 => self
                    .queue
                    .push(self.now + 16_000, Job::Connect { end, life }),
                1 => {}
                _ => {
                    let code = Code::from_static("UNREACHABLE");
                    self.input(end, Input::DialFailed { code });
                }
            };
        }
        self.next_socket += 1;
        let id = self.next_socket;
        self.sockets.insert(id, Socket::new(pair));
        for side in [end, end ^ 1] {
            self.ends[side].sockets.insert(id);
        }
        let network = &self.networks[self.ends[end].network];
        let claimed = Claimed {
            did: network.did.clone(),
            kid: network.kid.clone(),
        };
        let socket = SocketId(id);
        self.input(end ^ 1, Input::Accepted { socket, claimed });
        // Making room for the other side may have cost us our own memory: then nobody is told.
        if self.ends[end].life == life {
            self.input(end, Input::Dialled { socket });
        }
    }

    /// Sends something from `end`, if its side is open.
    pub(crate) fn put(&mut self, end: usize, id: u64, parcel: Parcel) {
        let due = self.now + self.latency();
        let (side, to) = (end & 1, (end & 1) ^ 1);
        let closes = matches!(parcel, Parcel::Close(_));
        if let Some(socket) = self.sockets.get_mut(&id).filter(|s| s.open[side]) {
            let due = socket.put(to, due, parcel);
            socket.open[side] &= !closes;
            self.queue.push(
                due,
                Job::Arrive {
                    socket: id,
                    side: to,
                },
            );
        }
        if closes {
            self.ends[end].sockets.remove(&id);
        }
    }

    pub(crate) fn under_way(&self, end: usize, id: u64) -> usize {
        let socket = self.sockets.get(&id);
        socket.map_or(0, |socket| socket.bytes_to((end & 1) ^ 1))
    }

    pub(crate) fn arrive(&mut self, id: u64, side: usize) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        let until = socket.stalled_until[side].max(self.cut_until[socket.pair]);
        if until > self.now {
            return self.queue.push(until, Job::Arrive { socket: id, side });
        }
        let end = socket.pair * 2 + side;
        let is_open = socket.open[side];
        match socket.take(side, self.now) {
            Some(Parcel::Frame(bytes)) if is_open => {
                let socket = SocketId(id);
                let bytes = &bytes;
                self.input(end, Input::Frame { socket, bytes });
            }
            Some(Parcel::Close(code)) => {
                socket.open[side] = false;
                self.ends[end].sockets.remove(&id);
                if is_open {
                    let socket = SocketId(id);
                    self.input(end, Input::Closed { socket, code });
                }
            }
            Some(Parcel::Frame(_)) | None => {}
        }
        if self.sockets.get(&id).is_some_and(Socket::is_over) {
            self.sockets.remove(&id);
        }
    }

    /// A socket dies; each side hears of it in its own time.
    pub(crate) fn kill(&mut self, id: u64, late_ms: u64) {
        let latencies = [self.latency(), self.latency() + late_ms];
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        socket.lose();
        for (side, latency) in latencies.into_iter().enumerate() {
            if socket.open[side] {
                let due = socket.put(side, self.now + latency, Parcel::Close(1006));
                self.queue.push(due, Job::Arrive { socket: id, side });
            }
        }
    }
}
