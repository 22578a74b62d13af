//! `pleach cert`: an authority and certificates for the hosts of a tree.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use pleach_tls::authority::{Authority, Validity};
use pleach_tls::config;
use pleach_tls::identity::{self, AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY, Pem};

use crate::describe;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a certificate for a host, and an authority that signs it
    ///
    /// The directory then has what the setting `certificates` needs: authority.pem, certificate.pem and key.pem. A new
    /// authority also leaves authority-key.pem there, for signing certificates of more hosts: keep it away from the
    /// programs.
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
    },
    /// Show certificates, and whether they can be used
    ///
    /// The exit status is 1 if they can't be used, here and today.
    Show {
        /// A directory as `cert new` makes it, or a file with certificates
        path: PathBuf,
    },
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::New { directory, hosts, days, authority } => new(&directory, &hosts, days, authority.as_deref()),
            Self::Show { path } if path.is_dir() => show_directory(&path),
            Self::Show { path } => show_file(&path),
        }
    }
}

fn new(directory: &Path, hosts: &[String], days: u32, signer: Option<&Path>) -> anyhow::Result<()> {
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
    println!("{shown}: {}", if hosts.is_empty() { "for every host of the tree".to_owned() } else { hosts.join(", ") });
    if signer.is_none() {
        identity::write_secret(&directory.join(AUTHORITY_KEY), &authority.key_pem())
            .with_context(|| format!("can't write to {shown}"))?;
        println!("more hosts: pleach cert new DIRECTORY --host NAME --authority {shown}");
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

fn show_directory(directory: &Path) -> anyhow::Result<()> {
    let own = identity::from_pem_files(directory)?;
    describe::all("certificate", &own.chain)?;
    describe::all("authority", &own.authorities)?;
    config::check(&own).with_context(|| format!("{} can't be used", directory.display()))?;
    println!("it fits its authority and its key, and can be used today");
    Ok(())
}

fn show_file(path: &Path) -> anyhow::Result<()> {
    let text = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    let certificates = identity::certificates(&text).with_context(|| path.display().to_string())?;
    describe::all("certificate", &certificates)?;
    describe::check_dates(&certificates).with_context(|| format!("{} can't be used", path.display()))
}

/// An authority is good for this long at least, because all hosts need a new one at the same time.
const AUTHORITY_DAYS: u32 = 3650;
