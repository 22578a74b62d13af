//! The suite of promises that every transport keeps, with both codecs.

use std::time::Duration;

use pleach_conformance::{Subject, conformance};
use pleach_shm::Shm;
use pleach_wire::{Json, Msgpack};

conformance!(msgpack, Subject::framed(Msgpack, Shm));
conformance!(json, Subject::framed(Json, Shm));
// The smallest ring is full all the time.
conformance!(small, Subject::framed(Msgpack, Shm).with(|settings| settings.shm_ring = 4 << 10));
conformance!(spinning, Subject::framed(Msgpack, Shm).with(|settings| settings.shm_spin = Duration::from_micros(50)));
