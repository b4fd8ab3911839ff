//! Options in, mounts and errors out.

use super::*;
use crate::expand::Escape;

fn spec(value: &str) -> Result<MountSpec, MountError> {
    let mut word = Word::default();
    word.push_str(value, 100);
    MountSpec::parse(&word)
}

fn resolve(value: &str) -> Result<Mount, MountError> {
    let env = [("cache".to_owned(), "/root/.cache".to_owned()), ("yes".to_owned(), "true".to_owned())];
    spec(value)?.resolve(Expander::new(Escape::Backslash), &env.as_slice())
}

#[test]
fn every_option_is_read() {
    let text = |text: &str| Some(text.to_owned());
    let cases = [
        ("target=/a", Mount { target: text("/a"), read_only: true, ..Mount::default() }),
        (
            "type=bind,source=x,dst=/a,from=base,rw",
            Mount { from: text("base"), source: text("x"), target: text("/a"), ..Mount::default() },
        ),
        (
            "TYPE=Cache,id=pip,destination=$cache/pip,sharing=locked,mode=0755,uid=1,gid=2,ro=$yes",
            Mount {
                kind: MountKind::Cache,
                id: text("pip"),
                target: text("/root/.cache/pip"),
                sharing: Sharing::Locked,
                mode: Some(0o755),
                uid: Some(1),
                gid: Some(2),
                read_only: true,
                ..Mount::default()
            },
        ),
        (
            "size=1.5GiB,type=tmpfs,target=/t",
            Mount { kind: MountKind::Tmpfs, size: Some(3 << 29), target: text("/t"), ..Mount::default() },
        ),
        (
            "required,type=secret,id=a,env=TOKEN,mode=400",
            Mount {
                kind: MountKind::Secret,
                id: text("a"),
                env: text("TOKEN"),
                mode: Some(0o400),
                required: true,
                read_only: true,
                ..Mount::default()
            },
        ),
        ("type=ssh,required=false,readwrite=0", Mount { kind: MountKind::Ssh, read_only: true, ..Mount::default() }),
        ("\"target=/a,b\",\"src=\"\"q\"\"\",rw", Mount { target: text("/a,b"), source: text("q"), ..Mount::default() }),
    ];
    for (value, expected) in cases {
        assert_eq!(resolve(value), Ok(expected), "{value}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let cases = [
        (
            "type=cach,target=/a",
            (105, 109),
            "`cach` is no value of the option `type` of `--mount`",
            "did you mean `cache`?",
        ),
        (
            "type=nfs",
            (105, 108),
            "`nfs` is no value of the option `type` of `--mount`",
            "it is `bind`, `cache`, `tmpfs`, `secret` or `ssh`",
        ),
        ("targt=/a", (100, 105), "`--mount` has no option `targt`", "did you mean `target`?"),
        ("target", (100, 106), "the option `target` of `--mount` needs a value", "write `target=…`"),
        ("type=secret", (100, 111), "the secret has no `id`", "write `type=secret,id=…`"),
        ("type=secret,id=a,src=b", (100, 122), "the secret has both `id` and `source`", "take it away"),
        ("type=secret,id=a,from=b", (117, 121), "a mount of type `secret` has no option `from`", "take it away"),
        ("type=bind,sharing=locked", (110, 117), "a mount of type `bind` has no option `sharing`", "take it away"),
        (
            "type=cache,sharing=lock",
            (119, 123),
            "`lock` is no value of the option `sharing` of `--mount`",
            "did you mean `locked`?",
        ),
        (
            "type=tmpfs,size=1x",
            (116, 118),
            "`1x` is no value of the option `size` of `--mount`",
            "it is a size as `64m`",
        ),
        (
            "type=cache,mode=09",
            (116, 118),
            "`09` is no value of the option `mode` of `--mount`",
            "it is an octal number as `0755`",
        ),
        ("uid=1", (100, 103), "a mount of type `bind` has no option `uid`", "take it away"),
        (
            "type=cache,uid=app",
            (115, 118),
            "`app` is no value of the option `uid` of `--mount`",
            "it is a number; names are not looked up here",
        ),
        ("required", (100, 108), "a mount of type `bind` has no option `required`", "take it away"),
        ("ro=maybe", (103, 108), "`maybe` is no value of the option `ro` of `--mount`", "it is `true` or `false`"),
        (
            "target=/a\"b",
            (109, 110),
            "the options of `--mount` have a quote out of place",
            "put the whole option in quotes, and escape them: `\\\"target=/a,b\\\"`",
        ),
        (
            "\"target=/a",
            (100, 101),
            "the options of `--mount` have a quote out of place",
            "put the whole option in quotes, and escape them: `\\\"target=/a,b\\\"`",
        ),
        ("target=${a", (107, 110), "`${` is never closed", "write `\\$` for a dollar sign that stands for itself"),
    ];
    for (value, (start, end), message, hint) in cases {
        let error = resolve(value).unwrap_err();
        let said = (error.to_string(), error.hint().unwrap(), error.span);
        assert_eq!(said, (message.to_owned(), hint.to_owned(), Span::new(start, end)), "{value}");
    }
}

#[test]
fn values_with_variables_are_left_for_later() {
    let check = |value: &str| {
        spec(value).unwrap().check(Expander::default()).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(check("type=$kind,target=$t"), [""; 0]);
    assert_eq!(check("type=cache,uid=$uid,nope=1"), ["`--mount` has no option `nope`"]);
    assert_eq!(check("from=$image,target=/a"), ["`from` of `--mount` does not expand variables"]);
    assert_eq!(check("type=cache,uid=x"), ["`x` is no value of the option `uid` of `--mount`"]);
}

#[test]
fn sizes_are_binary() {
    let cases = [("10", Some(10)), ("10b", Some(10)), ("1k", Some(1024)), ("1KB", Some(1024)), ("1 KiB", Some(1024))];
    for (value, expected) in
        cases.into_iter().chain([("", None), ("k", None), ("1ib", None), ("-1", None), ("9e99p", None)])
    {
        assert_eq!(size(value), expected, "{value}");
    }
}
