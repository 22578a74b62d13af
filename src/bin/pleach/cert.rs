//! `pleach cert`: an authority and certificates for the hosts of a tree.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use pleach_tls::authority::{Authority, Validity};
use pleach_tls::config;
use pleach_tls::identity::{self, AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY, Pem};
use serde_json::json;

use crate::describe::{Described, Role};
use crate::output;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a certificate for a host, and an authority that signs it
    ///
    /// The directory then has what the setting `certificates` needs: authority.pem, certificate.pem and key.pem. A new
    /// authority also leaves authority-key.pem there, for signing certificates of more hosts: keep it away from the
    /// programs.
    #[command(after_long_help = "Examples:
  pleach cert new alpha --host alpha.example                    an authority, and a certificate
  pleach cert new beta --host beta.example --authority alpha    another host, same authority")]
    New {
        /// Where to write the files; it is made if it is missing
        directory: PathBuf,
        /// A name or an IP address by which the host is dialled [default: good for every host of the tree]
        #[arg(long = "host", value_name = "NAME")]
        hosts: Vec<String>,
        /// How long the certificate is good
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
        /// The directory of the authority that is to sign it [default: a new one is made]
        #[arg(long, value_name = "DIRECTORY")]
        authority: Option<PathBuf>,
        /// Print JSON: an object with `directory`, `hosts` (none: good for every host of the tree) and `files`
        #[arg(long)]
        json: bool,
    },
    /// Show certificates, and whether they can be used
    ///
    /// The exit status is 1 if they can't be used, here and today.
    #[command(after_long_help = "Example:
  pleach cert show alpha")]
    Show {
        /// A directory as `cert new` makes it, or a file with certificates
        path: PathBuf,
        /// Print JSON: an object with `certificates` (`role`, `subject`, `hosts`, `any_host`, `signs`, `valid_from` and
        /// `valid_to` in seconds since 1970, `issuer`, `sha256`), `usable` and, if they can't be used, `why`
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::New { directory, hosts, days, authority, json } => {
                let files = new(&directory, &hosts, days, authority.as_deref())?;
                match json {
                    true => output::json(
                        &json!({ "directory": directory.to_string_lossy(), "hosts": hosts, "files": files }),
                    ),
                    false => say_made(&directory, &hosts, authority.is_none()),
                }
            }
            Self::Show { path, json } => show(&path, json),
        }
    }
}

/// Writes a certificate, and an authority if there is no `signer`; returns the names of the files.
fn new(directory: &Path, hosts: &[String], days: u32, signer: Option<&Path>) -> anyhow::Result<Vec<&'static str>> {
    let shown = directory.display();
    fs::create_dir_all(directory).with_context(|| format!("can't make {shown}"))?;
    for name in [AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY] {
        let there = directory.join(name).symlink_metadata().is_ok();
        ensure!(!there, "{shown} has {name} in it already: choose another directory, or remove the files first");
    }
    let authority = match signer {
        Some(signer) => read_authority(signer)?,
        None => Authority::new(Validity::Days(days.max(AUTHORITY_DAYS)))?,
    };
    let issued = authority.issue(hosts, Validity::Days(days))?;
    config::check(&issued.identity(&authority)).context("the certificates of this authority can't be used")?;
    Pem::new(&authority, &issued).write(directory).with_context(|| format!("can't write to {shown}"))?;
    let mut files = vec![AUTHORITY, CERTIFICATE, KEY];
    if signer.is_none() {
        identity::write_secret(&directory.join(AUTHORITY_KEY), &authority.key_pem())
            .with_context(|| format!("can't write to {shown}"))?;
        files.push(AUTHORITY_KEY);
    }
    Ok(files)
}

fn say_made(directory: &Path, hosts: &[String], with_authority: bool) -> anyhow::Result<()> {
    let shown = directory.display();
    let hosts = if hosts.is_empty() { "for every host of the tree".to_owned() } else { hosts.join(", ") };
    output::line(format_args!("{shown}: {hosts}"))?;
    if with_authority {
        output::line(format_args!("more hosts: pleach cert new DIRECTORY --host NAME --authority {shown}"))?;
    }
    Ok(())
}

fn read_authority(directory: &Path) -> anyhow::Result<Authority> {
    let read = |name: &str| {
        let path = directory.join(name);
        fs::read_to_string(&path).with_context(|| format!("can't read {} of the authority", path.display()))
    };
    Ok(Authority::from_pem(&read(AUTHORITY)?, &read(AUTHORITY_KEY)?)?)
}

/// Prints what certificates say, and whether they can be used, which is an error otherwise.
fn show(path: &Path, json: bool) -> anyhow::Result<()> {
    let (certificates, usable) = if path.is_dir() { read_directory(path)? } else { read_file(path)? };
    match json {
        true => {
            let why = usable.as_ref().err().map(|error| format!("{error:#}"));
            output::json(&json!({ "certificates": certificates, "usable": why.is_none(), "why": why }))?;
        }
        false => output::write(certificates.iter().map(Described::in_words).collect::<String>().as_bytes())?,
    }
    usable.with_context(|| format!("{} can't be used", path.display()))?;
    if path.is_dir() && !json {
        output::line("it fits its authority and its key, and can be used today")?;
    }
    Ok(())
}

/// Certificates, and whether they can be used.
type Read = (Vec<Described>, anyhow::Result<()>);

fn read_directory(directory: &Path) -> anyhow::Result<Read> {
    let own = identity::from_pem_files(directory)?;
    let mut described = Described::all(Role::Certificate, &own.chain)?;
    described.extend(Described::all(Role::Authority, &own.authorities)?);
    Ok((described, config::check(&own).map_err(anyhow::Error::from)))
}

fn read_file(path: &Path) -> anyhow::Result<Read> {
    let text = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    let certificates = identity::certificates(&text).with_context(|| path.display().to_string())?;
    let described = Described::all(Role::Certificate, &certificates)?;
    let usable = described.iter().try_for_each(Described::check_dates);
    Ok((described, usable))
}

/// An authority is good for this long at least, because all hosts need a new one at the same time.
const AUTHORITY_DAYS: u32 = 3650;
