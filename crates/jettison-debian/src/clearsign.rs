//! The cleartext signature framework (RFC 9580, 7), read strictly: what is not under the signature is not there.

use pgp::armor::{BlockType, Dearmor};
use pgp::packet::{Packet, PacketParser, Signature};

const MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";
/// More signatures than this on one text is an attack on our time.
const SIGNATURE_LIMIT: usize = 64;

/// A text with signatures that nobody has checked yet.
pub(crate) struct ClearSigned {
    /// The text with the escapes undone and `\n` at the end of each line.
    pub(crate) text: String,
    /// The bytes that the signatures are over: `\r\n` between the lines, no blanks at their ends.
    pub(crate) signed: Vec<u8>,
    pub(crate) signatures: Vec<Signature>,
}

impl ClearSigned {
    pub(crate) fn parse(input: &str) -> Result<Self, ClearSignError> {
        let mut lines = input.lines().map(str::trim_end).enumerate().map(|(i, line)| (i + 1, line));
        let error = |line, why| Err(ClearSignError { line, why });
        if lines.next().is_none_or(|(_, line)| line != MESSAGE) {
            return if input.lines().any(|line| line.trim_end() == MESSAGE) {
                error(1, "text stands before the signed message")
            } else {
                error(1, "it is not a clear-signed message")
            };
        }
        loop {
            match lines.next() {
                Some((_, "")) => break,
                Some((_, line)) if line.starts_with("Hash:") => {}
                Some((at, _)) => return error(at, "only `Hash:` may stand in the head of a signed message"),
                None => return error(1, "the signed message ends in its head"),
            }
        }
        let (mut text, mut signed) =
            (String::with_capacity(input.len()), Vec::with_capacity(input.len() + input.len() / 32));
        let armor_line = loop {
            let Some((at, line)) = lines.next() else {
                return error(1, "the signature is missing: the file was cut short");
            };
            let line = match line.strip_prefix("- ") {
                Some(escaped) => escaped,
                None if line == SIGNATURE => break at,
                // The blanks after the dash of an escaped empty line have been trimmed.
                None if line == "-" => "",
                None if line.starts_with('-') => return error(at, "a line of the signed text starts with a bare `-`"),
                None => line,
            };
            if !signed.is_empty() || !text.is_empty() {
                signed.extend_from_slice(b"\r\n");
            }
            signed.extend_from_slice(line.as_bytes());
            text.push_str(line);
            text.push('\n');
        };
        let mut armor = format!("{SIGNATURE}\n");
        loop {
            let Some((_, line)) = lines.next() else { return error(armor_line, "the signature was cut short") };
            armor.push_str(line);
            armor.push('\n');
            if line == END {
                break;
            }
        }
        if let Some((at, _)) = lines.find(|(_, line)| !line.is_empty()) {
            return error(at, "text stands after the signature");
        }
        match signatures(&armor) {
            Ok(signatures) => Ok(Self { text, signed, signatures }),
            Err(why) => error(armor_line, why),
        }
    }
}

fn signatures(armor: &str) -> Result<Vec<Signature>, &'static str> {
    let mut dearmor = Dearmor::new(armor.as_bytes());
    dearmor.read_header().map_err(|_| "the armor of the signature is broken")?;
    if dearmor.typ != Some(BlockType::Signature) {
        return Err("the armor does not hold a signature");
    }
    let mut found = Vec::new();
    for packet in PacketParser::new(std::io::BufReader::new(dearmor)) {
        match packet {
            Ok(Packet::Signature(signature)) if found.len() < SIGNATURE_LIMIT => found.push(signature),
            Ok(Packet::Signature(_)) => return Err("there are too many signatures"),
            Ok(_) => return Err("something else than a signature is in its armor"),
            Err(_) => return Err("the signature cannot be read"),
        }
    }
    if found.is_empty() { Err("there is no signature in the armor") } else { Ok(found) }
}

/// A text that is not a clear-signed message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct ClearSignError {
    line: usize,
    why: &'static str,
}
