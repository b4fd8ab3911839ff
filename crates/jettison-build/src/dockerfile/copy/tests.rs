//! One line a rule: what is in the source, what is in the stage, the instruction, and what the layer holds.
//!
//! Trees and layers are written as `path`, then what stands there: nothing more for a file of mode `644`, `/` behind a directory,
//! `->` before a link's target, `=` before the first name of a hard link; then a mode other than `644` (`755` for directories), then
//! `uid:gid` where it is not root. Entries are parted by commas. The content of a file is its first path.

use std::fmt::Write as _;

use jettison_tree::{Content, Device, Digest, Entry, Node, TreePath};

use super::mode::Chmod;
use super::*;
use crate::dockerfile::context::memory::MemoryTree;
use crate::error::BuildError;

fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

/// A tree from its notation.
fn tree(notation: &str) -> MemoryTree {
    MemoryTree::from_entries(entries(notation)).unwrap()
}

fn entries(notation: &str) -> Vec<Entry> {
    let entry = |text: &str| {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap();
        let mut entry = match name.strip_suffix('/') {
            Some(name) => Entry::directory(path(name)),
            None => Entry::file(path(name), Content::from_bytes(name.as_bytes()), false),
        };
        while let Some(word) = words.next() {
            match word {
                "->" => entry.node = Node::Symlink(words.next().unwrap().into()),
                "=" => entry.node = Node::HardLink(path(words.next().unwrap())),
                "fifo" => entry.node = Node::Fifo,
                "null" => entry.node = Node::CharacterDevice(Device { major: 1, minor: 3 }),
                "disk" => entry.node = Node::BlockDevice(Device { major: 8, minor: 0 }),
                "cap" => drop(entry.xattrs.insert(&b"security.capability"[..], &b"x"[..])),
                owner if owner.contains(':') => {
                    let (uid, gid) = owner.split_once(':').unwrap();
                    (entry.uid, entry.gid) = (uid.parse().unwrap(), gid.parse().unwrap());
                }
                mode => entry.mode = u32::from_str_radix(mode, 8).unwrap(),
            }
        }
        if matches!(entry.node, Node::Symlink(_)) {
            entry.mode = 0o777;
        }
        entry
    };
    notation.split(',').filter(|text| !text.trim().is_empty()).map(entry).collect()
}

/// Entries in the notation; a file whose content is another name's shows `<name>`.
fn shown(entries: &[Entry]) -> String {
    let mut all = String::new();
    for entry in entries {
        let mut text = entry.path.to_string();
        let mut usual = 0o644;
        match &entry.node {
            Node::Directory => {
                usual = 0o755;
                text.push('/');
            }
            Node::File(content) => {
                let bytes = content.read().unwrap();
                assert_eq!(content.digest(), Digest::of(&bytes));
                write!(text, " <{}>", String::from_utf8_lossy(&bytes)).unwrap();
            }
            Node::Symlink(target) => {
                usual = 0o777;
                write!(text, " -> {}", String::from_utf8_lossy(target)).unwrap();
            }
            Node::HardLink(to) => write!(text, " = {to}").unwrap(),
            Node::CharacterDevice(_) => text += " null",
            Node::BlockDevice(_) => text += " disk",
            Node::Fifo => text += " fifo",
        }
        if entry.mode != usual {
            write!(text, " {:o}", entry.mode).unwrap();
        }
        if (entry.uid, entry.gid) != (0, 0) {
            write!(text, " {}:{}", entry.uid, entry.gid).unwrap();
        }
        if !entry.xattrs.is_empty() {
            text += " cap";
        }
        all += if all.is_empty() { "" } else { ", " };
        all += &text;
    }
    all
}

/// `[flags] source… destination` as a request in `/work`.
fn request(instruction: &str) -> Request {
    let mut request = Request { workdir: "/work".to_owned(), ..Request::default() };
    let mut words: Vec<&str> = instruction.split_whitespace().collect();
    request.unpack = words.remove(0) == "ADD";
    while words[0].starts_with("--") {
        let (flag, value) = words[0].split_once('=').unwrap_or((words[0], "true"));
        match flag {
            "--chown" => request.chown = Some(value.to_owned()),
            "--chmod" => request.chmod = Some(Chmod::parse(value).unwrap()),
            "--link" => request.link = true,
            "--parents" => request.parents = true,
            "--exclude" => request.excludes.push(value.to_owned()),
            "--unpack" => request.unpack = value == "true",
            other => panic!("{other}"),
        }
        words.remove(0);
    }
    request.destination = words.pop().unwrap().trim_matches('"').to_owned();
    for word in words {
        request.sources.push(match word.strip_prefix("<<") {
            Some(name) => Source::Inline { name: name.to_owned(), content: name.as_bytes().to_vec() },
            None => Source::Path(word.to_owned()),
        });
    }
    request
}

