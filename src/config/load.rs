//! The sources of settings, and the errors of invalid ones.
//!
//! A file comes first: `file.rs`. Variables are laid over it one at a time, so a fault can only be its own.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use pleach_wire::Key;
use serde::Deserialize;
use serde_json::Value;

use super::variables::{self, Meaning};
use super::{Config, file};
use crate::error::{Error, Result};

impl Config {
    /// Reads the settings of this program.
    ///
    /// Later ones go before earlier ones:
    /// 1. the defaults,
    /// 2. `pleach.toml` in the current directory, if there is one; or the file that `PLEACH_CONFIG`
    ///    names, which must exist,
    /// 3. the environment: `PLEACH_TRANSPORT`, `PLEACH_MAX_FRAME`, and so on for each field.
    ///
    /// # Errors
    /// [`Error::Config`], for a file that can't be read, a key that is not a setting, a `PLEACH_` variable that is
    /// nearly one, and a value that can't be used. It names the file and the line, or the variable, and what is allowed
    /// there. Other `PLEACH_` variables are left alone: Kubernetes makes some of the names of services. In a build
    /// without the feature `toml`, a file is an error.
    ///
    /// A `pleach.toml` in the current directory that belongs to another user (root excepted), or that others may
    /// write to, is refused, as `ssh` does. A file that `PLEACH_CONFIG` names was chosen, and is read.
    pub fn load() -> Result<Self> {
        let mut variables = Vec::new();
        for (name, value) in std::env::vars_os() {
            if let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) {
                variables.push((name.to_owned(), value));
            }
        }
        Self::load_from(Path::new(""), variables, &crate::transports::known())
    }

    /// Loads from files below `directory` and from `variables` only.
    fn load_from(
        directory: &Path,
        variables: impl IntoIterator<Item = (String, OsString)>,
        known: &[Key],
    ) -> Result<Self> {
        let (mut named_file, mut settings) = (None, Vec::new());
        for (name, value) in variables {
            match name.strip_prefix(PREFIX) {
                Some("CONFIG") => named_file = Some(directory.join(value)),
                Some("LOG") | None => {}
                Some(field) => settings.extend(setting(&field.to_ascii_lowercase(), name, value)?),
            }
        }
        let mut config = file::load(directory, named_file, |field, name| check_name(field, name, known))?;
        for (field, name, value) in settings {
            config =
                config.with_variable(&field, &value, known).map_err(|why| Error::Config(format!("{name}: {why}")))?;
        }
        config.check_pair(known)?;
        config.check_patience()?;
        Ok(config)
    }

    fn with_variable(&self, field: &str, text: &str, known: &[Key]) -> Result<Self, String> {
        let mut settings = serde_json::to_value(self).map_err(|error| error.to_string())?;
        // Every type of setting can be read from text.
        settings[field] = Value::String(text.to_owned());
        let config = Self::deserialize(settings).map_err(|error| error.to_string())?;
        if matches!(field, "transport" | "codec") {
            check_name(field, text, known)?;
        }
        Ok(config)
    }

    /// Checks that the transport and the codec, each known by itself, go together.
    fn check_pair(&self, known: &[Key]) -> Result<()> {
        let key = Key::new(&self.codec, &self.transport);
        if known.contains(&key) {
            return Ok(());
        }
        let pairs = list(known.iter().map(Key::to_string));
        Err(Error::Config(format!("there is no transport `{key}` (codec+protocol); there are {pairs}")))
    }
}

/// Returns the field, the variable and its value, if it is that of a setting.
fn setting(field: &str, name: String, value: OsString) -> Result<Option<(String, String, String)>> {
    match variables::meaning::<Config>(field) {
        Meaning::Setting => match value.into_string() {
            Ok(value) => Ok(Some((field.to_owned(), name, value))),
            Err(_) => Err(Error::Config(format!("{name}: it is not UTF-8"))),
        },
        Meaning::Misspelt(meant) => {
            let meant = format!("{PREFIX}{}", meant.to_ascii_uppercase());
            Err(Error::Config(format!("{name}: there is no such setting; did you mean {meant}?")))
        }
        Meaning::Foreign => {
            debug!(target: "pleach::runtime", name, "not a setting, and left alone");
            Ok(None)
        }
    }
}

const PREFIX: &str = "PLEACH_";

