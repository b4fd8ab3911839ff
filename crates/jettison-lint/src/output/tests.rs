use super::*;
use crate::finding::{Finding, Fix, Place, Safety};
use crate::rule::Severity;
use crate::rules;
use jettison_dockerfile::{Dockerfile, Edit, Span};
use jettison_tree::TreePath;

const TEXT: &str = "FROM python:3.12\nRUN apt-get install -y \\\n    gcc\t<é> libpq-dev\nCMD x\u{1b}[2J\n";

/// A finding in the middle of a file, with all that one can have, and one in a file of the context.
fn reports() -> Vec<Report> {
    let rule = rules::all().find(|rule| rule.code == "JET120").unwrap();
    let at = |piece: &str| {
        let start = TEXT.find(piece).unwrap();
        Span::new(start, start + piece.len())
    };
    let finding = Finding {
        rule,
        severity: Severity::Warning,
        place: Place::Dockerfile(at("libpq-dev")),
        message: "libpq-dev & <gcc>: 100%, stay".to_owned(),
        labels: vec![(at("apt-get"), "installed here".to_owned())],
        help: Some("install them\nelsewhere".to_owned()),
        saves: Some(402_000_000),
        fix: Some(Fix {
            safety: Safety::Unsafe,
            title: "remove it".to_owned(),
            edits: vec![Edit { span: at(" libpq-dev"), text: String::new() }],
            files: Vec::new(),
        }),
        foreign_code: None,
    };
    let place = Place::Context { path: TreePath::parse("require ments.txt").unwrap(), line: Some(3) };
    let other = Finding {
        severity: Severity::Error,
        place,
        message: "x\u{1b}y".to_owned(),
        labels: Vec::new(),
        help: None,
        saves: None,
        fix: None,
        foreign_code: Some("SC2086".to_owned()),
        ..finding.clone()
    };
    let whole = Finding {
        severity: Severity::Info,
        place: Place::Dockerfile(at("RUN apt-get install -y \\\n    gcc")),
        labels: Vec::new(),
        ..other.clone()
    };
    let file = Dockerfile::parse(TEXT);
    let clean = Report { path: "b/Dockerfile".into(), context: "b/".into(), file: file.clone(), findings: Vec::new() };
    vec![
        Report { path: "a:b/Dockerfile".into(), context: "a:b/".into(), file, findings: vec![whole, finding, other] },
        clean,
    ]
}