fn copy(context: &MemoryTree, stage: &MemoryTree, request: &Request) -> Result<Copied, BuildError> {
    let tmp = tempfile::tempdir().unwrap();
    select(context, "the build context", request)?.place(request, stage, tmp.path())
}

/// What most cases copy from.
const CONTEXT: &str = "a.txt, b.txt, c.md, run.sh 755, .hidden, \
    dir/x.py, dir/y.py 600, dir/sub/z.py 1:2, dir/sub/deep/w, dir/empty/ 700, dir/link -> x.py, \
    link.txt -> a.txt, abs -> /dir/sub, up -> ../../../a.txt, dangling -> nowhere, loop -> loop, \
    d2/x.py, d2/only2";

/// What most cases copy over.
const STAGE: &str = "etc/passwd, app/ 750 5:6, app/x.py 600 7:8, app/sub/ 711 9:9, app/old, app/file, \
    lib -> usr/lib, usr/lib/so, data -> /app/sub, dang -> later/there, bin/sh 755, tofile -> app/old, full/x.py/inner";

#[test]
fn sources_and_destinations() {
    for (instruction, layer) in [
        // A file to a file, to a directory, relative and absolute.
        ("COPY a.txt /x", "x <a.txt>"),
        ("COPY a.txt x", "work/, work/x <a.txt>"),
        ("COPY ./a.txt /x", "x <a.txt>"),
        ("COPY /a.txt /x", "x <a.txt>"),
        ("COPY a.txt /new/", "new/, new/a.txt <a.txt>"),
        ("COPY a.txt /new/.", "new/, new/a.txt <a.txt>"),
        ("COPY a.txt .", "work/, work/a.txt <a.txt>"),
        ("COPY a.txt ./", "work/, work/a.txt <a.txt>"),
        ("COPY a.txt \"\"", "work/, work/a.txt <a.txt>"),
        ("COPY a.txt ..", "a.txt <a.txt>"),
        ("COPY a.txt ../../../x", "x <a.txt>"),
        ("COPY a.txt /", "a.txt <a.txt>"),
        ("COPY a.txt /app", "app/a.txt <a.txt>"),
        ("COPY a.txt /app/", "app/a.txt <a.txt>"),
        ("COPY a.txt /app/new", "app/new <a.txt>"),
        ("COPY a.txt /deep/er/x", "deep/, deep/er/, deep/er/x <a.txt>"),
        ("COPY run.sh /x", "x <run.sh> 755"),
        // Several sources.
        ("COPY a.txt b.txt /new/", "new/, new/a.txt <a.txt>, new/b.txt <b.txt>"),
        ("COPY a.txt dir/x.py /app/", "app/a.txt <a.txt>, app/x.py <dir/x.py>"),
        ("COPY dir/x.py d2/x.py /app/", "app/x.py <d2/x.py>"),
        ("COPY a.txt b.txt /x", "x <b.txt>"),
        // Paths that climb out stop at the root of the context.
        ("COPY ../a.txt /x", "x <a.txt>"),
        ("COPY dir/../../b.txt /x", "x <b.txt>"),
        // A directory: its contents, whatever the destination is called.
        ("COPY d2 /new", "new/, new/only2 <d2/only2>, new/x.py <d2/x.py>"),
        ("COPY d2/ /new", "new/, new/only2 <d2/only2>, new/x.py <d2/x.py>"),
        ("COPY d2/. /new/", "new/, new/only2 <d2/only2>, new/x.py <d2/x.py>"),
        ("COPY d2 /app", "app/only2 <d2/only2>, app/x.py <d2/x.py>"),
        ("COPY d2 d2 /new/", "new/, new/only2 <d2/only2>, new/x.py <d2/x.py>"),
        ("COPY dir/empty /new", "new/"),
        ("COPY dir/empty /app", ""),
        (
            "COPY dir /new",
            "new/, new/empty/ 700, new/link -> x.py, new/sub/, new/sub/deep/, new/sub/deep/w <dir/sub/deep/w>, \
             new/sub/z.py <dir/sub/z.py> 1:2, new/x.py <dir/x.py>, new/y.py <dir/y.py> 600",
        ),
        // A directory that is there keeps what it is as the destination, and becomes the source's below it.
        ("COPY dir/sub /app/sub", "app/sub/deep/, app/sub/deep/w <dir/sub/deep/w>, app/sub/z.py <dir/sub/z.py> 1:2"),
        (
            "COPY dir /app",
            "app/empty/ 700, app/link -> x.py, app/sub/, app/sub/deep/, app/sub/deep/w <dir/sub/deep/w>, \
             app/sub/z.py <dir/sub/z.py> 1:2, app/x.py <dir/x.py>, app/y.py <dir/y.py> 600",
        ),
        // Links as named sources are followed inside the context, and keep their name.
        ("COPY link.txt /app/", "app/link.txt <a.txt>"),
        ("COPY up /app/", "app/up <a.txt>"),
        ("COPY abs /new", "new/, new/deep/, new/deep/w <dir/sub/deep/w>, new/z.py <dir/sub/z.py> 1:2"),
        ("COPY abs/z.py /x", "x <dir/sub/z.py> 1:2"),
        ("COPY dir/link /x", "x <dir/x.py>"),
        // Links of the stage are followed on the way to the destination, and at it.
        ("COPY a.txt /lib/x", "usr/lib/x <a.txt>"),
        ("COPY a.txt /lib/", "usr/lib/a.txt <a.txt>"),
        ("COPY a.txt /lib", "usr/lib/a.txt <a.txt>"),
        ("COPY a.txt /data/", "app/sub/a.txt <a.txt>"),
        ("COPY a.txt /data/../x", "x <a.txt>"),
        ("COPY a.txt /tofile", "app/old <a.txt>"),
        ("COPY a.txt /dang", "later/, later/there <a.txt>"),
        ("COPY a.txt /dang/", "later/, later/there/, later/there/a.txt <a.txt>"),
        ("COPY d2 /lib", "usr/lib/only2 <d2/only2>, usr/lib/x.py <d2/x.py>"),
    ] {
        check(CONTEXT, STAGE, instruction, layer);
    }
}

