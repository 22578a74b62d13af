//! What a stream is compared with: blocking sockets of the standard library and the codec, nothing else.
//!
//! This program starts itself again as the receiver. Messages stand behind a length of four bytes, as
//! many in a write as a buffer holds, with the names of their fields, as ours; after each batch of [`ITEMS`] the receiver answers.

use std::io::{BufReader, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command};

use tempfile::TempDir;

use crate::common::item::Item;
use crate::measure::ITEMS;

/// Receives if this process was started for that; returns whether it was.
pub(crate) fn receive_if_asked() -> bool {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mark, protocol, address] = &*arguments else { return false };
    if mark != MARK {
        return false;
    }
    // An error is the parent's end of the measurement.
    let _ = match &**protocol {
        "uds" | "shm" => UnixStream::connect(address).and_then(|stream| receive(stream.try_clone()?, stream)),
        _ => TcpStream::connect(address).and_then(|stream| receive(stream.try_clone()?, stream)),
    };
    true
}

fn receive(reader: impl Read, mut writer: impl Write) -> Result<()> {
    let mut reader = BufReader::with_capacity(BUFFER, reader);
    let (mut length, mut frame) = ([0; 4], Vec::new());
    loop {
        let mut sum = 0_u64;
        for _ in 0..ITEMS {
            reader.read_exact(&mut length)?;
            frame.resize(u32::from_le_bytes(length) as usize, 0);
            reader.read_exact(&mut frame)?;
            let item = rmp_serde::from_slice::<Item>(&frame).expect("the parent sends items");
            sum = sum.wrapping_add(item.time);
        }
        writer.write_all(&sum.to_le_bytes())?;
    }
}

/// A receiver in another process. Dropping it kills that.
pub(crate) struct Floor {
    stream: Box<dyn Duplex>,
    child: Child,
    buffer: Vec<u8>,
}

impl Floor {
    /// Starts one and waits until it has connected back.
    pub(crate) fn start(protocol: &str) -> Result<Self> {
        let directory = TempDir::new()?;
        let spawn = |address: String| Command::new("/proc/self/exe").args([MARK, protocol, &address]).spawn();
        let (stream, child): (Box<dyn Duplex>, _) = match protocol {
            "uds" | "shm" => {
                let path = directory.path().join("floor.sock");
                let listener = UnixListener::bind(&path)?;
                let child = spawn(path.display().to_string())?;
                (Box::new(listener.accept()?.0), child)
            }
            _ => {
                let listener = TcpListener::bind("127.0.0.1:0")?;
                let child = spawn(listener.local_addr()?.to_string())?;
                let stream = listener.accept()?.0;
                stream.set_nodelay(true)?;
                (Box::new(stream), child)
            }
        };
        Ok(Self { stream, child, buffer: Vec::with_capacity(BUFFER) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends [`ITEMS`] items and waits until they have been taken.
    pub(crate) fn send(&mut self) -> Result<()> {
        for number in 0..ITEMS as u64 {
            let start = self.buffer.len();
            self.buffer.extend_from_slice(&[0; 4]);
            rmp_serde::encode::write_named(&mut self.buffer, &Item::new(number)).expect("an item can be written");
            let length = (self.buffer.len() - start - 4) as u32;
            self.buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
            if self.buffer.len() >= BUFFER - 128 {
                self.stream.write_all(&self.buffer)?;
                self.buffer.clear();
            }
        }
        self.stream.write_all(&self.buffer)?;
        self.buffer.clear();
        self.stream.read_exact(&mut [0; 8])
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended already
        let _ = self.child.wait();
    }
}

trait Duplex: Read + Write {}

impl<T: Read + Write> Duplex for T {}

const BUFFER: usize = 64 << 10;

/// The first argument of a receiver.
const MARK: &str = "--stream-floor";
