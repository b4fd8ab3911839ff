//! What the kernel tells about a program in the sandbox: where it listens, whether it handles SIGTERM, what ended it.
//!
//! All of it is read from `/proc` of the host as far as it can be read there; nothing depends on it but warnings and the words of errors.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use jettison_engine::sandbox::ExitStatus;

/// TCP_LISTEN, as /proc/net/tcp writes it.
const LISTEN: &str = "0A";
const SIGTERM: u32 = 15;

/// The addresses that something listens on in the network of a process, sorted.
pub(super) fn listening(pid: u32) -> Vec<SocketAddr> {
    let read = |file| fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default();
    let mut addresses: Vec<_> = ["tcp", "tcp6"].into_iter().flat_map(|file| parse_listening(&read(file))).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn parse_listening(table: &str) -> Vec<SocketAddr> {
    let row = |line: &str| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let (local, state) = (columns.next()?, columns.nth(1)?);
        let (address, port) = local.split_once(':')?;
        let address = match address.len() {
            8 => IpAddr::from(word(address)?),
            32 => {
                let mut bytes = [0; 16];
                for (at, word_bytes) in bytes.chunks_exact_mut(4).enumerate() {
                    word_bytes.copy_from_slice(&word(&address[at * 8..at * 8 + 8])?);
                }
                IpAddr::from(bytes)
            }
            _ => return None,
        };
        (state == LISTEN).then_some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
    };
    table.lines().filter_map(row).collect()
}

/// Four bytes of an address, which the kernel prints as a number of its own byte order.
fn word(hex: &str) -> Option<[u8; 4]> {
    Some(u32::from_str_radix(hex.is_ascii().then_some(hex)?, 16).ok()?.to_ne_bytes())
}

/// Whether the program of the sandbox that the process `stage` holds has a handler for SIGTERM. `None` where that cannot be told.
pub(super) fn handles_sigterm(stage: u32) -> Option<bool> {
    let first_child = |pid: u32| -> Option<u32> {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_ascii_whitespace().next()?.parse().ok()
    };
    // Process 1 of the sandbox, and the first that it started.
    let program = first_child(first_child(stage)?)?;
    catches(&fs::read_to_string(format!("/proc/{program}/status")).ok()?, SIGTERM)
}

/// Whether the signal is among those of `SigCgt` in /proc/[pid]/status (proc_pid_status(5)).
fn catches(status: &str, signal: u32) -> Option<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
    Some(u64::from_str_radix(mask.trim(), 16).ok()? & (1 << (signal - 1)) != 0)
}

/// How a program ended, with the name of the signal where there was one.
pub(super) fn how(status: ExitStatus) -> String {
    let ExitStatus::Signal(number) = status else { return status.to_string() };
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        31 => "SIGSYS",
        _ => return status.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn listening_sockets_are_read() {
        let tcp = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
             0: 0100007F:1F40 00000000:0000 0A 00000000:00000000\n   \
             1: 00000000:0050 00000000:0000 0A 00000000:00000000\n   \
             2: 0100007F:1F40 0100007F:C001 01 00000000:00000000\n   \
             3: 0100007F 0A\n";
        let listening: Vec<_> = parse_listening(tcp).iter().map(ToString::to_string).collect();
        assert_eq!(listening, ["127.0.0.1:8000", "0.0.0.0:80"]);
        let tcp6 = "0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A";
        assert_eq!(parse_listening(tcp6)[0].to_string(), "[::1]:8080");
    }

    #[test]
    fn handlers_are_read() {
        assert_eq!(catches("SigIgn:\t0000000001001000\nSigCgt:\t0000000000004002\n", SIGTERM), Some(true));
        assert_eq!(catches("SigCgt:\t0000000000000002\n", SIGTERM), Some(false));
        assert_eq!(catches("Name:\tx\n", SIGTERM), None);
    }
}
