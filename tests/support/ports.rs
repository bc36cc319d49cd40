//! Free ports and addresses on loopback.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Below the NodePort range (30000) and the ephemeral ports (32768), where nobody else picks ports by himself.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// Returns a TCP port that is free on 127.0.0.1 and was not returned before in this process.
///
/// Another process may still take it before it is used; who starts a server tries again then.
pub fn free() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    // Processes that run at the same time begin at different places.
    let offset = std::process::id().wrapping_mul(251);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + u16::try_from(offset.wrapping_add(step) % u32::from(COUNT)).expect("below COUNT");
        if !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            given.insert(port);
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

/// Returns a loopback address (127.x.y.z) that no other caller in this process has, and hardly one in another process.
pub fn address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let step = NEXT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id().wrapping_mul(0x9E37_79B1);
    let [_, second, third, _] = process.to_be_bytes();
    let number =
        u32::from_be_bytes([0, second, third, 0]).wrapping_add(step.wrapping_mul(2) + 2) & 0x00FF_FFFF;
    // The first two and the last of 127/8 are what everybody uses.
    Ipv4Addr::from(0x7F00_0000 | number.clamp(0x100, 0x00FF_FFF0))
}
