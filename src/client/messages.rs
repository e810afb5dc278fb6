//! A stream of a client's messages.
//!
//! Knows streams. Must not know what they carry.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::stream::{self, BoxStream};
use tokio_stream::{Stream, StreamExt};

use super::Result;

/// Messages in order, until they end or an error does.
///
/// It is a [`Stream`], and [`Self::message`] reads it without an import. It works only while it is polled, and dropping it ends it.
pub struct MessageStream<T>(BoxStream<'static, Result<T>>);

/// What a stream takes its messages from.
pub(super) trait Source: Send + 'static {
    /// What it gives.
    type Message;

    /// The next message; none at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Self::Message>>> + Send;
}

impl<T: Send + 'static> MessageStream<T> {
    /// The next message; none at the end, and after an error. Cancelling it loses nothing.
    pub async fn message(&mut self) -> Result<Option<T>> {
        self.0.next().await.transpose()
    }

    pub(super) fn from_source(source: impl Source<Message = T>) -> Self {
        Self(Box::pin(stream::try_unfold(source, |mut source| async move {
            Ok(source.next().await?.map(|message| (message, source)))
        })))
    }

    /// What a source gives, behind a message that was taken from it already.
    pub(super) fn resumed(first: Option<T>, source: impl Source<Message = T>) -> Self {
        Self(Box::pin(stream::iter(first.map(Ok)).chain(Self::from_source(source))))
    }

    /// The elements of page after page. `fetch` gives those behind a page token, and the next token, which is empty at the end.
    pub(super) fn paged<F>(page_token: String, fetch: impl Fn(String) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<(Vec<T>, String)>> + Send + 'static,
    {
        let state = (VecDeque::new(), Some(page_token), fetch);
        Self(Box::pin(stream::try_unfold(state, |(mut ready, mut next, fetch)| async move {
            loop {
                if let Some(element) = ready.pop_front() {
                    return Ok(Some((element, (ready, next, fetch))));
                }
                let Some(page_token) = next.take() else { return Ok(None) };
                let (elements, token) = fetch(page_token).await?;
                ready = elements.into();
                next = (!token.is_empty()).then_some(token);
            }
        })))
    }
}

impl<T> Stream for MessageStream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl<T> fmt::Debug for MessageStream<T> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("Messages")
    }
}
