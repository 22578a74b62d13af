//! The suite of promises that every transport keeps, with both codecs.

use pleach_conformance::{Subject, conformance};
use pleach_tcp::Tcp;
use pleach_wire::{Json, Msgpack};

conformance!(msgpack, Subject::framed(Msgpack, Tcp::default()));
conformance!(json, Subject::framed(Json, Tcp::default()));
