// Commits a news article with its claim and estimate, and lists what a ministry has claimed.
//
// node article.js [HOST:PORT]

import { CommitRequest, ListRecordsRequest } from "./gen/annals/v1/record_service.js";
import { connect } from "./connect.js";

const TEXT = "The ministry said on Monday that around 3,000 troops had been sent.";

// Everything in one call, which is applied whole or not at all. Records refer to each other by label.
const article = CommitRequest.fromPartial({
  // The id identifies the article, not this attempt. Sent again, the call gets the same answer and writes nothing.
  requestId: "example:javascript:article-1",
  mutations: [
    { label: "page", create: { source: { kind: "SOURCE_KIND_NEWS_ARTICLE", title: "Troops sent, ministry says", text: TEXT } } },
    {
      label: "ministry",
      // Found by its external id, or created. There is no need to read first.
      upsert: { record: { actor: { displayName: "Ministry of Defence", externalIds: ["example:ministry-of-defence"] } } },
    },
    {
      label: "said",
      create: {
        claim: {
          statement: "Around 3,000 troops have been sent.",
          kind: "CLAIM_KIND_FACT",
          polarity: "POLARITY_AFFIRMED",
          attribution: [{ actors: ["@ministry"], role: "ATTRIBUTION_ROLE_ORIGIN", cue: "said" }],
          citations: [{ source: "@page", quote: "around 3,000 troops had been sent" }],
        },
      },
    },
    {
      create: {
        estimate: {
          claim: "@said",
          estimand: { measure: "measure:troops_deployed" },
          quantity: { unit: "1", best: 3000, approximation: "APPROXIMATION_ABOUT" },
          aspect: "ASPECT_CUMULATIVE",
          mode: "ESTIMATE_MODE_ESTIMATED",
          origin: "ESTIMATE_ORIGIN_AS_REPORTED",
        },
      },
    },
  ],
});

const annals = connect(process.argv[2] ?? "localhost:50051");

const done = await annals.commit(article);
console.log(`revision ${done.revision}${done.replayed ? " (replayed)" : ""}`);
for (const { kind, name } of done.results) console.log(`  ${kind.replace("CHANGE_KIND_", "").toLowerCase()} ${name}`);

const ministry = done.results[1].name;
const filter = `attribution:(role = ORIGIN AND actors:"${ministry}")`;
const page = await annals.listClaims(ListRecordsRequest.fromPartial({ filter }));
console.log(`${ministry} has claimed, as of revision ${page.revision}:`);
for (const { statement } of page.claims) console.log(`  ${statement}`);
// The next page, if there is one: the same request with pageToken: page.nextPageToken.

annals.close();
