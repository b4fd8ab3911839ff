//! The rules, all of them at once, on Dockerfiles as people write them and on pieces of them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail that way")]

mod invariants;

use jettison_lint::{examples, rules};
use std::fs;
use std::path::Path;

/// The Dockerfiles of the corpus and of the articles, and all examples of the documentation.
fn dockerfiles() -> Vec<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directories = ["tests/corpus", "../../tests/peers/articles"].map(|path| fs::read_dir(here.join(path)).unwrap());
    let paths = directories.into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.extension().is_some_and(|end| end == "Dockerfile"));
    let files = files.map(|path| fs::read_to_string(path).unwrap());
    let blocks = rules::all().flat_map(|rule| examples::blocks(rule.docs));
    let shown =
        blocks.filter(|block| !matches!(block.kind, examples::BlockKind::File { .. } | examples::BlockKind::Heading));
    files.chain(shown.map(|block| block.text.to_owned())).collect()
}

#[test]
fn findings_are_in_place_and_fixes_converge() {
    let all = dockerfiles();
    assert!(all.len() > 100);
    all.iter().for_each(|text| invariants::check(text));
}

/// Whoever is typing has half of a Dockerfile.
#[test]
fn half_a_dockerfile_is_no_reason_to_fail() {
    for text in dockerfiles() {
        let cut = (text.len() / 3..=text.len() * 2 / 3).find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        invariants::check(&text[..cut]);
    }
}

/// `ARG` takes what no variable can be called.
#[test]
fn nobody_means_a_name_that_is_none() {
    invariants::check("ARG SUIT-\nFROM debian:${SUITE:-trixie}\n");
}

/// An edit that was made may be that of another finding by the next round, at the same place and of the same text.
#[test]
fn the_same_text_twice_is_mended_twice() {
    invariants::check("FROM a AS b\nCO<PY --from=b /x y z\nCOPY FROM pythFROM python:3.11 AS builder\nu");
    invariants::check(
        "from python\nMAINTA:3 as Build\nMAINTAINER somebody\nRUN apk add --virtual .build gcc\nRUN sudo pip x\nCOPY a && apk del .build\n\
         ADD . .\nUSERuild\nMAINTAINER somebody\nRUN apk add --virtual .build gcc\nRUN sudo pip x\nCOPY a && apk del .build\nADD . .\n\
         USER root\n --virtual .build\nRUN sudo pip y\nCMD python main.py\n",
    );
}