#[track_caller]
fn check(context: &str, stage: &str, instruction: &str, layer: &str) {
    let copied = copy(&tree(context), &tree(stage), &request(instruction));
    let got = copied.map_or_else(|error| format!("ERROR {error}"), |copied| shown(&copied.entries));
    assert_eq!(got, layer, "\n{instruction}");
}

#[test]
fn wildcards() {
    for (instruction, layer) in [
        ("COPY *.txt /n/", "n/, n/a.txt <a.txt>, n/b.txt <b.txt>, n/link.txt <a.txt>"),
        ("COPY ?.txt /n/", "n/, n/a.txt <a.txt>, n/b.txt <b.txt>"),
        ("COPY [ab].txt /n/", "n/, n/a.txt <a.txt>, n/b.txt <b.txt>"),
        ("COPY [^a].txt /n/", "n/, n/b.txt <b.txt>"),
        ("COPY [a-b].txt c.md /n/", "n/, n/a.txt <a.txt>, n/b.txt <b.txt>, n/c.md <c.md>"),
        ("COPY d*/x.py /n/", "n/, n/x.py <dir/x.py>"),
        ("COPY di?/sub/*.py /n/", "n/, n/z.py <dir/sub/z.py> 1:2"),
        ("COPY d2* /n/", "n/, n/only2 <d2/only2>, n/x.py <d2/x.py>"),
        ("COPY .h* /n/", "n/, n/.hidden <.hidden>"),
        ("COPY abs/*.py /n/", "n/, n/z.py <dir/sub/z.py> 1:2"),
        ("COPY **/x.py /n/", "n/, n/x.py <dir/x.py>"),
        // What matches nothing copies nothing, not even the directory.
        ("COPY *.none /n/", ""),
        ("COPY a.txt *.none /n/", "n/, n/a.txt <a.txt>"),
        ("COPY nodir*/x /n/", ""),
        ("COPY a.txt/* /n/", ""),
        ("COPY [ /n/", "ERROR `[` is no pattern: `[` has a `[` without its `]`"),
        ("COPY dangl* /n/", "ERROR `dangl*` is not in the build context: it is a link that leads to `nowhere`"),
    ] {
        check(CONTEXT, STAGE, instruction, layer);
    }
    check("arr[0].txt, arr0.txt", "", "COPY arr[[]0].txt /n/", "n/, n/arr[0].txt <arr[0].txt>");
    check("a*b, ab", "", "COPY a\\** /n/", "n/, n/a*b <a*b>");
}

