//! The options of `annals serve`, in one list. [`ServeOptions`] defines the arguments, the keys of the file, the variables of
//! the environment, the help text and docs/options.md.
//!
//! An argument takes precedence over the environment, the environment over the file, and the file over the default. The table
//! `[rpc]` of the file is [`ServerOptions`]. A variable is `ANNALS_` and the key in upper case, with `__` before a key of the
//! table: `ANNALS_CACHE=1GiB`, `ANNALS_RPC__CALLS_MAX=512`.
//!
//! Must not know what an option is used for.

use std::{
    collections::BTreeSet,
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
    sync::LazyLock,
    time::Duration,
};

use clap::{ArgMatches, Args, Command, FromArgMatches, parser::ValueSource};
use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
    value::Value,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    limits::StoreLimits,
    rpc::{ServerOptions, WebOrigins, duration},
};

/// The prefix of every variable.
const PREFIX: &str = "ANNALS_";

/// Variables that other code reads: the commands that call a server, and the argument for the path of the file.
const OTHER_VARIABLES: [&str; 2] = ["SERVER", "CONFIG"];

/// The key of the one argument whose value is checked after all arguments are parsed, because the argument may be repeated.
const WEB_ORIGINS: &str = "rpc.web_origins";

/// The least memory for cached pages. The comment of the option says it too.
const CACHE_MIN: ByteSize = ByteSize(16 << 20);

/// The least length of a file of the log. The comment of the option says it too.
const SEGMENT_MIN: ByteSize = ByteSize(16 << 10);

/// The least number of bytes that a client may send on one call before the server has read them.
const STREAM_WINDOW_BYTES_MIN: u32 = 64 << 10;

/// The lengths of a frame that HTTP/2 allows, in bytes.
const FRAME_BYTES: RangeInclusive<u32> = 16 << 10..=(1 << 24) - 1;

/// The default of `--drain`, as a text.
static DRAIN_TIME_MAX: LazyLock<String> = LazyLock::new(|| duration::format(ServerOptions::default().drain_time_max));

/// Every option of `annals serve`. The comment of a field is its help text; its default is stated once, in its attribute.
#[derive(Clone, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::doc_markdown)] // People read the comments as help texts, where a backtick would be in the way.
pub struct ServeOptions {
    /// The data folder. It is created if it is missing.
    #[arg(long, value_name = "DIR", default_value = "./annals-data")]
    pub data: PathBuf,
    /// Keep everything in memory and nothing on disk. All records are lost when the server stops.
    #[arg(long, conflicts_with = "data")]
    pub in_memory: bool,
    /// The address and port to listen on. Port 0 takes a free port.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50051")]
    pub listen: String,
    /// Allow an address that other machines can reach, although this version has no authentication.
    #[arg(long)]
    pub insecure: bool,
    /// Memory for cached pages of the state. At least 16MiB.
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub cache: ByteSize,
    /// The length of one file of the log. At least 16KiB.
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    pub segment: ByteSize,
    /// Writes stop when the disk has less free space than this, or than 5 % of the disk if that is less.
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    pub disk_reserve: ByteSize,
    /// Threads that serve the network. 0 means one per core.
    #[arg(long, value_name = "COUNT", default_value = "0")]
    pub threads: usize,
    /// What is logged: error, warn, info, debug, or a filter such as annals::rpc=debug,info.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// The format of the log.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Limits and times of the server.
    #[arg(skip)]
    pub rpc: ServerOptions,
}

/// The options of the table `[rpc]` that have an argument of their own. Their defaults are those of [`ServerOptions`].
#[derive(Clone, Debug, Args, Serialize)]
#[allow(clippy::doc_markdown)]
struct RpcArguments {
    /// How long calls in progress may take to finish at a graceful shutdown.
    #[arg(
        id = "rpc.drain_time_max",
        long = "drain",
        value_name = "TIME",
        value_parser = duration::parse,
        default_value = DRAIN_TIME_MAX.as_str()
    )]
    #[serde(with = "duration")]
    drain_time_max: Duration,
    /// An origin whose web pages may call the server, such as http://localhost:3000. Repeat the option for more origins;
    /// "*" allows all [default: none].
    #[arg(id = WEB_ORIGINS, long = "web-origin", value_name = "ORIGIN")]
    web_origins: Vec<String>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The options that were given as arguments, by key.
