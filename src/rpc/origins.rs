//! The web pages that may call: the origins that the operator allows, and the CORS headers for browsers.
//!
//! Knows origins and their headers. Must not know calls, or their answers.

use std::str::FromStr;

use http::{HeaderMap, HeaderValue, Uri, header};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// How long a browser may cache the answer to a preflight. Browsers limit it to between ten minutes and a day.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("7200");

/// The headers of an answer that a page may read. An answer without a body has its status there.
const EXPOSED: HeaderValue = HeaderValue::from_static("grpc-status, grpc-message, grpc-status-details-bin, grpc-encoding");

/// The request headers on which an answer depends, so that no cache serves the answer for one origin to another one.
const VARY: HeaderValue = HeaderValue::from_static("origin, access-control-request-headers");

const ANY: &str = "*";

/// The origins whose pages may call. The default is none.
///
/// They are written as a list, or as a text with commas or spaces between them. `*` allows any origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebOrigins {
    any: bool,
    /// Each origin as a browser writes it in the header `Origin`.
    listed: Vec<String>,
}

impl WebOrigins {
    /// Parses the origins in `texts`. The error names every text that is not an origin.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let (mut origins, mut wrong) = (Self::default(), Vec::new());
        for text in texts.into_iter().flat_map(|text| text.split([',', ' '])).filter(|text| !text.is_empty()) {
            match origin(text) {
                _ if text == ANY => origins.any = true,
                Ok(origin) => origins.listed.push(origin),
                Err(why) => wrong.push(format!("\"{text}\" is not an origin: {why}")),
            }
        }
        if origins.any && !origins.listed.is_empty() {
            wrong.push("\"*\" allows every origin: do not combine it with others".to_owned());
        }
        if wrong.is_empty() { Ok(origins) } else { Err(wrong.join("; ")) }
    }

    /// Whether pages of this origin may call.
    pub(super) fn allow(&self, origin: &HeaderValue) -> bool {
        self.any || self.listed.iter().any(|listed| listed.as_bytes() == origin.as_bytes())
    }

    /// Adds the headers that let the calling page read the answer. Call it only if [`Self::allow`] has allowed the origin.
    pub(super) fn show(&self, origin: &HeaderValue, answer: &mut HeaderMap) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.allowed(origin));
        answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        answer.insert(header::VARY, VARY);
    }

    /// Adds the headers that answer a preflight. Call it only if [`Self::allow`] has allowed the origin. A page may send any
    /// header: the server ignores unknown headers, and none of them authenticates.
    pub(super) fn permit(&self, origin: &HeaderValue, request: &HeaderMap, answer: &mut HeaderMap) {
        self.show(origin, answer);
        answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        if let Some(asked) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        answer.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    }

    fn allowed(&self, origin: &HeaderValue) -> HeaderValue {
        if self.any { HeaderValue::from_static(ANY) } else { origin.clone() }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.any.then_some(ANY).into_iter().chain(self.listed.iter().map(String::as_str))
    }
}

/// An origin as browsers write it: in lower case, without the port that its scheme implies.
fn origin(text: &str) -> Result<String, &'static str> {
    const FORM: &str = "write SCHEME://HOST or SCHEME://HOST:PORT, such as http://localhost:3000";
    if text == "null" {
        return Err("every local file and every sandboxed page has the origin null: serve your page from an address");
    }
    let (scheme, host) = text.split_once("://").ok_or(FORM)?;
    let uri: Uri = text.parse().map_err(|_| FORM)?;
    let authority = uri.authority().ok_or(FORM)?;
    if authority.as_str() != host {
        return Err("an origin ends with its host or its port, without a path");
    }
    if host.contains(['@', '*']) || authority.host().is_empty() {
        return Err(FORM);
    }
    let implied = match scheme.to_ascii_lowercase().as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let host = match authority.port_u16() {
        Some(port) if Some(port) == implied => authority.host(),
        _ => host,
    };
    Ok(format!("{scheme}://{host}").to_ascii_lowercase())
}

impl FromStr for WebOrigins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse([text])
    }
}

impl Serialize for WebOrigins {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.texts())
    }
}

impl<'de> Deserialize<'de> for WebOrigins {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            One(String),
            Many(Vec<String>),
        }
        match Either::deserialize(from)? {
            Either::One(text) => Self::parse([text.as_str()]),
            Either::Many(texts) => Self::parse(texts.iter().map(String::as_str)),
        }
        .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listed: &str, sent: &str, allowed: bool) {
        let origins: WebOrigins = listed.parse().expect(listed);
        assert_eq!(origins.allow(&HeaderValue::from_str(sent).expect("a header")), allowed, "{sent} where {listed} is allowed");
    }

    #[test]
    fn a_page_may_call_if_its_whole_origin_is_listed() {
        check("", "http://localhost:3000", false);
        check("http://localhost:3000", "http://localhost:3000", true);
        check("http://localhost:3000", "https://localhost:3000", false);
        check("http://localhost:3000", "http://localhost:30001", false);
        check("http://localhost:3000", "http://localhost", false);
        check("https://a.example,https://b.example", "https://b.example", true);
        check("https://a.example https://b.example", "https://a.example", true);
        check("https://a.example", "https://a.example.evil.example", false);
        check("https://a.example", "https://sub.a.example", false);
        check("https://a.example", "null", false);
        check("*", "https://anything.example", true);
        check("*", "null", true);
    }

    #[test]
    fn an_origin_is_compared_as_browsers_write_it() {
        check("HTTPS://A.Example:443", "https://a.example", true);
        check("http://a.example:80", "http://a.example", true);
        check("http://a.example:443", "http://a.example:443", true);
        check("http://[::1]:3000", "http://[::1]:3000", true);
        check("chrome-extension://abcdef", "chrome-extension://abcdef", true);
    }

    #[test]
    fn what_is_no_origin_is_refused_and_all_of_it_at_once() {
        for wrong in ["localhost:3000", "http://", "http://a/", "http://a/b", "http://a?b", "http://u@a", "null", "http://*.a"]
        {
            assert!(wrong.parse::<WebOrigins>().is_err_and(|error| error.contains(wrong)), "{wrong}");
        }
        let both = "http://a/b,null".parse::<WebOrigins>().expect_err("neither");
        assert!(both.contains("http://a/b") && both.contains("\"null\""), "{both}");
        assert!("*,http://a".parse::<WebOrigins>().is_err_and(|error| error.contains("every origin")));
    }

    #[test]
    fn origins_are_read_from_a_text_and_from_a_list_and_written_so_that_they_are_read_again() {
        let origins: WebOrigins = "http://a,http://b:1".parse().expect("two");
        let written = serde_json::to_string(&origins).expect("a list");
        assert_eq!(written, r#"["http://a","http://b:1"]"#);
        assert_eq!(serde_json::from_str::<WebOrigins>(&written).expect("a list"), origins);
        assert_eq!(serde_json::from_str::<WebOrigins>(r#""http://a http://b:1""#).expect("a text"), origins);
    }
}