#[test]
fn what_is_in_the_way() {
    for (instruction, layer) in [
        ("COPY a.txt /app/old", "app/old <a.txt>"),
        ("COPY a.txt /app/old/", "ERROR `/app/old` is there and is no directory"),
        ("COPY a.txt /app/old/x", "ERROR `/app/old` is there and is no directory"),
        ("COPY d2 /app/old", "ERROR `/app/old` is there and is no directory; a directory cannot be copied to it"),
        ("COPY d2 /full", "ERROR `/full/x.py` is a directory; a file cannot take its place"),
        ("COPY dir/x.py /full/", "ERROR `/full/x.py` is a directory; a file cannot take its place"),
        ("COPY dir/x.py /full/x.py", "full/x.py/x.py <dir/x.py>"),
        ("COPY a.txt /tofile/", "ERROR `/app/old` is there and is no directory"),
    ] {
        check(CONTEXT, STAGE, instruction, layer);
    }
    // Below the destination links of the stage are not followed: a file takes the place of one, a directory does not.
    check("d/f, d/s/g", "o/f -> x, o/x", "COPY d/f /o/", "o/f <d/f>");
    check("d/f", "o/f -> x, o/x", "COPY d /o", "o/f <d/f>");
    let error = "ERROR `/o/s` is there and is no directory; a directory cannot be copied to it";
    check("d/s/g", "o/s -> x, o/x/", "COPY d /o", error);
    check("d/s -> t", "o/s/", "COPY d /o", "ERROR `/o/s` is a directory; a file cannot take its place");
    check("d/s -> t", "o/s", "COPY d /o", "o/s -> t");
    check(".wh.x", "", "COPY . /o", "ERROR `/o/.wh.x` cannot stand in an image: in a layer such a name deletes a file");
}

#[test]
fn owners_and_modes() {
    for (instruction, layer) in [
        ("COPY --chown=1:2 a.txt /n/", "n/ 1:2, n/a.txt <a.txt> 1:2"),
        ("COPY --chown=3 a.txt /n/m/x", "n/ 3:3, n/m/ 3:3, n/m/x <a.txt> 3:3"),
        ("COPY --chown=1:2 a.txt /app/", "app/a.txt <a.txt> 1:2"),
        (
            "COPY --chown=1:2 dir/sub /app/",
            "app/deep/ 1:2, app/deep/w <dir/sub/deep/w> 1:2, app/z.py <dir/sub/z.py> 1:2",
        ),
        ("COPY --chown=nobody a.txt /x", "x <a.txt>"),
        ("COPY --chmod=755 a.txt /x", "x <a.txt> 755"),
        ("COPY --chmod=600 a.txt /n/", "n/ 600, n/a.txt <a.txt> 600"),
        ("COPY --chmod=4755 a.txt /n/x", "n/, n/x <a.txt> 4755"),
        (
            "COPY --chmod=700 abs /n",
            "n/ 700, n/deep/ 700, n/deep/w <dir/sub/deep/w> 700, n/z.py <dir/sub/z.py> 700 1:2",
        ),
        ("COPY --chmod=u+x,go-r a.txt /n/", "n/, n/a.txt <a.txt> 700"),
        ("COPY --chmod=a+rX abs /n/", "n/, n/deep/, n/deep/w <dir/sub/deep/w>, n/z.py <dir/sub/z.py> 1:2"),
        (
            "COPY --chmod=go-rwx dir/sub /app/",
            "app/deep/ 700, app/deep/w <dir/sub/deep/w> 600, app/z.py <dir/sub/z.py> 600 1:2",
        ),
        ("COPY --chmod=600 dir/link /x", "x <dir/x.py> 600"),
    ] {
        check(CONTEXT, STAGE, instruction, layer);
    }
    check("d/l -> f", "", "COPY --chmod=600 --chown=1:2 d /n/", "n/ 600 1:2, n/l -> f 1:2");
}