#[derive(Clone, Debug, Default)]
pub struct ServeArguments {
    given: Vec<(String, Value)>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        let matches = Self::augment_args(Command::new("serve")).get_matches_from(["serve"]);
        Self::from_arg_matches(&matches).expect("every option has a default")
    }
}

impl Args for ServeArguments {
    fn augment_args(command: Command) -> Command {
        RpcArguments::augment_args(ServeOptions::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let serialized = |result: Result<Value, figment::Error>| {
            result.map_err(|error| clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{error}\n")))
        };
        let options = serialized(Value::serialize(ServeOptions::from_arg_matches(matches)?))?;
        let rpc = serialized(Value::serialize(RpcArguments::from_arg_matches(matches)?))?;
        let mut given = Vec::new();
        for key in matches.ids().map(clap::Id::as_str) {
            let value = match key.strip_prefix("rpc.") {
                Some(key) => rpc.find_ref(key),
                None => options.find_ref(key),
            };
            if let (Some(ValueSource::CommandLine), Some(value)) = (matches.value_source(key), value) {
                given.push((key.to_owned(), value.clone()));
            }
        }
        Ok(Self { given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl ServeOptions {
    /// The effective options: arguments before environment before file before defaults. Errors name the key and where it was
    /// set.
    pub fn load(file: Option<&Path>, arguments: &ServeArguments) -> Result<Self, String> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            figment = figment.merge(Toml::file_exact(file));
        }
        let keys = keys();
        figment = figment.merge(Env::prefixed(PREFIX).filter(move |key| is_key(&keys, key.as_str())).split("__"));
        for (key, value) in &arguments.given {
            if key == WEB_ORIGINS {
                value.deserialize::<WebOrigins>().map_err(|error| format!("--web-origin: {error}"))?;
            }
            figment = figment.merge(Serialized::default(key, value));
        }
        let mut options: Self = figment
            .extract()
            .map_err(|errors| errors.into_iter().map(|error| error.to_string()).collect::<Vec<_>>().join("; "))?;
        // A folder named as an argument is used, even if the file or the environment sets in_memory.
        options.in_memory &= !arguments.given.iter().any(|(key, _)| key == "data");
        options.check()?;
        Ok(options)
    }

    /// Variables that begin with the prefix and set nothing: a typing error, or another program's variable. They are not an
    /// error, because Kubernetes sets such variables for a service named annals.
    pub fn ignored_variables() -> Vec<String> {
        let keys = keys();
        std::env::vars_os()
            .filter_map(|(name, _)| name.into_string().ok())
            .filter(|name| name.strip_prefix(PREFIX).is_some_and(|key| !is_key(&keys, key) && !OTHER_VARIABLES.contains(&key)))
            .collect()
    }

    fn check(&self) -> Result<(), String> {
        let rpc = &self.rpc;
        let request_bytes = StoreLimits::default().request_bytes;
        let (frame_min, frame_max) = FRAME_BYTES.into_inner();
        let bounds = [
            (self.cache >= CACHE_MIN, format!("cache must be at least {CACHE_MIN}")),
            (self.segment >= SEGMENT_MIN, format!("segment must be at least {SEGMENT_MIN}")),
            (
                rpc.calls_max > 0 && rpc.calls_per_connection_max > 0,
                "rpc.calls_max and rpc.calls_per_connection_max must be at least 1".to_owned(),
            ),
            (rpc.connections_max > 0, "rpc.connections_max must be at least 1".to_owned()),
            (
                rpc.decode_bytes_max as u64 >= request_bytes,
                format!("rpc.decode_bytes_max must be at least {request_bytes}, the largest request that is accepted"),
            ),
            (
                rpc.bytes_max >= rpc.bytes_per_connection_max && rpc.bytes_per_connection_max >= rpc.decode_bytes_max,
                "rpc.bytes_max must be at least rpc.bytes_per_connection_max, and that at least rpc.decode_bytes_max"
                    .to_owned(),
            ),
            (rpc.answer_time_max >= rpc.call_time_max, "rpc.answer_time_max must be at least rpc.call_time_max".to_owned()),
            (
                !rpc.call_time_max.is_zero() && !rpc.keepalive_interval.is_zero(),
                "rpc.call_time_max and rpc.keepalive_interval must be more than zero".to_owned(),
            ),
            (
                FRAME_BYTES.contains(&rpc.frame_bytes_max),
                format!("rpc.frame_bytes_max must be {frame_min} to {frame_max}, the range of HTTP/2"),
            ),
            (
                rpc.stream_window_bytes >= STREAM_WINDOW_BYTES_MIN,
                format!("rpc.stream_window_bytes must be at least {STREAM_WINDOW_BYTES_MIN}"),
            ),
            (
                rpc.connection_window_bytes >= rpc.stream_window_bytes,
                "rpc.connection_window_bytes must be at least rpc.stream_window_bytes".to_owned(),
            ),
        ];
        let broken: Vec<_> = bounds.into_iter().filter(|(holds, _)| !holds).map(|(_, bound)| bound).collect();
        if broken.is_empty() { Ok(()) } else { Err(broken.join("; ")) }
    }
}

/// The keys of the options.
fn keys() -> BTreeSet<String> {
    let options = Value::serialize(ServeOptions::default()).ok().and_then(Value::into_dict);
    options.into_iter().flatten().map(|(key, _)| key).collect()
}

/// Whether a variable's name, without the prefix, is a key.
fn is_key(keys: &BTreeSet<String>, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("rpc__") || name != "rpc" && keys.contains(&name)
}

/// A number of bytes, written with a unit: `64MiB`, `1GiB`, `500000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for ByteSize {
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

impl fmt::Display for ByteSize {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(to, "{}{unit}", self.0 / factor),
            None => write!(to, "{}B", self.0),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
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

    /// The arguments that `annals serve` parses from these texts.
    fn given(arguments: &[&str]) -> ServeArguments {
        let command = ServeArguments::augment_args(Command::new("serve").no_binary_name(true));
        ServeArguments::from_arg_matches(&command.get_matches_from(arguments)).expect("valid")
    }

    #[test]
    fn flags_win_over_the_environment_over_the_file_over_defaults() {
        Jail::expect_with(|jail| {
            jail.create_file("annals.toml", "listen = \"127.0.0.1:1\"\ncache = \"1GiB\"\nthreads = 3\n[rpc]\ncalls_max = 7\n")?;
            jail.clear_env();
            jail.set_env("ANNALS_CACHE", "512MiB");
            jail.set_env("ANNALS_THREADS", "5");
            jail.set_env("ANNALS_RPC__CALL_TIME_MAX", "5s");
            jail.set_env("ANNALS_SERVER", "http://elsewhere:1");
            jail.set_env("ANNALS_PORT_50051_TCP_ADDR", "10.0.0.1");
            let config = ServeOptions::load(Some(Path::new("annals.toml")), &given(&["--threads", "6"])).expect("valid");
            assert_eq!(config.listen, "127.0.0.1:1");
            assert_eq!(config.cache, ByteSize(512 << 20));
            assert_eq!(config.threads, 6);
            assert_eq!((config.rpc.calls_max, config.rpc.call_time_max), (7, Duration::from_secs(5)));
            assert_eq!(config.segment, ServeOptions::default().segment);
            assert_eq!(ServeOptions::ignored_variables(), ["ANNALS_PORT_50051_TCP_ADDR"]);
            Ok(())
        });
    }

    #[test]
    fn origins_of_pages_can_be_set_everywhere_and_the_nearest_place_wins_with_all_of_its_own() {
        Jail::expect_with(|jail| {
            let origins = |text: &str| text.parse::<WebOrigins>().expect(text);
            let load = |arguments: &[&str]| {
                ServeOptions::load(Some(Path::new("annals.toml")), &given(arguments)).expect("valid").rpc.web_origins
            };
            jail.create_file("annals.toml", "[rpc]\nweb_origins = [\"http://a\", \"http://b\"]\n")?;
            assert_eq!(load(&[]), origins("http://a,http://b"));
            jail.set_env("ANNALS_RPC__WEB_ORIGINS", "http://c,http://d:1");
            assert_eq!(load(&[]), origins("http://c,http://d:1"));
            assert_eq!(load(&["--web-origin", "*"]), origins("*"));
            assert_eq!(load(&["--web-origin", "http://e", "--web-origin", "http://f"]), origins("http://e,http://f"));
            Ok(())
        });
    }

    fn check_refused(file: &str, part: &str) {
        Jail::expect_with(|jail| {
            jail.create_file("annals.toml", file)?;
            let error = ServeOptions::load(Some(Path::new("annals.toml")), &ServeArguments::default()).expect_err(file);
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
        check_refused("segment = 16383", "at least 16KiB");
        check_refused("[rpc]\ndecode_bytes_max = 4194303", "at least 4194304");
        check_refused("[rpc]\nframe_bytes_max = 16777216", "16384 to 16777215");
        check_refused("[rpc]\nstream_window_bytes = 65535", "at least 65536");
        check_refused("[rpc]\nweb_origins = [\"localhost:3000\"]", "not an origin");
    }

    #[test]
    fn a_missing_file_is_an_error() {
        Jail::expect_with(|_| {
            assert!(ServeOptions::load(Some(Path::new("nowhere.toml")), &ServeArguments::default()).is_err());
            Ok(())
        });
    }

    #[test]
    fn a_wrong_value_says_where_it_was_set_and_an_argument_is_named() {
        Jail::expect_with(|jail| {
            jail.set_env("ANNALS_THREADS", "many");
            let error = ServeOptions::load(None, &ServeArguments::default()).expect_err("no number");
            assert!(error.contains("THREADS") && error.contains("environment"), "{error}");
            jail.set_env("ANNALS_THREADS", "1");
            let error = ServeOptions::load(None, &given(&["--web-origin", "nowhere"])).expect_err("no origin");
            assert!(error.starts_with("--web-origin: ") && error.contains("\"nowhere\" is not an origin"), "{error}");
            Ok(())
        });
    }

    #[test]
    fn a_folder_that_is_an_argument_is_used_whatever_the_environment_says() {
        Jail::expect_with(|jail| {
            jail.set_env("ANNALS_IN_MEMORY", "true");
            assert!(ServeOptions::load(None, &ServeArguments::default()).expect("valid").in_memory);
            let options = ServeOptions::load(None, &given(&["--data", "there"])).expect("valid");
            assert_eq!((options.in_memory, options.data), (false, "there".into()));
            Ok(())
        });
    }

    #[test]
    fn every_key_has_an_argument_and_arguments_show_the_defaults() {
        let command = ServeArguments::augment_args(Command::new("serve"));
        let arguments: BTreeSet<_> = command.get_arguments().map(|argument| argument.get_id().as_str().to_owned()).collect();
        assert!(keys().iter().all(|key| key == "rpc" || arguments.contains(key)));
        let matches = command.get_matches_from(["serve"]);
        let rpc = RpcArguments::from_arg_matches(&matches).expect("every option has a default");
        assert_eq!(rpc.drain_time_max, ServerOptions::default().drain_time_max);
        assert!(rpc.web_origins.is_empty() && ServerOptions::default().web_origins == WebOrigins::default());
        assert!(ServeArguments::from_arg_matches(&matches).expect("valid").given.is_empty());
    }

    /// The page with the table of options, and the lines around the table.
    const PAGE: &str = "docs/options.md";
    const BEGIN: &str = "<!-- options: begin (made by a test: ANNALS_UPDATE=1 cargo test --lib options_of_the_page) -->\n";
    const END: &str = "<!-- options: end -->";

    /// The fields of a struct, each with its comment on one line.
    fn fields(source: &str, name: &str) -> Vec<(String, String)> {
        let from = source.find(&format!("pub struct {name} {{")).expect("the struct");
        let (mut fields, mut comment) = (Vec::new(), Vec::new());
        for line in source[from..].lines().skip(1).map(str::trim).take_while(|line| *line != "}") {
            if let Some(text) = line.strip_prefix("/// ") {
                comment.push(text);
            } else if let Some((field, _)) = line.strip_prefix("pub ").and_then(|field| field.split_once(": ")) {
                fields.push((field.to_owned(), std::mem::take(&mut comment).join(" ")));
            }
        }
        fields
    }

    #[test]
    fn the_help_says_what_the_checks_and_the_options_of_the_server_say() {
        let command = ServeArguments::augment_args(Command::new("serve"));
        let help = |key| {
            let argument = command.get_arguments().find(|argument| argument.get_id() == key).expect("an argument");
            format!("{}.", argument.get_help().expect("its help"))
        };
        for (key, least) in [("cache", CACHE_MIN), ("segment", SEGMENT_MIN)] {
            assert!(help(key).ends_with(&format!("At least {least}.")), "{key}");
        }
        let drain = fields(include_str!("rpc/options.rs"), "ServerOptions").pop().expect("the last option");
        assert_eq!(drain, ("drain_time_max".to_owned(), help("rpc.drain_time_max")));
    }

    /// The tables of docs/options.md, made from the structs.
    fn tables() -> String {
        let command = ServeArguments::augment_args(Command::new("serve"));
        let default = serde_json::to_value(ServeOptions::default()).expect("serializable");
        let table = |prefix: &str, source: &str, name: &str| {
            let mut text = "| Key | Argument | Default | Meaning |\n|--|--|--|--|\n".to_owned();
            for (field, meaning) in fields(source, name).into_iter().filter(|(field, _)| field != "rpc") {
                let key = format!("{prefix}{field}");
                let argument = command.get_arguments().find(|argument| argument.get_id().as_str() == key);
                let flag = argument.and_then(clap::Arg::get_long).map(|long| format!("`--{long}`")).unwrap_or_default();
                let default = default.pointer(&format!("/{}", key.replace('.', "/"))).expect("a default");
                let default = match default {
                    serde_json::Value::Bool(false) => "off".to_owned(),
                    serde_json::Value::Array(none) if none.is_empty() => "none".to_owned(),
                    serde_json::Value::String(text) if text.is_empty() => "none".to_owned(),
                    serde_json::Value::String(text) => format!("`{text}`"),
                    value => value.to_string(),
                };
                text.extend([format!("| `{key}` | {flag} | {default} | {meaning} |\n")]);
            }
            text
        };
        let serve = table("", include_str!("config.rs"), "ServeOptions");
        let rpc = table("rpc.", include_str!("rpc/options.rs"), "ServerOptions");
        format!("\n{serve}\nThe table `[rpc]` of the file:\n\n{rpc}\n")
    }

    #[test]
    fn the_options_of_the_page_are_those_of_the_structs() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
        let page = std::fs::read_to_string(&path).expect("the page");
        let (begin, end) = (page.find(BEGIN).expect("where it begins") + BEGIN.len(), page.find(END).expect("where it ends"));
        let wanted = format!("{}{}{}", &page[..begin], tables(), &page[end..]);
        if std::env::var_os("ANNALS_UPDATE").is_some() {
            std::fs::write(path, wanted).expect("written");
        } else {
            assert_eq!(page, wanted, "{PAGE} is stale: ANNALS_UPDATE=1 cargo test --lib options_of_the_page");
        }
    }

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (text, bytes) in [("0B", 0), ("1B", 1), ("1KiB", 1024), ("1536B", 1536), ("256MiB", 256 << 20), ("3TiB", 3 << 40)] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)));
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
        assert_eq!("100 mib".parse(), Ok(ByteSize(100 << 20)));
        for nonsense in ["", "MiB", "1 MB", "-1", "1.5GiB", "99999999TiB"] {
            assert!(nonsense.parse::<ByteSize>().is_err(), "{nonsense}");
        }
    }
}
