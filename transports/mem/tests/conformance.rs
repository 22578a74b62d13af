//! The suite of promises that every transport keeps, with both codecs.

use pleach_conformance::{Subject, conformance};
use pleach_mem::Mem;
use pleach_wire::{Json, Msgpack};

conformance!(msgpack, Subject::framed(Msgpack, Mem));
conformance!(json, Subject::framed(Json, Mem));
