//! Every option of the server: its unit, its default, its bounds, and where it can be set.
//!
//! A flag wins over the environment, the environment over the file, the file over the default. Keys of the file are the names
//! of the fields here, the table `[rpc]` being [`ServerOptions`]; in the environment they are upper-case behind `ANNALS_`, with
//! `__` before a key of the table: `ANNALS_CACHE=1GiB`, `ANNALS_RPC__CALLS_MAX=512`.
//!
//! Knows options. Must not know what they are used for.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::rpc::{ServerOptions, WebOrigins};

/// Begins the name of every environment variable.
const PREFIX: &str = "ANNALS_";

/// Every option of `annals serve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The data folder. Made where it is not there. Default: `./annals-data`.
    pub data: PathBuf,
    /// Keep everything in memory and nothing on disk. Default: off.
    pub in_memory: bool,
    /// Address and port to listen on; port 0 takes a free one. Default: `127.0.0.1:50051`.
    pub listen: String,
    /// Listen beyond this machine although nobody is asked who they are. Default: off.
    pub insecure: bool,
    /// Memory for cached pages of the state, as they lie in memory. Default: `256MiB`; at least `16MiB`.
    pub cache: Size,
    /// Length of one file of the log. Default: `64MiB`; at least `16KiB`.
    pub segment: Size,
    /// Room on the disk at which writes stop, or 5 % of the disk where that is less. Default: `1GiB`.
    pub disk_reserve: Size,
    /// Threads that serve the network. 0: one a core. Default: 0.
    pub threads: usize,
    /// What is logged, as `tracing`'s filters have it: `info`, `annals=debug,warn`. Default: `info`.
    pub log: String,
    /// How it is logged. Default: `text`.
    pub log_format: LogFormat,
    /// Limits and times of the server.
    pub rpc: ServerOptions,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "./annals-data".into(),
            in_memory: false,
            listen: "127.0.0.1:50051".into(),
            insecure: false,
            cache: Size(256 << 20),
            segment: Size(64 << 20),
            disk_reserve: Size(1 << 30),
            threads: 0,
            log: "info".into(),
            log_format: LogFormat::Text,
            rpc: ServerOptions::default(),
        }
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Options set by flags: those that were given.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Overrides {
    /// [`Config::data`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// [`Config::in_memory`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_memory: Option<bool>,
    /// [`Config::listen`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// [`Config::insecure`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure: Option<bool>,
    /// [`Config::cache`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Size>,
    /// [`Config::segment`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<Size>,
    /// [`Config::disk_reserve`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_reserve: Option<Size>,
    /// [`Config::threads`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// [`Config::log`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// [`Config::log_format`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
    /// Those of `[rpc]`.
    #[serde(skip_serializing_if = "RpcOverrides::is_empty")]
    pub rpc: RpcOverrides,
}

/// Options of `[rpc]` that have a flag of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RpcOverrides {
    /// [`ServerOptions::drain_time_max`].
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_duration")]
    pub drain_time_max: Option<Duration>,
    /// [`ServerOptions::web_origins`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_origins: Option<WebOrigins>,
}

impl RpcOverrides {
    fn is_empty(&self) -> bool {
        self.drain_time_max.is_none() && self.web_origins.is_none()
    }
}

#[allow(clippy::ref_option)] // serde hands over the field as it is.
fn some_duration<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    crate::rpc::duration::serialize(&duration.unwrap_or_default(), to)
}