#[test]
fn parents() {
    for (instruction, layer) in [
        ("COPY --parents dir/x.py /n/", "n/, n/dir/, n/dir/x.py <dir/x.py>"),
        (
            "COPY --parents dir/sub/deep /n/",
            "n/, n/dir/, n/dir/sub/, n/dir/sub/deep/, n/dir/sub/deep/w <dir/sub/deep/w>",
        ),
        ("COPY --parents ./dir/./sub/deep/w /n/", "n/, n/sub/, n/sub/deep/, n/sub/deep/w <dir/sub/deep/w>"),
        ("COPY --parents */x.py /n/", "n/, n/d2/, n/d2/x.py <d2/x.py>, n/dir/, n/dir/x.py <dir/x.py>"),
        (
            "COPY --parents **/*.py /n/",
            "n/, n/d2/, n/d2/x.py <d2/x.py>, n/dir/, n/dir/sub/, n/dir/sub/z.py <dir/sub/z.py> 1:2, \
             n/dir/x.py <dir/x.py>, n/dir/y.py <dir/y.py> 600",
        ),
        ("COPY --parents d[2i]*/./x.py /n/", "n/, n/x.py <dir/x.py>"),
        ("COPY --parents a.txt dir/empty /n/", "n/, n/a.txt <a.txt>, n/dir/, n/dir/empty/ 700"),
        ("COPY --parents --chown=1:1 dir/x.py /n/", "n/ 1:1, n/dir/ 1:1, n/dir/x.py <dir/x.py> 1:1"),
        ("COPY --parents --exclude=**/y.py dir/*.py /n/", "n/, n/dir/, n/dir/x.py <dir/x.py>"),
        ("COPY --parents *.none /n/", "n/"),
        ("COPY --parents dir/none /n/", "ERROR `dir/none` is not in the build context"),
    ] {
        check(CONTEXT, STAGE, instruction, layer);
    }
    check(
        "app/sub/f",
        "app/ 700 5:5, app/sub/ 711 9:9",
        "COPY --parents app/sub/f /",
        "app/ 5:5, app/sub/ 9:9, app/sub/f <app/sub/f>",
    );
}

#[test]
fn excludes() {
    for (instruction, layer) in [
        ("COPY --exclude=*.py d2 /n", "n/, n/only2 <d2/only2>"),
        ("COPY --exclude=only2 d2 /n", "n/, n/x.py <d2/x.py>"),
        ("COPY --exclude=sub --exclude=*.py --exclude=l* dir /n", "n/, n/empty/ 700"),
        (
            "COPY --exclude=**/*.py --exclude=empty dir /n",
            "n/, n/link -> x.py, n/sub/, n/sub/deep/, n/sub/deep/w <dir/sub/deep/w>",
        ),
        ("COPY --exclude=* --exclude=!sub/deep dir /n", "n/, n/sub/, n/sub/deep/, n/sub/deep/w <dir/sub/deep/w>"),
        ("COPY --exclude=*.py --exclude=!x.py d2 /n", "n/, n/only2 <d2/only2>, n/x.py <d2/x.py>"),
        ("COPY --exclude=/x.py d2 /n", "n/, n/only2 <d2/only2>, n/x.py <d2/x.py>"),
        // A file that is named itself is not below anything.
        ("COPY --exclude=a.txt a.txt /n/", "n/, n/a.txt <a.txt>"),
        ("COPY --exclude=[ d2 /n", "ERROR --exclude: line 1: `[` has a `[` without its `]`"),
    ] {
        check(CONTEXT, STAGE, instruction, layer);
    }
}

#[test]
fn link_stands_alone() {
    for (instruction, layer) in [
        ("COPY --link a.txt /lib/x", "lib/, lib/x <a.txt>"),
        ("COPY --link a.txt /app", "app <a.txt>"),
        ("COPY --link a.txt /app/", "app/, app/a.txt <a.txt>"),
        ("COPY --link d2 /app", "app/, app/only2 <d2/only2>, app/x.py <d2/x.py>"),
        ("COPY --link --chown=1:2 a.txt /data/x", "data/ 1:2, data/x <a.txt> 1:2"),
        ("COPY --link --chmod=600 a.txt /lib/x", "usr/lib/x <a.txt> 600"),
        ("COPY --link --chown=app a.txt /x", "ERROR --chown=app has the name `app`, and --link looks at no stage"),
    ] {
        check(CONTEXT, STAGE, instruction, layer);
    }
}

