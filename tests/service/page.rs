//! gRPC-Web by hand: what a browser sends for a page, over HTTP/1.1, and over HTTP/2 as a proxy would.

use std::{future::poll_fn, pin::Pin};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body::Body as _;
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tonic::{Status, body::Body};

use super::server::Server;

pub(crate) const BINARY: &str = "application/grpc-web+proto";
pub(crate) const TEXT: &str = "application/grpc-web-text";

/// The bit of a frame's first byte that marks the trailers.
const TRAILERS: u8 = 0x80;

/// One connection.
pub(crate) enum Page {
    Http1(conn::http1::SendRequest<Body>),
    Http2(conn::http2::SendRequest<Body>),
}

impl Page {
    /// Connects as a browser does.
    pub(crate) async fn open(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address).await.expect("it listens");
        let (sender, connection) = conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        Self::Http1(sender)
    }

    /// Connects as a proxy in front of the server may.
    pub(crate) async fn open_http2(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address).await.expect("it listens");
        let handshake = conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.expect("HTTP/2");
        tokio::spawn(connection);
        Self::Http2(sender)
    }

    /// Sends an arbitrary request.
    pub(crate) async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request = http::Request::builder().method(method);
        request = match self {
            Self::Http1(_) => request.uri(path).header("host", "localhost"),
            Self::Http2(_) => request.uri(format!("http://localhost{path}")),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_empty() { Body::empty() } else { Body::new(http_body_of(body)) };
        let request = request.body(body).expect("a request");
        let answer = match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        };
        let (head, body) = answer.expect("an answer").into_parts();
        Answer { head, body, text: Vec::new(), read: Vec::new() }
    }

    /// Calls a method.
    pub(crate) async fn call(&mut self, method: &str, message: &impl Message, headers: &[(&str, &str)]) -> Answer {
        self.call_as(BINARY, method, message, headers).await
    }

    /// Calls a method with a content type of gRPC-Web, and accepts the same type.
    pub(crate) async fn call_as(
        &mut self,
        content_type: &str,
        method: &str,
        message: &impl Message,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut body = framed(0, &message.encode_to_vec());
        if content_type == TEXT {
            body = STANDARD.encode(body).into_bytes();
        }
        let headers: Vec<_> = [("content-type", content_type), ("accept", content_type), ("x-grpc-web", "1")]
            .into_iter()
            .chain(headers.iter().copied())
            .collect();
        self.send("POST", &path(method), &headers, body).await
    }
}

/// The path of a method.
pub(crate) fn path(method: &str) -> String {
    format!("/annals.v1.RecordService/{method}")
}

/// A message in gRPC framing.
pub(crate) fn framed(flags: u8, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![flags];
    frame.extend(u32::try_from(message.len()).expect("short").to_be_bytes());
    frame.extend(message);
    frame
}

/// A body that is available as a whole.
fn http_body_of(bytes: Vec<u8>) -> impl http_body::Body<Data = Bytes, Error = std::convert::Infallible> {
    struct Whole(Option<Bytes>);
    impl http_body::Body for Whole {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
        }
        fn is_end_stream(&self) -> bool {
            self.0.is_none()
        }
        fn size_hint(&self) -> http_body::SizeHint {
            http_body::SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
        }
    }
    Whole(Some(bytes.into()))
}

/// An answer, as it arrives.
pub(crate) struct Answer {
    pub(crate) head: http::response::Parts,
    body: Incoming,
    /// Base64 that is not decoded yet.
    text: Vec<u8>,
    read: Vec<u8>,
}

/// The content of a frame of the answer.
#[derive(Debug)]
pub(crate) enum Part {
    /// Flags and bytes.
    Message(u8, Vec<u8>),
    /// The status at the end.
    End(Status),
}

impl Answer {
    /// A header. Empty if it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The next frame. `None`: there are no more.
    pub(crate) async fn next(&mut self) -> Option<Part> {
        loop {
            if let Some((head, rest)) = self.read.split_at_checked(5) {
                let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
                if rest.len() >= length {
                    let (flags, bytes) = (head[0], rest[..length].to_vec());
                    self.read.drain(..5 + length);
                    return Some(if flags & TRAILERS == 0 { Part::Message(flags, bytes) } else { Part::End(status(&bytes)) });
                }
            }
            let frame = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await?;
            let data = frame.expect("a body that is not cut").into_data().expect("nothing but data");
            if self.header("content-type").starts_with(TEXT) {
                // Each chunk of the answer has its own padding, and the chunks arrive cut anywhere.
                self.text.extend(data);
                let whole = self.text.len() / 4 * 4;
                for four in self.text.drain(..whole).as_slice().chunks(4) {
                    self.read.extend(STANDARD.decode(four).expect("base64"));
                }
            } else {
                self.read.extend(data);
            }
        }
    }

    /// The next message, decoded.
    pub(crate) async fn message<M: Message + Default>(&mut self) -> M {
        match self.next().await {
            Some(Part::Message(0, bytes)) => M::decode(bytes.as_slice()).expect("the message"),
            other => panic!("no plain message: {other:?}"),
        }
    }

    /// The status: from the headers if there is no body, otherwise from the end of the body.
    pub(crate) async fn status(mut self) -> Status {
        if let Some(status) = Status::from_header_map(&self.head.headers) {
            return status;
        }
        while let Some(part) = self.next().await {
            if let Part::End(status) = part {
                assert!(self.next().await.is_none(), "something behind the end");
                return status;
            }
        }
        panic!("no status");
    }

    /// The body of an answer for people.
    pub(crate) async fn text(mut self) -> String {
        let mut text = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await {
            text.extend(frame.expect("a body").into_data().expect("data"));
        }
        String::from_utf8(text).expect("text")
    }
}

fn status(trailers: &[u8]) -> Status {
    let text = std::str::from_utf8(trailers).expect("ASCII");
    let headers = text.lines().map(|line| {
        let (name, value) = line.split_once(':').expect("a line is a name and a value");
        (name.parse::<http::HeaderName>().expect("a name"), value.parse().expect("a value"))
    });
    Status::from_header_map(&headers.collect()).expect("a status")
}
