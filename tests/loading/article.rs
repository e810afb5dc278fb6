//! The load: articles of ten records whose names the server chooses, so that an article that is applied twice exists twice.

use annals::proto::{
    Aspect, Attribution, AttributionRole, Citation, Claim, ClaimKind, CommitRequest, Estimand, Estimate, EstimateMode,
    EstimateOrigin, Event, Mutation, Polarity, Quantity, Source, SpeechMode, TimeSpec,
};

/// Claims of an article, each with an estimate.
const CLAIMS: u64 = 4;
/// Records of an article: its claims and estimates, its source and its event.
pub(crate) const RECORDS: u64 = 2 * CLAIMS + 2;

/// Article number `number`, always the same.
pub(crate) fn article(number: u64) -> CommitRequest {
    let date = format!("{}-{:02}-{:02}", 1990 + number % 36, 1 + number % 12, 1 + number % 28);
    let time = TimeSpec { edtf: date, ..Default::default() };
    let source =
        Source { title: format!("Dispatch {number}"), uri: format!("https://news.example/{number}"), ..Default::default() };
    let event = Event { title: format!("Clash {number} near the river"), time: Some(time.clone()), ..Default::default() };
    let mut mutations = vec![Mutation::create(source).labelled("source"), Mutation::create(event).labelled("event")];
    for claim in 0..CLAIMS {
        let label = format!("c{claim}");
        mutations.push(Mutation::create(said(number, claim)).labelled(&label));
        let estimate = Estimate {
            claim: format!("@{label}"),
            estimand: Some(Estimand {
                measure: "measure:fatalities".into(),
                subjects: vec!["@event".into()],
                ..Default::default()
            }),
            quantity: Some(Quantity { best: Some(killed(number).into()), unit: "1".into(), ..Default::default() }),
            aspect: Aspect::Cumulative.into(),
            mode: EstimateMode::Estimated.into(),
            origin: EstimateOrigin::AsReported.into(),
            as_of: Some(time.clone()),
            ..Default::default()
        };
        mutations.push(Mutation::create(estimate));
    }
    CommitRequest::of(request_id(number), mutations)
}

/// The request id of article number `number`.
pub(crate) fn request_id(number: u64) -> String {
    format!("article-{number}")
}

fn killed(number: u64) -> u8 {
    number.to_be_bytes()[7]
}

fn said(number: u64, claim: u64) -> Claim {
    let hop = Attribution {
        description: format!("an officer of brigade {claim}"),
        role: AttributionRole::Origin.into(),
        mode: SpeechMode::Indirect.into(),
        ..Default::default()
    };
    Claim {
        statement: format!("{} were killed in clash {number}, by count {claim}.", killed(number)),
        kind: ClaimKind::Fact.into(),
        polarity: Polarity::Affirmed.into(),
        attribution: vec![hop],
        citations: vec![Citation { source: "@source".into(), locator: format!("p. {claim}"), ..Default::default() }],
        about: vec!["@event".into()],
        ..Default::default()
    }
}
