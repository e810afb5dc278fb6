//! The run: an ingest from the start, cut, and again from the start.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use annals::proto::{GetServerInfoRequest, IngestRequest, ingest_response::Outcome};
use fastrand::Rng;

use crate::{
    article::{RECORDS, article, request_id},
    serving::{Serving, connect},
    trial::{count, loudly, machine, seed},
};

/// What happened to the articles, over all streams.
struct Answers {
    /// The revision of each answered article.
    revisions: Vec<i64>,
    /// Messages that were answered, including repeats.
    messages: u64,
    /// Those of them that were replayed.
    replayed: u64,
    /// Articles that were sent.
    sent: Arc<AtomicU64>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn articles_that_are_cut_and_sent_again_from_the_start_exist_once() {
    let mut rng = Rng::with_seed(seed("ANNALS_LOADING_SEED"));
    let (articles, cuts) = (count("ANNALS_LOADING_ARTICLES", 500), count("ANNALS_LOADING_CUTS", 10));
    let folder = tempfile::tempdir().expect("a folder");
    let server = Serving::start_on(folder.path()).await;
    let began = Instant::now();
    let mut answers = Answers {
        revisions: vec![0; usize::try_from(articles).expect("they fit")],
        messages: 0,
        replayed: 0,
        sent: Arc::default(),
    };
    for cut in 1..=cuts {
        // On average, each stream gets further than the previous one.
        let answered = articles * cut / (cuts + 1) + rng.u64(..=articles / (cuts + 1));
        ingest(&server, articles, answered.min(articles - 1), &mut answers).await;
    }
    ingest(&server, articles, articles, &mut answers).await;

    let info = server.client().await.get_server_info(GetServerInfoRequest {}).await.expect("it answers").into_inner();
    assert_eq!(info.head_revision, i64::try_from(articles).expect("a small number"), "one revision an article");
    let records = info.record_counts.values().sum::<i64>();
    assert_eq!(records, i64::try_from(articles * RECORDS).expect("a small number"), "no record twice");
    assert!(answers.revisions.is_sorted() && answers.revisions[0] > 0, "in the order of the stream");
    server.stop();
    let sent = answers.sent.load(Ordering::Relaxed);
    loudly(&format!(
        "0 duplicates, 0 without an answer / {articles} articles of {RECORDS} records, cut {cuts} times and sent again from the start: \
         {sent} messages sent, {} answered, {} of them as before; {:.1} s; {}",
        answers.messages,
        answers.replayed,
        began.elapsed().as_secs_f64(),
        machine()
    ));
}

/// Sends all from the start on a new connection, and disconnects after this many answers. If that is all of them, the stream
/// must end by itself.
async fn ingest(server: &Serving, articles: u64, answered: u64, answers: &mut Answers) {
    let mut client = connect(server.address()).await.expect("it listens");
    let sent = Arc::clone(&answers.sent);
    let messages = (0..articles).map(move |number| {
        sent.fetch_add(1, Ordering::Relaxed);
        IngestRequest { commit: Some(article(number)), stop_on_error: false }
    });
    let mut stream = client.ingest(tokio_stream::iter(messages)).await.expect("an ingest").into_inner();
    for number in 0..answered {
        let message = stream.message().await.expect("no error").expect("an answer for each");
        assert_eq!((message.index.cast_unsigned(), &message.request_id), (number, &request_id(number)), "in order");
        let Some(Outcome::Committed(committed)) = message.outcome else { panic!("{number}: {:?}", message.outcome) };
        answers.messages += 1;
        answers.replayed += u64::from(committed.replayed);
        let known = &mut answers.revisions[usize::try_from(number).expect("it fits")];
        assert!(*known == 0 || (*known == committed.revision && committed.replayed), "{number}: the answer of before");
        *known = committed.revision;
    }
    if answered == articles {
        assert!(stream.message().await.expect("no error").is_none(), "nothing behind the last answer");
    }
}