#[test]
fn heredocs_are_files() {
    for (instruction, layer) in [
        ("COPY <<hello /x", "x <hello>"),
        ("COPY <<hello /n/", "n/, n/hello <hello>"),
        ("COPY <<one <<two a.txt /app/", "app/a.txt <a.txt>, app/one <one>, app/two <two>"),
        ("COPY --chmod=755 --chown=1:2 <<run /x", "x <run> 755 1:2"),
        ("ADD <<hello /x", "x <hello>"),
    ] {
        check(CONTEXT, STAGE, instruction, layer);
    }
}

#[test]
fn special_files_links_and_attributes() {
    check("d/a, d/b = d/a, d/c/e = d/a", "", "COPY d /n", "n/, n/a <d/a>, n/b = n/a, n/c/, n/c/e = n/a");
    check("d/a, d/b = d/a", "", "COPY --exclude=a d /n", "n/, n/b <d/a>");
    check("d/a, d/b = d/a", "", "COPY d/a d/b /n/", "n/, n/a <d/a>, n/b <d/a>");
    check("d/a, d/b = d/a, e/a", "", "COPY d e /n/", "n/, n/a <e/a>, n/b <d/a>");
    check(
        "d/p fifo 600, d/n null 666 1:2, d/s disk 660",
        "",
        "COPY d /n",
        "n/, n/n null 666 1:2, n/p fifo 600, n/s disk 660",
    );
    check("ping 755 cap", "", "COPY ping /n/", "n/, n/ping <ping> 755 cap");
    check("d/ping 755 cap", "", "COPY d /", "ping <d/ping> 755 cap");
    check("su 4755", "", "COPY su /x", "x <su> 4755");
}

#[test]
fn what_is_missing_is_named() {
    for (instruction, message, hint) in [
        ("COPY a.tx /x", "`a.tx` is not in the build context", Some("there is `a.txt`")),
        ("COPY A.TXT /x", "`A.TXT` is not in the build context", Some("there is `a.txt`, `b.txt`")),
        ("COPY dir/xx.py /x", "`dir/xx.py` is not in the build context", Some("there is `dir/x.py`")),
        ("COPY dur/x.py /x", "`dur/x.py` is not in the build context", Some("there is `dir`")),
        (
            "COPY dir/qqq /x",
            "`dir/qqq` is not in the build context",
            Some("`dir` is there, but nothing in it has that name"),
        ),
        ("COPY a.txt/x /x", "`a.txt/x` is not in the build context", Some("`a.txt` is no directory")),
        ("COPY qqqqq /x", "`qqqqq` is not in the build context", None),
        ("COPY dangling /x", "`dangling` is not in the build context: it is a link that leads to `nowhere`", None),
        ("COPY loop /x", "`loop`: too many symbolic links lead round in circles", None),
    ] {
        let error = copy(&tree(CONTEXT), &tree(STAGE), &request(instruction)).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.hint_text(), hint, "{instruction}");
    }
}

#[test]
fn keys_hold_what_matters_and_nothing_else() {
    let key = |context: &str, instruction: &str| {
        select(&tree(context), "the build context", &request(instruction)).unwrap().key()
    };
    let base = key("d/a, d/b", "COPY d /n");
    assert_eq!(base, key("d/b, d/a, other", "COPY d /n"), "what is not copied does not count");
    assert_eq!(base, key("d/a, d/b", "COPY d/. /n"));
    let mut later = entries("d/a, d/b");
    later.iter_mut().for_each(|entry| entry.mtime = Some(12345));
    let later = MemoryTree::from_entries(later).unwrap();
    assert_eq!(base, select(&later, "", &request("COPY d /n")).unwrap().key(), "times do not count");
    for (context, instruction) in [
        ("d/a, d/b 755", "COPY d /n"),
        ("d/a, d/b 1:1", "COPY d /n"),
        ("d/a, d/b cap", "COPY d /n"),
        ("d/a, d/c", "COPY d /n"),
        ("d/a, d/b -> a", "COPY d /n"),
        ("d/a, d/b = d/a", "COPY d /n"),
        ("d/a, d/b, d/c/", "COPY d /n"),
        ("d/a, d/b", "COPY d /m"),
        ("d/a, d/b", "COPY d /n/"),
        ("d/a, d/b", "COPY --link d /n"),
        ("d/a, d/b", "COPY --chown=0:0 d /n"),
        ("d/a, d/b", "COPY --chmod=u+x d /n"),
        ("d/a, d/b", "ADD d /n"),
    ] {
        assert_ne!(base, key(context, instruction), "{context}: {instruction}");
    }
    assert_eq!(key("d/a 1:1", "COPY --chown=5 d /n"), key("d/a 2:2", "COPY --chown=5 d /n"));
    let selection = select(&tree("d/a, d/b, f"), "", &request("COPY d f /n/")).unwrap();
    assert_eq!(selection.fingerprints().keys().collect::<Vec<_>>(), ["d", "d/a", "d/b", "f"]);
    assert_eq!(selection.bytes(), 7);
}