impl Config {
    /// The effective configuration: flags over environment over file over defaults. Errors name the key and where it was set.
    pub fn load(file: Option<&Path>, flags: &Overrides) -> Result<Self, String> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            figment = figment.merge(Toml::file_exact(file));
        }
        let environment = Env::prefixed(PREFIX).filter(|key| is_key(key.as_str())).split("__");
        let config: Self = figment
            .merge(environment)
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|errors| errors.into_iter().map(|error| error.to_string()).collect::<Vec<_>>().join("; "))?;
        config.check()?;
        Ok(config)
    }

    /// Variables that look like ours and set nothing: a slip of the pen, or another program's. Kubernetes sets some of its own
    /// for a service that is called annals, so they are no error.
    pub fn ignored_variables() -> Vec<String> {
        std::env::vars_os()
            .filter_map(|(name, _)| name.into_string().ok())
            .filter(|name| name.strip_prefix(PREFIX).is_some_and(|key| !is_key(key) && !OTHER_VARIABLES.contains(&key)))
            .collect()
    }

    fn check(&self) -> Result<(), String> {
        let rpc = &self.rpc;
        let bounds = [
            (self.cache.0 >= 16 << 20, "cache is at least 16MiB"),
            (self.segment.0 >= 16 << 10, "segment is at least 16KiB"),
            (
                rpc.calls_max > 0 && rpc.calls_per_connection_max > 0,
                "rpc.calls_max and rpc.calls_per_connection_max are at least 1",
            ),
            (rpc.connections_max > 0, "rpc.connections_max is at least 1"),
            (rpc.decode_bytes_max >= 4 << 20, "rpc.decode_bytes_max is at least 4194304, the largest request that is accepted"),
            (
                rpc.bytes_max >= rpc.bytes_per_connection_max && rpc.bytes_per_connection_max >= rpc.decode_bytes_max,
                "rpc.bytes_max is at least rpc.bytes_per_connection_max, and that at least rpc.decode_bytes_max",
            ),
            (rpc.answer_time_max >= rpc.call_time_max, "rpc.answer_time_max is at least rpc.call_time_max"),
            (!rpc.call_time_max.is_zero() && !rpc.keepalive_interval.is_zero(), "rpc's times are more than zero"),
            ((16 << 10..1 << 24).contains(&rpc.frame_bytes_max), "rpc.frame_bytes_max is 16384 to 16777215, as HTTP/2 has it"),
            (rpc.stream_window_bytes >= 64 << 10, "rpc.stream_window_bytes is at least 65536"),
            (
                rpc.connection_window_bytes >= rpc.stream_window_bytes,
                "rpc.connection_window_bytes is at least rpc.stream_window_bytes",
            ),
        ];
        let broken: Vec<_> = bounds.into_iter().filter(|(holds, _)| !holds).map(|(_, bound)| bound).collect();
        if broken.is_empty() { Ok(()) } else { Err(broken.join("; ")) }
    }
}

/// Variables that are read elsewhere: by the commands that call a server, and for the path of the file.
const OTHER_VARIABLES: [&str; 2] = ["SERVER", "CONFIG"];

/// Whether a variable's name, without the prefix, is a key of the configuration.
fn is_key(name: &str) -> bool {
    const KEYS: [&str; 10] =
        ["data", "in_memory", "listen", "insecure", "cache", "segment", "disk_reserve", "threads", "log", "log_format"];
    let name = name.to_ascii_lowercase();
    KEYS.contains(&name.as_str()) || name.starts_with("rpc__")
}

