//! The codec of all methods. A handler gets a request as bytes and decodes it. Answers contain the bytes that the store keeps.
//!
//! tonic's own codec decodes a request before its handler runs, and refuses a long or broken one with tonic's text and code.
//! Here the handler decodes, so that every error has a reason of the contract.
//!
//! Knows the protobuf encoding. Must not know any message.

use std::marker::PhantomData;

use bytes::{Buf, Bytes};
use prost::Message;
use tonic::{
    Status,
    codec::{self, BufferSettings, DecodeBuf, EncodeBuf},
};

use super::{encoded::EncodedMessage, status};
use crate::limits::Limit;

/// The size of the buffer of an answer before its length is known. A record fits into it. A page reserves more.
const ANSWER_BYTES: usize = 1024;

/// Encoded bytes of stream answers that are collected before they are written.
const YIELD_BYTES: usize = 32 * 1024;

/// A request that was received and decompressed, but not decoded.
#[derive(Debug)]
pub(crate) struct Received<M> {
    bytes: Bytes,
    message: PhantomData<fn() -> M>,
}

impl<M: Message + Default> Received<M> {
    /// The length of the request in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Decodes the request. Errs if it is longer than the limit, or not a message of its type.
    pub(super) fn decode(self, request_bytes: Limit) -> Result<M, Status> {
        let actual = self.bytes.len() as u64;
        if actual > request_bytes.maximum {
            return Err(status::limit_exceeded(request_bytes, Some(actual)));
        }
        M::decode(self.bytes).map_err(status::unreadable)
    }
}

/// The codec of every method of `RecordService` and `AdminService`.
#[derive(Debug)]
pub(crate) struct Codec<T, U> {
    messages: PhantomData<fn(T) -> U>,
}

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self { messages: PhantomData }
    }
}

impl<T: EncodedMessage, M: Message + Default + 'static> codec::Codec for Codec<T, Received<M>> {
    type Encode = T;
    type Decode = Received<M>;
    type Encoder = Encoder<T>;
    type Decoder = Decoder<M>;

    fn encoder(&mut self) -> Self::Encoder {
        Encoder { messages: PhantomData }
    }

    fn decoder(&mut self) -> Self::Decoder {
        Decoder { messages: PhantomData }
    }
}

/// Writes an answer into the buffer that goes to the connection.
#[derive(Debug)]
pub(crate) struct Encoder<T> {
    messages: PhantomData<fn(T)>,
}

impl<T: EncodedMessage> codec::Encoder for Encoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, answer: T, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.reserve(answer.bytes());
        answer.put(to);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(ANSWER_BYTES, YIELD_BYTES)
    }
}

/// Takes a request out of the connection's buffer without copying it.
#[derive(Debug)]
pub(crate) struct Decoder<M> {
    messages: PhantomData<fn() -> M>,
}

impl<M> codec::Decoder for Decoder<M> {
    type Item = Received<M>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        Ok(Some(Received { bytes, message: PhantomData }))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(ANSWER_BYTES, YIELD_BYTES)
    }
}