fn check_name(field: &str, name: &str, known: &[Key]) -> Result<(), String> {
    let part = |key: &Key| if field == "codec" { key.codec.clone() } else { key.protocol.clone() };
    if known.iter().any(|key| part(key) == name) {
        return Ok(());
    }
    let feature = FEATURES.iter().find(|(transport, _)| field == "transport" && *transport == name);
    let missing = feature.map(|(_, feature)| format!(" in this build: it needs the feature `{feature}` of pleach"));
    let there_are = list(known.iter().map(part));
    Err(format!("unknown {field} `{name}`{}; there are {there_are}", missing.unwrap_or_default()))
}

/// The transports that a build may lack, and the features that bring them.
const FEATURES: [(&str, &str); 5] =
    [("tcp", "tcp"), ("tls+tcp", "tls"), ("uds", "uds"), ("quic", "quic"), ("shm", "shm")];

fn list(names: impl Iterator<Item = String>) -> String {
    names.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[cfg(all(feature = "toml", feature = "uds"))]
mod tests {
    use std::time::Duration;

    use pleach_wire::{Format, Payload};

    use super::*;
    use crate::config::ChildOutput;
    use crate::telemetry::LogFormat;

    fn known() -> Vec<Key> {
        let pairs = [("msgpack", "uds"), ("msgpack", "tcp"), ("json", "uds"), ("json", "tcp"), ("tractor", "tcp")];
        pairs.map(|(codec, protocol)| Key::new(codec, protocol)).to_vec()
    }

    /// Loads with `text` as the file, and `variables` as the environment.
    fn load(text: Option<&str>, variables: &[(&str, &str)]) -> Result<Config> {
        let directory = tempfile::tempdir().unwrap();
        if let Some(text) = text {
            std::fs::write(directory.path().join("pleach.toml"), text).unwrap();
        }
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(*value)));
        Config::load_from(directory.path(), variables, &known())
    }

    /// Returns the message of the fault, without the directory.
    fn fault(text: Option<&str>, variables: &[(&str, &str)]) -> String {
        let message = load(text, variables).unwrap_err().to_string();
        match message.find("pleach.toml") {
            Some(at) => message[at..].to_owned(),
            None => message.trim_start_matches("configuration: ").to_owned(),
        }
    }

    #[test]
    fn without_sources_there_are_the_defaults() {
        assert_eq!(load(None, &[("PATH", "/bin"), ("PLEACH_LOG", "debug")]).unwrap(), Config::default());
    }

    #[test]
    fn the_environment_overrides_the_file_and_the_file_the_defaults() {
        let text = "transport = \"tcp\"\ncancel_ack = 250\npeers = \"1m\"\nmax_frame = \"1MiB\"\nmulti_thread = true\n";
        let variables = [
            ("PLEACH_PEERS", "2s"),
            ("PLEACH_DRAIN", "20"),
            ("PLEACH_MAX_FRAME", "4096"),
            ("PLEACH_MAX_CONNECTIONS", "7"),
            ("PLEACH_MULTI_THREAD", "false"),
            ("PLEACH_ALLOW_NON_LOOPBACK", "true"),
            ("PLEACH_SOCKET_DIR", "42"),
            ("PLEACH_LISTEN", "quic://0.0.0.0:1616, uds:///run/a.sock"),
            ("PLEACH_HOSTS", "ssh:a*2,local"),
            ("PLEACH_KEY_FILE", "/etc/tree.key"),
            ("PLEACH_CERTIFICATES", "certs"),
            ("PLEACH_LOG_LEVEL", "info"),
            ("PLEACH_LOG_FORMAT", "json"),
            ("PLEACH_STDOUT", "relay"),
            ("PLEACH_STDERR", "null"),
        ];
        let expected = Config {
            transport: "tcp".into(),
            cancel_ack: Duration::from_millis(250),
            peers: Duration::from_secs(2),
            drain: Duration::from_millis(20),
            max_frame: 4096,
            max_connections: 7,
            multi_thread: false,
            allow_non_loopback: true,
            listen: ["quic://0.0.0.0:1616", "uds:///run/a.sock"].map(|at| at.parse().unwrap()).to_vec(),
            socket_dir: Some("42".into()),
            hosts: "ssh:a*2,local*1".parse().unwrap(),
            key_file: Some("/etc/tree.key".into()),
            certificates: Some("certs".into()),
            log_level: Some("info".into()),
            log_format: LogFormat::Json,
            stdout: ChildOutput::Relay,
            stderr: ChildOutput::Null,
            ..Config::default()
        };
        assert_eq!(load(Some(text), &variables).unwrap(), expected);
    }

    #[test]
    fn a_named_file_replaces_the_usual_one_and_must_exist() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("pleach.toml"), "nonsense").unwrap();
        std::fs::write(directory.path().join("other.toml"), "codec = \"json\"").unwrap();
        let load = |file: &str| {
            Config::load_from(directory.path(), [("PLEACH_CONFIG".to_owned(), OsString::from(file))], &known())
        };
        assert_eq!(load("other.toml").unwrap().codec, "json");
        let message = load("missing.toml").unwrap_err().to_string();
        assert!(message.contains("missing.toml (PLEACH_CONFIG names it): No such file"), "{message}");
    }

    #[test]
    fn a_fault_in_the_file_names_the_line_and_what_is_allowed() {
        let unknown = fault(Some("codec = \"json\"\ntransprt = \"tcp\"\n"), &[]);
        assert!(unknown.starts_with("pleach.toml: TOML parse error at line 2, column 1"), "{unknown}");
        assert!(unknown.contains("unknown field `transprt`, expected one of `transport`, `codec`, "), "{unknown}");

        let wrong = fault(Some("\n\npeers = \"soon\"\n"), &[]);
        assert!(wrong.contains("line 3, column 9") && wrong.contains("expected a duration like \"500ms\""), "{wrong}");

        let zero = fault(Some("dial = 0\n"), &[]);
        assert!(zero.contains("line 1") && zero.contains("zero would give up at once"), "{zero}");

        let host = fault(Some("\n[[hosts]]\non = \"node2\"\n"), &[]);
        assert!(host.contains("line 2") && host.contains("`node2` is not a valid host"), "{host}");

        let format = fault(Some("# ours\nlog_format = \"jsn\"\n"), &[]);
        assert!(format.contains("line 2") && format.contains("`jsn`, expected `text` or `json`"), "{format}");

        let name = fault(Some("# ours\ntransport = \"udp\"\n"), &[]);
        assert_eq!(name, "pleach.toml: line 2: unknown transport `udp`; there are tcp, uds");

        let lacking = fault(Some("transport = \"tls+tcp\"\n"), &[]);
        assert!(
            lacking.contains("`tls+tcp` in this build: it needs the feature `tls` of pleach; there are"),
            "{lacking}"
        );
    }

    #[test]
    fn what_the_user_did_not_choose_is_left_alone() {
        let links = [
            ("PLEACH_PORT", "tcp://10.3.240.1:1616"),
            ("PLEACH_PORT_1616_TCP_ADDR", "10.3.240.1"),
            ("PLEACH_REGISTRY_SERVICE_HOST", "10.3.240.2"),
            ("PLEACH_REGISTRY_PORT", "tcp://10.3.240.2:1616"),
            ("PLEACH_VERSION", "3"),
        ];
        assert_eq!(load(None, &links).unwrap(), Config::default());
    }

    #[test]
    fn a_file_that_others_can_write_is_refused_unless_it_is_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pleach.toml");
        std::fs::write(&path, "codec = \"json\"").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o646)).unwrap();
        let refused = Config::load_from(directory.path(), [], &known()).unwrap_err().to_string();
        assert!(refused.contains("pleach.toml: others may write to it (mode 0646)"), "{refused}");
        let named = [("PLEACH_CONFIG".to_owned(), OsString::from("pleach.toml"))];
        assert_eq!(Config::load_from(directory.path(), named, &known()).unwrap().codec, "json");
    }

    #[test]
    fn a_fault_in_the_environment_names_the_variable_and_what_is_allowed() {
        let unknown = fault(None, &[("PLEACH_TRANSPRT", "tcp")]);
        assert_eq!(unknown, "PLEACH_TRANSPRT: there is no such setting; did you mean PLEACH_TRANSPORT?");
        assert_eq!(
            fault(None, &[("PLEACH_HOSTS", "node2")]),
            "PLEACH_HOSTS: `node2` is not a valid host; use `local`, `ssh:user@node2`, `slurm` or `slurm:partition`",
        );
        assert_eq!(
            fault(None, &[("PLEACH_CODEC", "xml")]),
            "PLEACH_CODEC: unknown codec `xml`; there are json, msgpack, tractor",
        );
        assert_eq!(
            fault(None, &[("PLEACH_MAX_TASKS", "many")]),
            "PLEACH_MAX_TASKS: invalid value: string \"many\", expected a whole number",
        );
        assert_eq!(
            fault(None, &[("PLEACH_LOG_FORMAT", "jsn")]),
            "PLEACH_LOG_FORMAT: unknown variant `jsn`, expected `text` or `json`",
        );
        assert_eq!(
            fault(None, &[("PLEACH_MULTI_THREAD", "yes")]),
            "PLEACH_MULTI_THREAD: invalid value: string \"yes\", expected true or false",
        );
        assert_eq!(
            fault(None, &[("PLEACH_MAX_FRAME", "8GiB")]),
            "PLEACH_MAX_FRAME: 8589934592 bytes is out of range; it must be between 1KiB and 4GiB - 1",
        );
    }

    #[test]
    fn where_names_are_kept_is_read_from_both_sources() {
        let text = "registry = [\"tcp://10.9.0.1:1616\", \"/ip4/127.0.0.1/tcp/1616\"]\nensure_registry = true\n\
                    deregister = \"2s\"\nroot_name = \"service\"\nkey_file = \"tree.key\"\n";
        let told = load(Some(text), &[]).unwrap();
        let addresses = ["tcp://10.9.0.1:1616", "tcp://127.0.0.1:1616"].map(|at| at.parse().unwrap());
        assert_eq!(told.registry, addresses, "a URI and a multiaddr");
        assert_eq!((told.ensure_registry, told.deregister), (true, Duration::from_secs(2)));
        assert_eq!((&*told.root_name, told.key_file), ("service", Some("tree.key".into())));
        let variables = [
            ("PLEACH_REGISTRY", "quic://gate.example:1616,uds:///run/registry.sock"),
            ("PLEACH_ENSURE_REGISTRY", "false"),
            ("PLEACH_DEREGISTER", "0"),
            ("PLEACH_ROOT_NAME", "guest"),
        ];
        let told = load(Some(text), &variables).unwrap();
        let addresses = ["quic://gate.example:1616", "uds:///run/registry.sock"].map(|at| at.parse().unwrap());
        assert_eq!(told.registry, addresses);
        assert_eq!((told.ensure_registry, told.deregister), (false, Duration::ZERO));
        assert_eq!(told.root_name, "guest");
    }

    #[test]
    fn what_is_wrong_with_where_names_are_kept_is_said() {
        let lines = [
            ("registry = [\"10.9.0.1:1616\"]", "10.9.0.1:1616"),
            ("registry = 1616", "expected a list of addresses, or one text with commas between them"),
            ("ensure_registry = 1", "expected true or false"),
            ("deregister = \"soon\"", "expected a duration like"),
            ("root_name = 7", "expected a string"),
            ("key_file = false", "expected path string"),
            ("certificates = [\"a.pem\"]", "expected path string"),
        ];
        for (line, why) in lines {
            let message = fault(Some(&format!("# ours\n{line}\n")), &[]);
            assert!(message.contains("line 2") && message.contains(why), "{message}");
        }
        for (variable, value, why) in [
            ("PLEACH_REGISTRY", "gate:1616", "gate:1616"),
            ("PLEACH_ENSURE_REGISTRY", "yes", "expected true or false"),
            ("PLEACH_DEREGISTER", "soon", "expected a duration like"),
        ] {
            let message = fault(None, &[(variable, value)]);
            assert!(message.starts_with(&format!("{variable}: ")) && message.contains(why), "{message}");
        }
    }

    #[test]
    fn a_codec_must_go_with_its_transport() {
        let tractor = [("PLEACH_CODEC", "tractor"), ("PLEACH_TRANSPORT", "tcp")];
        assert!(load(None, &tractor).is_ok(), "in whichever order they come");
        let message = fault(Some("transport = \"uds\""), &tractor[..1]);
        assert!(
            message.starts_with("there is no transport `tractor+uds` (codec+protocol); there are json+tcp,"),
            "{message}"
        );
    }

    #[test]
    fn it_crosses_processes_unchanged() {
        let config = Config {
            dial: Duration::new(1, 1),
            peers: Duration::MAX,
            socket_dir: Some("/run/x".into()),
            advertise: vec!["tcp://gate.example:7".parse().unwrap()],
            allow_non_loopback: true,
            ..Config::default()
        };
        for bytes in [rmp_serde::to_vec(&config), rmp_serde::to_vec_named(&config)] {
            assert_eq!(rmp_serde::from_slice::<Config>(&bytes.unwrap()).unwrap(), config);
        }
        for format in [Format::Msgpack, Format::Json] {
            assert_eq!(Payload::of(format, &config).unwrap().decode::<Config>().unwrap(), config);
        }
        let short = Config { peers: Duration::from_secs(9), ..config };
        assert_eq!(toml::from_str::<Config>(&toml::to_string(&short).unwrap()).unwrap(), short);
    }
}
