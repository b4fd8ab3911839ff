//! What is printed is what was read.

use super::generate::Generator;
use super::invariants;

#[test]
fn a_thousand_generated_files_come_back_as_they_were() {
    for seed in 1..=1000 {
        invariants::check(&Generator::new(seed).file());
    }
}

#[test]
fn and_so_do_broken_ones() {
    for seed in 1..=1000 {
        let mut generator = Generator::new(seed);
        let file = generator.file();
        invariants::check(&generator.broken(&file));
    }
}

#[test]
fn hostile_files_neither_overflow_nor_take_long() {
    let deep = format!("FROM a\nENV A={}x{}\n", "${A:-".repeat(50_000), "}".repeat(50_000));
    let json = format!("FROM a\nCMD {}\n", "[".repeat(200_000));
    let heredocs = format!("FROM a\nRUN {}\n", "<<A ".repeat(20_000));
    let words = format!("FROM a\nENV {}\n", "A=$B ".repeat(100_000));
    let lines = format!("FROM a\nRUN x {}\n", "\\\n y ".repeat(50_000));
    let onbuild = format!("FROM a\n{} RUN x\n", "ONBUILD ".repeat(50_000));
    for text in [deep, json, heredocs, words, lines, onbuild] {
        let file = jettison_dockerfile::Dockerfile::parse(&text);
        assert_eq!(file.print(), text);
    }
}