/// A number of bytes, written with a unit: `64MiB`, `1GiB`, `500000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim();
        let factor = match unit {
            "" => Some(1),
            unit => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor),
        };
        let bytes = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
        bytes.map(Self).ok_or_else(|| format!("\"{text}\" is not a size: write a number with a unit, such as 256MiB or 1GiB"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(to, "{}{unit}", self.0 / factor),
            None => write!(to, "{}B", self.0),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(from)? {
            Either::Number(bytes) => Ok(Self(bytes)),
            Either::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
#[allow(clippy::result_large_err)] // figment's own type, in its test harness.
mod tests {
    use figment::Jail;

    use super::*;

    #[test]
    fn flags_win_over_the_environment_over_the_file_over_defaults() {
        Jail::expect_with(|jail| {
            jail.create_file("annals.toml", "listen = \"127.0.0.1:1\"\ncache = \"1GiB\"\nthreads = 3\n[rpc]\ncalls_max = 7\n")?;
            jail.set_env("ANNALS_CACHE", "512MiB");
            jail.set_env("ANNALS_THREADS", "5");
            jail.set_env("ANNALS_RPC__CALL_TIME_MAX", "5s");
            jail.set_env("ANNALS_SERVER", "http://elsewhere:1");
            jail.set_env("ANNALS_PORT_50051_TCP_ADDR", "10.0.0.1");
            let flags = Overrides { threads: Some(6), ..Overrides::default() };
            let config = Config::load(Some(Path::new("annals.toml")), &flags).expect("valid");
            assert_eq!(config.listen, "127.0.0.1:1");
            assert_eq!(config.cache, Size(512 << 20));
            assert_eq!(config.threads, 6);
            assert_eq!((config.rpc.calls_max, config.rpc.call_time_max), (7, Duration::from_secs(5)));
            assert_eq!(config.segment, Config::default().segment);
            assert_eq!(Config::ignored_variables(), ["ANNALS_PORT_50051_TCP_ADDR"]);
            Ok(())
        });
    }

    #[test]
    fn origins_of_pages_can_be_set_everywhere_and_the_nearest_place_wins_with_all_of_its_own() {
        Jail::expect_with(|jail| {
            let origins = |text: &str| text.parse::<WebOrigins>().expect(text);
            let load = |flags: &Overrides| Config::load(Some(Path::new("annals.toml")), flags).expect("valid").rpc.web_origins;
            jail.create_file("annals.toml", "[rpc]\nweb_origins = [\"http://a\", \"http://b\"]\n")?;
            assert_eq!(load(&Overrides::default()), origins("http://a,http://b"));
            jail.set_env("ANNALS_RPC__WEB_ORIGINS", "http://c,http://d:1");
            assert_eq!(load(&Overrides::default()), origins("http://c,http://d:1"));
            let rpc = RpcOverrides { web_origins: Some(origins("*")), ..RpcOverrides::default() };
            assert_eq!(load(&Overrides { rpc, ..Overrides::default() }), origins("*"));
            Ok(())
        });
    }

    fn check_refused(file: &str, part: &str) {
        Jail::expect_with(|jail| {
            jail.create_file("annals.toml", file)?;
            let error = Config::load(Some(Path::new("annals.toml")), &Overrides::default()).expect_err(file);
            assert!(error.contains(part), "{file}: {error}");
            Ok(())
        });
    }

    #[test]
    fn unknown_keys_and_values_out_of_bounds_are_refused_by_name() {
        check_refused("listne = \"127.0.0.1:1\"", "listne");
        check_refused("[rpc]\ncals_max = 1", "cals_max");
        check_refused("cache = \"much\"", "256MiB");
        check_refused("cache = \"1MiB\"", "at least 16MiB");
        check_refused("[rpc]\ncall_time_max = \"5\"", "500ms");
        check_refused("[rpc]\ncall_time_max = \"5m\"", "rpc.answer_time_max");
        check_refused("[rpc]\ncalls_max = 0", "rpc.calls_max");
        check_refused("[rpc]\nweb_origins = [\"localhost:3000\"]", "no origin");
    }

    #[test]
    fn a_missing_file_is_an_error() {
        Jail::expect_with(|_| {
            assert!(Config::load(Some(Path::new("nowhere.toml")), &Overrides::default()).is_err());
            Ok(())
        });
    }

    #[test]
    fn every_field_can_be_set_by_the_environment() {
        let fields = serde_json::to_value(Config::default()).expect("serializable");
        for key in fields.as_object().expect("a table").keys() {
            assert!(key == "rpc" || is_key(&key.to_uppercase()), "{key}");
        }
    }

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (text, bytes) in [("0B", 0), ("1B", 1), ("1KiB", 1024), ("1536B", 1536), ("256MiB", 256 << 20), ("3TiB", 3 << 40)] {
            assert_eq!(text.parse(), Ok(Size(bytes)));
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!("100 mib".parse(), Ok(Size(100 << 20)));
        for nonsense in ["", "MiB", "1 MB", "-1", "1.5GiB", "99999999TiB"] {
            assert!(nonsense.parse::<Size>().is_err(), "{nonsense}");
        }
    }
}