#[test]
fn times_come_along() {
    let mut entries = entries("d/a, d/e/");
    entries.iter_mut().for_each(|entry| entry.mtime = Some(77));
    let context = MemoryTree::from_entries(entries).unwrap();
    let copied = copy(&context, &MemoryTree::new(), &request("COPY d /n")).unwrap();
    let times: Vec<_> = copied.entries.iter().map(|entry| (entry.path.to_string(), entry.mtime)).collect();
    assert_eq!(times, [("n".to_owned(), None), ("n/a".to_owned(), Some(77)), ("n/e".to_owned(), Some(77))]);
}

/// A tar of `members`: names, kinds and links, in this order.
fn tar(members: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (number, (name, kind, link)) in members.iter().enumerate() {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(if kind.is_dir() { 0o750 } else { 0o640 });
        header.set_uid(10 + number as u64);
        header.set_gid(20);
        header.set_mtime(99);
        let content = if kind.is_file() { *name } else { "" };
        header.set_size(content.len() as u64);
        if matches!(kind, tar::EntryType::Char) {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn unpacked(archive: &[u8], stage: &str, instruction: &str) -> String {
    let mut context = MemoryTree::new();
    context.insert_text(&path("x.tar"), archive);
    copy(&context, &tree(stage), &request(instruction))
        .map_or_else(|error| format!("ERROR {error}"), |copied| shown(&copied.entries))
}

#[test]
fn archives_are_unpacked() {
    use tar::EntryType::{Char, Directory, Fifo, Link, Regular, Symlink};
    let plain = tar(&[("./", Directory, ""), ("d/", Directory, ""), ("d/f", Regular, ""), ("deep/er/f", Regular, "")]);
    let files = "n/, n/d/ 750 11:20, n/d/f <d/f> 640 12:20, n/deep/, n/deep/er/, n/deep/er/f <deep/er/f> 640 13:20";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &plain).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    std::io::Write::write_all(&mut bzip2, &plain).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    std::io::Write::write_all(&mut xz, &plain).unwrap();
    for packed in [
        plain.clone(),
        gzip.finish().unwrap(),
        bzip2.finish().unwrap(),
        xz.finish().unwrap(),
        zstd::encode_all(&plain[..], 1).unwrap(),
    ] {
        assert_eq!(unpacked(&packed, "", "ADD x.tar /n"), files);
        assert_eq!(unpacked(&packed, "", "ADD x.tar /n/"), files);
        assert_eq!(unpacked(&packed, "", "ADD *.tar /n/"), files);
    }
    for (instruction, layer) in [
        (
            "ADD --chown=1:2 x.tar /n",
            "n/ 1:2, n/d/ 750 1:2, n/d/f <d/f> 640 1:2, n/deep/, n/deep/er/, n/deep/er/f <deep/er/f> 640 1:2",
        ),
        ("ADD --chmod=777 x.tar /n", files),
    ] {
        assert_eq!(unpacked(&plain, "", instruction), layer);
    }
    for instruction in ["COPY x.tar /n/", "ADD --unpack=false x.tar /n/"] {
        assert!(unpacked(&plain, "", instruction).starts_with("n/, n/x.tar <"), "{instruction}");
    }
    assert_eq!(unpacked(b"no archive", "", "ADD x.tar /n/"), "n/, n/x.tar <no archive>");
    assert!(unpacked(&[0; 1024], "", "ADD x.tar /n/").starts_with("n/, n/x.tar"), "an archive of nothing is a file");

    let odd = tar(&[
        ("f", Regular, ""),
        ("l", Symlink, "/etc/passwd"),
        ("h", Link, "f"),
        ("p", Fifo, ""),
        ("c", Char, ""),
        ("/abs", Regular, ""),
    ]);
    let layer = "n/, n/abs </abs> 640 15:20, n/c null 640 14:20, n/f <f> 640 10:20, n/h = n/f 640 10:20, n/l -> /etc/passwd 11:20, \
                 n/p fifo 640 13:20";
    assert_eq!(unpacked(&odd, "", "ADD x.tar /n"), layer);
}

#[test]
fn archives_stay_below_the_destination() {
    use tar::EntryType::{Directory, Link, Regular, Symlink};
    // Links of the stage, and of the archive itself, are followed with the destination as their root.
    let through = tar(&[("lib/f", Regular, "")]);
    assert_eq!(unpacked(&through, "lib -> usr/lib, usr/lib/", "ADD x.tar /"), "usr/lib/f <lib/f> 640 10:20");
    assert_eq!(
        unpacked(&through, "n/lib -> /usr/lib, usr/lib/", "ADD x.tar /n"),
        "n/usr/, n/usr/lib/, n/usr/lib/f <lib/f> 640 10:20"
    );
    let own = tar(&[("l", Symlink, "../../../etc"), ("l/f", Regular, "")]);
    assert_eq!(
        unpacked(&own, "etc/x", "ADD x.tar /n"),
        "n/, n/etc/, n/etc/f <l/f> 640 11:20, n/l -> ../../../etc 10:20"
    );
    // What is in the way goes; a directory in the way of a directory stays, and becomes the archive's.
    let over = tar(&[("d/", Directory, ""), ("f", Regular, "")]);
    assert_eq!(unpacked(&over, "n/d/x, n/f/x", "ADD x.tar /n"), "n/d/ 750 10:20, n/f <f> 640 11:20");
    assert_eq!(unpacked(&over, "n/d -> x, n/f -> x", "ADD x.tar /n"), "n/d/ 750 10:20, n/f <f> 640 11:20");
    // A hard link to a file of the stage brings it along.
    let link = tar(&[("h", Link, "etc/passwd")]);
    assert_eq!(
        unpacked(&link, "etc/passwd 600 1:1", "ADD x.tar /"),
        "etc/passwd <etc/passwd> 600 1:1, h = etc/passwd 600 1:1"
    );
    for (members, error) in [
        (tar(&[("../f", Regular, "")]), "climbs out"),
        (tar(&[("a/../../f", Regular, "")]), "climbs out"),
        (tar(&[("h", Link, "../etc/passwd")]), "climbs out"),
        (tar(&[("h", Link, "nowhere")]), "`n/h` is a hard link to `/n/nowhere`, which is no file"),
        (tar(&[(".wh.f", Regular, "")]), "in a layer such a name deletes a file"),
        (tar(&[("f", Regular, ""), ("f/g", Regular, "")]), "`/n/f` is there and is no directory"),
        (tar(&[("f", Regular, ""), ("q", tar::EntryType::new(b'Q'), "")]), "is of the type `Q`, which is unknown"),
        (tar(&[("f", Regular, ""), ("g", Regular, "")])[..1100].to_vec(), "cut short"),
    ] {
        let got = unpacked(&members, "", "ADD x.tar /n");
        assert!(got.starts_with("ERROR x.tar: ") && got.contains(error), "{got}");
    }
}

#[test]
fn what_was_fetched_is_copied() {
    let fetched = |path: &str, unpack: bool| {
        let tree: Arc<dyn FileTree> = Arc::new(tree("f 600, d/g, sub/h -> ../f"));
        Source::Fetched { tree, path: path.as_bytes().to_vec(), unpack }
    };
    for (path, destination, layer) in [
        ("f", "/n/", "n/, n/f <f> 600"),
        ("f", "/app", "app/f <f> 600"),
        ("", "/n", "n/, n/d/, n/d/g <d/g>, n/f <f> 600, n/sub/, n/sub/h -> ../f"),
        ("", "/app/", "app/d/, app/d/g <d/g>, app/f <f> 600, app/sub/ , app/sub/h -> ../f"),
    ] {
        let request = Request { sources: vec![fetched(path, false)], ..request(&format!("ADD a {destination}")) };
        let copied = copy(&MemoryTree::new(), &tree(STAGE), &request).unwrap();
        assert_eq!(shown(&copied.entries), layer.replace("/ ,", "/,"), "{path} {destination}");
    }
}
