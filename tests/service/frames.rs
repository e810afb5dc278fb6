//! HTTP/2 by hand, for frames that no client library would send.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::server::Server;

/// What a client sends first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// An empty message: not compressed, length 0.
const EMPTY_MESSAGE: [u8; 5] = [0; 5];

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// SETTINGS with one value.
pub(crate) fn settings(id: u16, value: u32) -> Vec<u8> {
    let mut payload = id.to_be_bytes().to_vec();
    payload.extend(value.to_be_bytes());
    frame(SETTINGS, 0, 0, &payload)
}

/// SETTINGS that forbid sending us any body.
pub(crate) fn closed_window() -> Vec<u8> {
    settings(4, 0)
}

/// SETTINGS that change nothing relevant.
pub(crate) fn any_settings() -> Vec<u8> {
    settings(3, 100)
}

/// DATA of a call that continues.
pub(crate) fn data(stream: u32, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, 0, stream, bytes)
}

/// DATA with an empty message, which ends the request.
pub(crate) fn empty_message(stream: u32) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, &EMPTY_MESSAGE)
}

/// `RST_STREAM` with CANCEL.
pub(crate) fn cancel(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())
}

/// PING.
pub(crate) fn ping() -> Vec<u8> {
    frame(PING, 0, 0, &[0; 8])
}

/// CONTINUATION without `END_HEADERS`.
pub(crate) fn continuation(stream: u32) -> Vec<u8> {
    frame(CONTINUATION, 0, stream, &[0; 1000])
}

/// HEADERS that open a call.
pub(crate) fn open(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &header_block(path, more))
}

/// HEADERS that open a call and are incomplete.
pub(crate) fn open_without_end(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, 0, stream, &header_block(path, &[]))
}

fn header_block(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    // HPACK's static table: 3 is `:method: POST`, 6 is `:scheme: http`, 4 names `:path`, 1 names `:authority`. The others are
    // written as literals, without compression or indexing.
    let mut block = vec![0x83, 0x86];
    let mut literal = |index: u8, name: &str, value: &str| {
        block.push(index);
        if index == 0 {
            block.push(u8::try_from(name.len()).expect("short"));
            block.extend(name.as_bytes());
        }
        block.push(u8::try_from(value.len()).expect("short"));
        block.extend(value.as_bytes());
    };
    literal(4, "", path);
    literal(1, "", "server");
    literal(0, "content-type", "application/grpc");
    literal(0, "te", "trailers");
    for (name, value) in more {
        literal(0, name, value);
    }
    block
}

/// A received frame.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A client that sends and receives frames.
pub(crate) struct Peer {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    /// A connection that has sent its preface.
    pub(crate) async fn connect(server: &Server) -> Self {
        let mut first = PREFACE.to_vec();
        first.extend(any_settings());
        Self::connect_with(server, &first).await
    }

    /// A connection that has sent these bytes.
    pub(crate) async fn connect_with(server: &Server, first: &[u8]) -> Self {
        let mut stream = TcpStream::connect(server.address).await.expect("it listens");
        stream.write_all(first).await.expect("written");
        Self { stream, read: Vec::new() }
    }

    /// Sends bytes. An error means that the server has closed the connection.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Calls a method with an empty message.
    pub(crate) async fn call(&mut self, stream: u32, path: &str, headers: &[(&str, &str)]) {
        let mut bytes = open(stream, path, headers);
        bytes.extend(empty_message(stream));
        self.send(&bytes).await.expect("written");
    }

    /// The next frame. `None`: the connection is closed, or nothing came for ten seconds.
    pub(crate) async fn next(&mut self) -> Option<Received> {
        loop {
            if let Some((head, rest)) = self.read.split_at_checked(9) {
                let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
                if rest.len() >= length {
                    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                    let frame = Received { kind: head[3], flags: head[4], stream, payload: rest[..length].to_vec() };
                    self.read.drain(..9 + length);
                    return Some(frame);
                }
            }
            let mut buffer = [0; 4096];
            match timeout(Duration::from_secs(10), self.stream.read(&mut buffer)).await {
                Ok(Ok(read @ 1..)) => self.read.extend(&buffer[..read]),
                _ => return None,
            }
        }
    }

    /// Reads until the connection is closed. Answers pings, as any client does.
    pub(crate) async fn read_to_end(&mut self) {
        while let Some(frame) = self.next().await {
            if frame.kind == PING && frame.flags & ACK == 0 {
                // It may be closed by now. The next read detects that.
                drop(self.send(&self::frame(PING, ACK, 0, &frame.payload)).await);
            }
        }
    }

    /// The headers that end a call, as they were sent. They contain its status. `None`: there are none.
    pub(crate) async fn end_of(&mut self, stream: u32) -> Option<Vec<u8>> {
        while let Some(frame) = self.next().await {
            if frame.stream == stream && frame.kind == HEADERS && frame.flags & END_STREAM != 0 {
                return Some(frame.payload);
            }
        }
        None
    }
}
