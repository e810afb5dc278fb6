//! Measures a full export, compared with the same bytes from the echo server in answers of the same size.

use std::{fmt, time::Instant};

use annals::proto::ExportRequest;
use anyhow::{Context, ensure};
use prost::Message;
use tonic::{Request, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel};

use crate::{echo, median::median, raw::Raw, server::Server};

const METHOD: &str = "/annals.v1.RecordService/Export";
/// The longest answer that the client accepts.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const MIB: f64 = (1 << 20) as f64;

/// One export of everything, and the same bytes from the echo server.
struct Turn {
    messages: u64,
    bytes: u64,
    seconds: f64,
    cpu_seconds: f64,
    echo_seconds: f64,
}

/// The exports of all rounds.
pub(crate) struct Exports {
    turns: Vec<Turn>,
    records: u64,
    /// The peak memory of the server before the first export and after the last.
    peaks: (u64, u64),
}

pub(crate) async fn measure(server: &Server, echo: &Server, rounds: usize) -> anyhow::Result<Exports> {
    let before = server.resident_peak()?;
    let mut turns = Vec::new();
    for round in 0..rounds {
        eprintln!("exporting, round {}", round + 1);
        let (began, cpu) = (Instant::now(), server.cpu()?);
        let (messages, bytes) = export(server).await?;
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), server.cpu()?.saturating_sub(cpu));
        let echo_seconds = repeat(echo, messages, bytes).await?;
        turns.push(Turn { messages, bytes, seconds, cpu_seconds: cpu.as_secs_f64(), echo_seconds });
    }
    Ok(Exports { turns, records: server.records().await?, peaks: (before, server.resident_peak()?) })
}

/// Exports everything. Returns the number of messages and of bytes.
async fn export(server: &Server) -> anyhow::Result<(u64, u64)> {
    let mut grpc = client(server).await?;
    grpc.ready().await?;
    let request = Request::new(ExportRequest::default().encode_to_vec().into());
    let mut answers = grpc.server_streaming(request, PathAndQuery::from_static(METHOD), Raw).await?.into_inner();
    let (mut messages, mut bytes) = (0, 0);
    while let Some(message) = answers.message().await? {
        messages += 1;
        bytes += message as u64;
    }
    ensure!(messages > 0, "an export has at least one message");
    Ok((messages, bytes))
}

/// Requests the same number of answers of the mean size, one after another. Returns the seconds.
async fn repeat(echo: &Server, messages: u64, bytes: u64) -> anyhow::Result<f64> {
    let mut grpc = client(echo).await?;
    let question = echo::Question { bytes: u32::try_from(bytes / messages)? };
    let began = Instant::now();
    for _ in 0..messages {
        grpc.ready().await?;
        let request = Request::new(question.encode_to_vec().into());
        grpc.unary(request, PathAndQuery::from_static(echo::METHOD), Raw).await?;
    }
    Ok(began.elapsed().as_secs_f64())
}

async fn client(server: &Server) -> anyhow::Result<Grpc<Channel>> {
    Ok(Grpc::new(server.connect().await.context("the server is there")?).max_decoding_message_size(ANSWER_BYTES_MAX))
}

impl fmt::Display for Exports {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |figure: fn(&Turn) -> f64| median(self.turns.iter().map(figure)).unwrap_or_default();
        writeln!(
            to,
            "\n| export of records | MiB | KiB a message | s | records/s | MiB/s | the echo's MiB/s | ratio to echo | server CPU us per record | \
             peak memory MiB before | after |"
        )?;
        writeln!(to, "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        let records = self.records as f64;
        writeln!(
            to,
            "| {records:.0} | {:.0} | {:.0} | {:.1} | {:.0} | {:.0} | {:.0} | {:.2} | {:.1} | {:.0} | {:.0} |",
            of(|turn| turn.bytes as f64 / MIB),
            of(|turn| turn.bytes as f64 / turn.messages as f64 / 1024.0),
            of(|turn| turn.seconds),
            of(|turn| 1.0 / turn.seconds) * records,
            of(|turn| turn.bytes as f64 / MIB / turn.seconds),
            of(|turn| turn.bytes as f64 / MIB / turn.echo_seconds),
            of(|turn| turn.echo_seconds / turn.seconds),
            of(|turn| turn.cpu_seconds * 1e6) / records,
            self.peaks.0 as f64 / MIB,
            self.peaks.1 as f64 / MIB,
        )
    }
}
