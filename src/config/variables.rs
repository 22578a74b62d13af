//! Which `PLEACH_` variables are settings, and which only look like some.
//!
//! The user did not choose all of them: Kubernetes gives each container the addresses of the services around it, and
//! one called `pleach` is `PLEACH_PORT=tcp://…` there. So only a near miss of a setting's name is refused as a typo;
//! all others are ignored.

use std::collections::BTreeSet;

use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

use crate::misspelt::meant;

/// The meaning of a name behind `PLEACH_`, in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Setting,
    /// Not a setting, but this one is nearly of that name.
    Misspelt(&'static str),
    /// Something that another program has set for its own reasons.
    Foreign,
}

/// Looks a name up among the fields of `T`.
pub(super) fn meaning<T: DeserializeOwned>(name: &str) -> Meaning {
    let settings = fields_of::<T>();
    if settings.contains(&name) {
        return Meaning::Setting;
    }
    match meant(name, settings).filter(|_| !is_service_link(name)) {
        Some(setting) => Meaning::Misspelt(setting),
        None => Meaning::Foreign,
    }
}

/// Returns whether Kubernetes, or Docker with links, makes such a name of a service's.
fn is_service_link(name: &str) -> bool {
    let padded = format!("_{name}_");
    ["_service_host_", "_service_port_", "_port_"].iter().any(|part| padded.contains(part))
}

/// The names of a struct's fields, as serde knows them.
fn fields_of<T: DeserializeOwned>() -> BTreeSet<&'static str> {
    let mut fields = BTreeSet::new();
    drop(T::deserialize(Fields(&mut fields))); // it has no value to give
    fields
}

/// Takes the names of the fields that are asked for, and gives none.
struct Fields<'a>(&'a mut BTreeSet<&'static str>);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.extend(fields);
        Err(Self::Error::custom("only the names were wanted"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("not a struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn each_setting_is_known() {
        let fields = fields_of::<Config>();
        assert!(fields.len() > 20 && fields.contains("transport") && fields.contains("socket_dir"), "{fields:?}");
        assert!(fields.iter().all(|field| meaning::<Config>(field) == Meaning::Setting));
    }

    #[test]
    fn only_what_is_nearly_a_setting_is_a_slip_of_the_pen() {
        for (name, setting) in
            [("transprt", "transport"), ("max_frames", "max_frame"), ("host", "hosts"), ("soft_raep", "soft_reap")]
        {
            assert_eq!(meaning::<Config>(name), Meaning::Misspelt(setting), "{name}");
        }
        let links = ["port", "service_host", "service_port", "service_port_http", "port_80_tcp", "port_80_tcp_addr"];
        let of_services =
            ["registry", "peers", "transport"].map(|service| links.map(|link| format!("{service}_{link}")));
        let others = ["version", "home", "bench_dir", "env_path"].map(str::to_owned);
        for name in links.map(str::to_owned).iter().chain(of_services.iter().flatten()).chain(&others) {
            assert_eq!(meaning::<Config>(name), Meaning::Foreign, "{name}");
        }
    }
}
