//! The suite of promises that every transport keeps, with both codecs.

use pleach_conformance::{Subject, conformance};
use pleach_uds::Uds;
use pleach_wire::{Json, Msgpack};

conformance!(msgpack, Subject::framed(Msgpack, Uds));
conformance!(json, Subject::framed(Json, Uds));
