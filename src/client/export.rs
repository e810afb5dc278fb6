//! Exporting: everything at one revision, out of as many streams as it takes.
//!
//! Knows resume tokens. Must not know what a record holds.

use tonic::Streaming;

use super::{Client, MessageStream, Result, messages::Source, retry::Retries};
use crate::proto::{ExportRequest, ExportResponse};

impl Client {
    /// Every record of the types asked for, as of one revision, in messages of many records.
    ///
    /// When the connection is lost the export goes on after the last message that was handed out: no record is missed, none comes
    /// twice. To go on with it in another run of your program, store the `resume_token` of the last message that you have finished
    /// with, and send it with the same request.
    ///
    /// ```
    /// # #[cfg(feature = "server")] {
    /// use annals::{client::Client, proto::{Actor, CommitRequest, ExportRequest, Mutation}, rpc, store::Store};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let client = Client::over(rpc::in_process(Store::in_memory()?).await?);
    /// client.commit(CommitRequest::of("r", [Mutation::create(Actor { display_name: "NIS".into(), ..Default::default() })])).await?;
    ///
    /// let mut export = client.export(ExportRequest::default());
    /// let mut records = 0;
    /// while let Some(message) = export.message().await? {
    ///     records += message.records.len();
    /// }
    /// assert_eq!(records, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn export(&self, request: ExportRequest) -> MessageStream<ExportResponse> {
        let retries = Retries::of_stream(&self.options);
        MessageStream::from_source(Export { client: self.clone(), request, messages: None, retries })
    }
}

/// An export on its way.
#[derive(Debug)]
struct Export {
    client: Client,
    /// What to send when it is opened again: it holds the token of the last message that was handed out.
    request: ExportRequest,
    /// The stream, while there is one.
    messages: Option<Streaming<ExportResponse>>,
    retries: Retries,
}

impl Export {
    async fn receive(&mut self) -> Result<Option<ExportResponse>> {
        let messages = match &mut self.messages {
            Some(messages) => messages,
            none => {
                let mut grpc = self.client.grpc.clone();
                let opened = self.client.open(grpc.export(self.request.clone())).await?;
                none.insert(opened)
            }
        };
        Ok(messages.message().await?)
    }
}

impl Source for Export {
    type Message = ExportResponse;

    async fn next(&mut self) -> Result<Option<ExportResponse>> {
        loop {
            match self.receive().await {
                Ok(Some(message)) => {
                    self.retries.progressed();
                    self.request.resume_token.clone_from(&message.resume_token);
                    return Ok(Some(message));
                }
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.messages = None;
                    self.retries.wait(error).await?;
                }
            }
        }
    }
}