#[test]
fn text_underlines_what_is_wrong() {
    insta::assert_snapshot!(render(&reports(), Format::Text { colour: false }), @r##"
info[SC2086 unbuffered-output-missing]: x\u{1b}y
 --> a:b/Dockerfile:2:1
  |
2 | RUN apt-get install -y \
  | ^^^^^^^^^^^^^^^^^^^^^^^^

warning[JET120 unbuffered-output-missing]: libpq-dev & <gcc>: 100%, stay
 --> a:b/Dockerfile:3:13
  |
2 | RUN apt-get install -y \
  |     ------- installed here
3 |     gcc    <é> libpq-dev
  |                ^^^^^^^^^
  |
  = help: install them
          elsewhere
  = fix: remove it (--unsafe-fixes)
  = saves: 402.0 MB

error[SC2086 unbuffered-output-missing]: x\u{1b}y
--> a:b/require ments.txt:3
"##);
    let coloured = render(&reports(), Format::Text { colour: true });
    assert!(coloured.contains("\x1b[") && !coloured.contains("\x1b[2J"), "{coloured:?}");
    assert_eq!(render(&[], Format::Text { colour: true }), "");
}

#[test]
fn json_has_everything() {
    insta::assert_snapshot!(render(&reports()[..1], Format::Json), @r##"
{
  "version": 1,
  "files": [
    "a:b/Dockerfile"
  ],
  "findings": [
    {
      "file": "a:b/Dockerfile",
      "line": 2,
      "column": 1,
      "end_line": 3,
      "end_column": 8,
      "code": "JET120",
      "name": "unbuffered-output-missing",
      "aliases": [
        "SC2086"
      ],
      "severity": "info",
      "message": "x\u001by",
      "help": null,
      "saves_bytes": null,
      "labels": [],
      "fix": null,
      "fingerprint": "83a216ddf95308c3"
    },
    {
      "file": "a:b/Dockerfile",
      "line": 3,
      "column": 13,
      "end_line": 3,
      "end_column": 22,
      "code": "JET120",
      "name": "unbuffered-output-missing",
      "aliases": [],
      "severity": "warning",
      "message": "libpq-dev & <gcc>: 100%, stay",
      "help": "install them\nelsewhere",
      "saves_bytes": 402000000,
      "labels": [
        {
          "file": "a:b/Dockerfile",
          "line": 2,
          "column": 5,
          "end_line": 2,
          "end_column": 12,
          "text": "installed here"
        }
      ],
      "fix": {
        "safety": "unsafe",
        "title": "remove it",
        "edits": [
          {
            "file": "a:b/Dockerfile",
            "line": 3,
            "column": 12,
            "end_line": 3,
            "end_column": 22,
            "text": ""
          }
        ],
        "files": []
      },
      "fingerprint": "2e294406820ab09c"
    },
    {
      "file": "a:b/require ments.txt",
      "line": 3,
      "column": 1,
      "end_line": null,
      "end_column": null,
      "code": "JET120",
      "name": "unbuffered-output-missing",
      "aliases": [
        "SC2086"
      ],
      "severity": "error",
      "message": "x\u001by",
      "help": null,
      "saves_bytes": null,
      "labels": [],
      "fix": null,
      "fingerprint": "b97e5d609862e6da"
    }
  ]
}
"##);
    assert_eq!(render(&[], Format::Json), "{\n  \"version\": 1,\n  \"files\": [],\n  \"findings\": []\n}\n");
}

#[test]
fn sarif_says_where_and_what_to_replace() {
    let text = render(&reports(), Format::Sarif);
    let mut log: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rule = log["runs"][0]["tool"]["driver"]["rules"][0].take();
    assert!(rule["help"]["markdown"].as_str().unwrap().starts_with("# unbuffered-output-missing (JET120)\n"));
    log["runs"][0]["tool"]["driver"]["rules"] = serde_json::Value::Null;
    insta::assert_snapshot!(format!("{log:#}"), @r##"
{
  "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
  "version": "2.1.0",
  "runs": [
    {
      "tool": {
        "driver": {
          "name": "jettison lint",
          "semanticVersion": "0.1.0",
          "informationUri": "https://github.com/jettison-build/jettison",
          "rules": null
        }
      },
      "columnKind": "unicodeCodePoints",
      "artifacts": [
        {
          "location": {
            "uri": "a%3Ab/Dockerfile"
          }
        },
        {
          "location": {
            "uri": "b/Dockerfile"
          }
        }
      ],
      "results": [
        {
          "ruleId": "JET120",
          "ruleIndex": 0,
          "level": "note",
          "message": {
            "text": "x\u001by"
          },
          "locations": [
            {
              "physicalLocation": {
                "artifactLocation": {
                  "uri": "a%3Ab/Dockerfile"
                },
                "region": {
                  "startLine": 2,
                  "startColumn": 1,
                  "endLine": 3,
                  "endColumn": 8
                }
              }
            }
          ],
          "partialFingerprints": {
            "jettisonLint/v1": "83a216ddf95308c3:1"
          },
          "properties": {
            "foreignCode": "SC2086"
          }
        },
        {
          "ruleId": "JET120",
          "ruleIndex": 0,
          "level": "warning",
          "message": {
            "text": "libpq-dev & <gcc>: 100%, stay. install them\nelsewhere"
          },
          "locations": [
            {
              "physicalLocation": {
                "artifactLocation": {
                  "uri": "a%3Ab/Dockerfile"
                },
                "region": {
                  "startLine": 3,
                  "startColumn": 13,
                  "endLine": 3,
                  "endColumn": 22
                }
              }
            }
          ],
          "partialFingerprints": {
            "jettisonLint/v1": "2e294406820ab09c:1"
          },
          "relatedLocations": [
            {
              "physicalLocation": {
                "artifactLocation": {
                  "uri": "a%3Ab/Dockerfile"
                },
                "region": {
                  "startLine": 2,
                  "startColumn": 5,
                  "endLine": 2,
                  "endColumn": 12
                }
              },
              "id": 0,
              "message": {
                "text": "installed here"
              }
            }
          ],
          "fixes": [
            {
              "description": {
                "text": "remove it (unsafe: look at what it does)"
              },
              "artifactChanges": [
                {
                  "artifactLocation": {
                    "uri": "a%3Ab/Dockerfile"
                  },
                  "replacements": [
                    {
                      "deletedRegion": {
                        "startLine": 3,
                        "startColumn": 12,
                        "endLine": 3,
                        "endColumn": 22
                      },
                      "insertedContent": {
                        "text": ""
                      }
                    }
                  ]
                }
              ]
            }
          ],
          "properties": {
            "savesBytes": 402000000
          }
        },
        {
          "ruleId": "JET120",
          "ruleIndex": 0,
          "level": "error",
          "message": {
            "text": "x\u001by"
          },
          "locations": [
            {
              "physicalLocation": {
                "artifactLocation": {
                  "uri": "a%3Ab/require%20ments.txt"
                },
                "region": {
                  "startLine": 3
                }
              }
            }
          ],
          "partialFingerprints": {
            "jettisonLint/v1": "b97e5d609862e6da:1"
          },
          "properties": {
            "foreignCode": "SC2086"
          }
        }
      ]
    }
  ]
}
"##);
}

#[test]
fn github_commands_are_escaped() {
    insta::assert_snapshot!(render(&reports(), Format::Github), @r##"
::notice title=JET120 unbuffered-output-missing,file=a%3Ab/Dockerfile,line=2,endLine=3::x\u{1b}y
::warning title=JET120 unbuffered-output-missing,file=a%3Ab/Dockerfile,line=3,endLine=3,col=13,endColumn=22::libpq-dev & <gcc>: 100%25, stay%0Ainstall them%0Aelsewhere
::error title=JET120 unbuffered-output-missing,file=a%3Ab/require ments.txt,line=3::x\u{1b}y
"##);
}

#[test]
fn gitlab_wants_each_fingerprint_once() {
    let mut reports = reports();
    let again = reports[0].findings[1].clone();
    reports[0].findings.push(again);
    let issues: serde_json::Value = serde_json::from_str(&render(&reports, Format::Gitlab)).unwrap();
    let prints: std::collections::BTreeSet<_> =
        issues.as_array().unwrap().iter().map(|issue| issue["fingerprint"].as_str().unwrap()).collect();
    assert_eq!(prints.len(), 4);
    insta::assert_snapshot!(format!("{:#}", issues[1]), @r##"
{
  "type": "issue",
  "description": "libpq-dev & <gcc>: 100%, stay: install them\nelsewhere",
  "check_name": "unbuffered-output-missing",
  "fingerprint": "b3cdee719bff1cffed4aaddac398b74a",
  "severity": "major",
  "location": {
    "path": "a:b/Dockerfile",
    "lines": {
      "begin": 3,
      "end": 3
    }
  }
}
"##);
}

#[test]
fn xml_is_escaped() {
    insta::assert_snapshot!(render(&reports(), Format::Checkstyle), @r##"
<?xml version="1.0" encoding="UTF-8"?>
<checkstyle version="4.3">
  <file name="a:b/Dockerfile">
    <error line="2" column="1" severity="info" message="x�y" source="jettison.unbuffered-output-missing"/>
    <error line="3" column="13" severity="warning" message="libpq-dev &amp; &lt;gcc&gt;: 100%, stay" source="jettison.unbuffered-output-missing"/>
  </file>
  <file name="a:b/require ments.txt">
    <error line="3" column="1" severity="error" message="x�y" source="jettison.unbuffered-output-missing"/>
  </file>
  <file name="b/Dockerfile">
  </file>
</checkstyle>
"##);
    insta::assert_snapshot!(render(&reports(), Format::Junit), @r##"
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="jettison lint" tests="4" failures="3" errors="0">
  <testsuite name="a:b/Dockerfile" tests="3" failures="3" errors="0" skipped="0" time="0">
    <testcase name="JET120 unbuffered-output-missing at a:b/Dockerfile:2" classname="a:b/Dockerfile" file="a:b/Dockerfile" line="2" time="0">
      <failure type="info" message="x�y">a:b/Dockerfile:2: x�y</failure>
    </testcase>
    <testcase name="JET120 unbuffered-output-missing at a:b/Dockerfile:3" classname="a:b/Dockerfile" file="a:b/Dockerfile" line="3" time="0">
      <failure type="warning" message="libpq-dev &amp; &lt;gcc&gt;: 100%, stay">a:b/Dockerfile:3: libpq-dev &amp; &lt;gcc&gt;: 100%, stay&#10;install them&#10;elsewhere</failure>
    </testcase>
    <testcase name="JET120 unbuffered-output-missing at a:b/require ments.txt:3" classname="a:b/Dockerfile" file="a:b/require ments.txt" line="3" time="0">
      <failure type="error" message="x�y">a:b/require ments.txt:3: x�y</failure>
    </testcase>
  </testsuite>
  <testsuite name="b/Dockerfile" tests="1" failures="0" errors="0" skipped="0" time="0">
    <testcase name="no findings" classname="b/Dockerfile" time="0"/>
  </testsuite>
</testsuites>
"##);
}

#[test]
fn sizes_are_decimal() {
    assert_eq!([size(0), size(999), size(1_000), size(402_000_000)], ["0 B", "999 B", "1.0 kB", "402.0 MB"]);
}
