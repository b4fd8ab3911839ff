//! `ldconfig -p` for images without ldconfig: what `ctypes.util.find_library` asks.
//!
//! 1. [`ldconfig_listing`] is the text that ldconfig would print.
//! 2. [`ldconfig_stub`] is a static program of a few hundred bytes, and the text, that prints it.

use std::cmp::Ordering;
use std::fmt::Write as _;

use jettison_tree::TreePath;

use crate::{Abi, ByteOrder, Class, Machine};

/// The order of glibc's loader cache (`_dl_cache_libcmp`): runs of digits compare as numbers, the rest as bytes.
/// ldconfig prints it backwards, so that the newest of several versions comes first.
pub(crate) fn cache_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    loop {
        let order = match (a.first(), b.first()) {
            (None, None) => return Ordering::Equal,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (number_a, rest_a) = a.split_at(digits(a));
                let (number_b, rest_b) = b.split_at(digits(b));
                (a, b) = (rest_a, rest_b);
                let (x, y) = (without_zeros(number_a), without_zeros(number_b));
                x.len().cmp(&y.len()).then_with(|| x.cmp(y))
            }
            // Digits come after anything else.
            (Some(x), Some(y)) if x.is_ascii_digit() != y.is_ascii_digit() => {
                x.is_ascii_digit().cmp(&y.is_ascii_digit())
            }
            (x, y) => {
                (a, b) = (a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default());
                x.cmp(&y)
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    &digits[digits.iter().take_while(|&&digit| digit == b'0').count()..]
}

/// What `ldconfig -p` prints for these libraries, usually [`Linker::libraries`](crate::Linker::libraries):
/// `\tlibpq.so.5 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libpq.so.5`. The order is kept: ctypes takes the first match.
pub fn ldconfig_listing<'l>(abi: Abi, libraries: impl IntoIterator<Item = (&'l str, &'l TreePath)>) -> String {
    let label = abi.ldconfig_label();
    let mut lines = String::new();
    let mut count = 0;
    for (name, path) in libraries {
        count += 1;
        let _ = writeln!(lines, "\t{name} ({label}) => /{path}");
    }
    format!("{count} libs found in cache `/etc/ld.so.cache'\n{lines}")
}

/// A static program that writes `listing` to its standard output and exits with 0, or with 1 if that fails; for
/// `/usr/sbin/ldconfig`. It needs no loader, no library and no other file. `None`: no program is known for this machine.
pub fn ldconfig_stub(abi: Abi, listing: &[u8]) -> Option<Vec<u8>> {
    /// Where the file is mapped: the customary address of programs that do not move.
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 2 * 56;
    let little64 = abi.class == Class::Elf64 && abi.order == ByteOrder::Little;
    let len = u32::try_from(listing.len()).ok().filter(|_| little64)?;
    let (code, page) = match abi.machine {
        Machine::X86_64 => (x86_64(len), 0x1000_u64),
        Machine::AARCH64 => (aarch64(len), 0x1_0000),
        _ => return None,
    };
    let size = HEADERS + code.len() as u64 + u64::from(len);

    let machine = u64::from(abi.machine.0);
    #[rustfmt::skip]
    let fields: [(usize, u64); 29] = [
        // The file header, behind the identification: ET_EXEC, machine, version; entry, program headers, no sections; flags;
        // sizes and counts of the header, of program headers, of section headers, and no section names.
        (2, 2), (2, machine), (4, 1),
        (8, BASE + HEADERS), (8, 64), (8, 0),
        (4, 0),
        (2, 64), (2, 56), (2, 2), (2, 64), (2, 0), (2, 0),
        // PT_LOAD, readable and executable: the whole file.
        (4, 1), (4, 5), (8, 0), (8, BASE), (8, BASE), (8, size), (8, size), (8, page),
        // PT_GNU_STACK, readable and writable: without it Linux makes the stack executable.
        (4, 0x6474_e551), (4, 6), (8, 0), (8, 0), (8, 0), (8, 0), (8, 0), (8, 16),
    ];
    let mut file = Vec::with_capacity(size as usize);
    file.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    for (width, value) in fields {
        file.extend_from_slice(&value.to_le_bytes()[..width]);
    }
    file.extend_from_slice(&code);
    file.extend_from_slice(listing);
    Some(file)
}

