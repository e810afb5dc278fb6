//! Writing: a commit, and the request id that makes it safe to send again.
//!
//! Knows request ids. Must not know what a commit's mutations mean.

use ulid::Ulid;

use super::{Client, Result};
use crate::proto::{CommitRequest, CommitResponse};

impl Client {
    /// Applies a commit: all of its mutations as one revision, or none.
    ///
    /// A `request_id` that is empty is filled in once, before the first try, so that the commit is made once however often it is sent.
    /// Give one of your own where the same write may be begun again after this program has ended.
    ///
    /// An error that [is transient](super::Error::is_transient) leaves open whether the commit was made: with an id of your own, send
    /// it again and the answer tells.
    pub async fn commit(&self, request: CommitRequest) -> Result<CommitResponse> {
        let request = identified(request);
        self.call(&request, |mut grpc, request| async move { grpc.commit(request).await }).await
    }
}

/// The request with an id. One that is only checked needs none.
pub(super) fn identified(mut request: CommitRequest) -> CommitRequest {
    if request.request_id.is_empty() && !request.validate_only {
        request.request_id = Ulid::new().to_string();
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_id_is_filled_and_one_that_is_there_stays() {
        let id = |request: CommitRequest| identified(request).request_id;
        let [a, b] = [id(CommitRequest::default()), id(CommitRequest::default())];
        assert!(a.len() == 26 && a != b, "{a} {b}");
        assert_eq!(id(CommitRequest::of("mine", [])), "mine");
        assert_eq!(id(CommitRequest { validate_only: true, ..Default::default() }), "");
    }
}