/// The listing follows the code. Linux: write is 1, exit is 60; rax is the number and the result, arguments in rdi, rsi, rdx.
fn x86_64(len: u32) -> Vec<u8> {
    let [a, b, c, d] = len.to_le_bytes();
    #[rustfmt::skip]
    let code = [
        0x48, 0x8d, 0x35, 0x2d, 0, 0, 0, //        lea   rsi, [rip + listing]
        0xba, a, b, c, d,                //        mov   edx, len
        0xbf, 1, 0, 0, 0,                // next:  mov   edi, 1
        0xb8, 1, 0, 0, 0,                //        mov   eax, 1
        0x0f, 0x05,                      //        syscall           ; write(1, rsi, rdx)
        0x48, 0x85, 0xc0,                //        test  rax, rax
        0x7e, 0x10,                      //        jle   fail
        0x48, 0x01, 0xc6,                //        add   rsi, rax
        0x29, 0xc2,                      //        sub   edx, eax
        0x75, 0xe8,                      //        jnz   next
        0x31, 0xff,                      //        xor   edi, edi
        0xb8, 60, 0, 0, 0,               // exit:  mov   eax, 60
        0x0f, 0x05,                      //        syscall           ; exit(edi)
        0xbf, 1, 0, 0, 0,                // fail:  mov   edi, 1
        0xeb, 0xf2,                      //        jmp   exit
    ]; // listing:
    code.to_vec()
}

/// The listing follows the code. Linux: write is 64, exit is 93; x8 is the number, x0 the result, arguments in x0, x1, x2.
fn aarch64(len: u32) -> Vec<u8> {
    let (low, high) = (len & 0xffff, len >> 16);
    #[rustfmt::skip]
    let code: [u32; 16] = [
        0x1000_0201,             //        adr   x1, listing
        0x5280_0002 | low << 5,  //        movz  w2, #low
        0x72a0_0002 | high << 5, //        movk  w2, #high, lsl #16
        0xd280_0020,             // next:  mov   x0, #1
        0xd280_0808,             //        mov   x8, #64
        0xd400_0001,             //        svc   #0                ; write(1, x1, x2)
        0xf100_001f,             //        cmp   x0, #0
        0x5400_00ed,             //        b.le  fail
        0x8b00_0021,             //        add   x1, x1, x0
        0xeb00_0042,             //        subs  x2, x2, x0
        0x54ff_ff21,             //        b.ne  next
        0xd280_0000,             //        mov   x0, #0
        0xd280_0ba8,             // exit:  mov   x8, #93
        0xd400_0001,             //        svc   #0                ; exit(x0)
        0xd280_0020,             // fail:  mov   x0, #1
        0x17ff_fffd,             //        b     exit
    ]; // listing:
    code.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_as_numbers() {
        let order = ["libc.so.6", "libssl.so.1.1", "libssl.so.3", "libx.so.9", "libx.so.10", "libx.so.010.1"];
        for pair in order.windows(2) {
            assert_eq!(cache_order(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(cache_order(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(cache_order("GLIBC_2.4", "GLIBC_2.38"), Ordering::Less);
        assert_eq!(cache_order("a", "a"), Ordering::Equal);
    }

    #[test]
    fn the_listing_is_what_ctypes_looks_for() {
        let path = |text: &str| TreePath::parse(text).unwrap();
        let (pq, z) = (path("usr/lib/aarch64-linux-gnu/libpq.so.5"), path("usr/lib/libz.so.1"));
        let listing = ldconfig_listing(Abi::AARCH64, [("libpq.so.5", &pq), ("libz.so.1", &z)]);
        assert_eq!(
            listing,
            "2 libs found in cache `/etc/ld.so.cache'\n\
             \tlibpq.so.5 (libc6,AArch64) => /usr/lib/aarch64-linux-gnu/libpq.so.5\n\
             \tlibz.so.1 (libc6,AArch64) => /usr/lib/libz.so.1\n"
        );
    }

    #[test]
    fn the_stub_is_an_elf_program_that_needs_nothing() {
        for abi in [Abi::X86_64, Abi::AARCH64] {
            let stub = ldconfig_stub(abi, b"listing\n").unwrap();
            let facts = crate::ElfFacts::parse(&stub).unwrap().unwrap();
            assert!(facts.is_static() && facts.abi == abi);
            assert!(stub.ends_with(b"listing\n") && stub.len() < 256);
        }
        assert!(ldconfig_stub(Abi { machine: Machine(9999), ..Abi::X86_64 }, b"").is_none());
    }
}
