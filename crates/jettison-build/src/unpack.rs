//! The steps that turn a `.deb` or a wheel into a [`Part`](crate::part::Part): pure functions of the file and a few options, kept
//! for good under their key.

use std::fs::File;
use std::sync::Arc;

use jettison_debian::made::{Alternative, parse_alternatives};
use jettison_debian::{deb, status};
use jettison_elf::ElfFacts;
use jettison_engine::CacheKey;
use jettison_engine::graph::{BoxError, Context, Operation, Output};
use jettison_engine::store::{Ref, Store};
use jettison_python::wheel::{self, InstallLayout, InstallOptions, Transformed, Wheel, WheelFilename};
use jettison_tree::{Digest, FragmentWriter, TreePath};
use serde::{Deserialize, Serialize};

use crate::error::BuildError;
use crate::optional;
use crate::part::{AskedLink, Owner, PartFacts};
use crate::report::OwnerKind;
use crate::settings::Trim;
use crate::trim;

const ELF_MAGIC: &[u8] = b"\x7fELF";
/// How the report calls what stripping saves.
pub(crate) const SYMBOLS: &str = "debug symbols and symbol tables";

/// Unpacks a Debian package.
pub struct UnpackDeb {
    /// The package.
    pub owner: Owner,
    /// The blob.
    pub digest: Digest,
    /// What is left out.
    pub trim: Trim,
}

impl UnpackDeb {
    /// The key of the fragment: the file, its trimming, and the owner that is written into it.
    fn fragment_key(&self) -> CacheKey {
        CacheKey::builder("deb/5")
            .digest("deb", self.digest)
            .field("use", format!("Image({:?})", self.trim))
            .field("owner", format!("{:?}", self.owner))
            .finish()
    }

    fn make(&self, store: &Store, file: &mut File) -> Result<(), BuildError> {
        let deb = store.open_blob(self.digest)?;
        let mut out = FragmentWriter::new(file);
        let mut judge = DebJudge { trim: self.trim, facts: PartFacts::new(self.owner.clone()) };
        let unpacked = deb::unpack(deb, true, &mut judge, &mut out, &deb::Limits::default())?;
        for entry in status::entries(unpacked.control.paragraph(), &unpacked.md5sums)? {
            out.push(&entry)?;
        }
        if let Some(script) = unpacked.control.script(deb::Script::PostInst) {
            judge.facts.alternatives = parse_alternatives(script)
                .into_iter()
                .map(|Alternative { link, name, target, priority }| AskedLink { link, name, target, priority })
                .collect();
        }
        out.finish(facts_value(&judge.facts)?)?;
        Ok(())
    }
}

impl Operation for UnpackDeb {
    fn key(&self) -> CacheKey {
        self.fragment_key()
    }

    fn run(&self, context: &Context<'_>, _: &[Arc<Output>]) -> Result<Output, BoxError> {
        fragment_output(context.store(), self.fragment_key(), |file| {
            self.make(context.store(), file).map_err(|error| error.context(&self.owner))
        })
    }
}

struct DebJudge {
    trim: Trim,
    facts: PartFacts,
}

impl deb::Trim for DebJudge {
    fn keep(&mut self, path: &TreePath, size: u64) -> bool {
        match trim::debian(path, self.trim) {
            None => true,
            Some(reason) => {
                self.facts.cut(reason, size);
                false
            }
        }
    }

    fn wants(&mut self, _: &TreePath, head: &[u8], _: u64) -> bool {
        head.starts_with(ELF_MAGIC)
    }

    fn change(&mut self, path: &TreePath, bytes: &[u8]) -> Option<Vec<u8>> {
        // Debian strips what it builds. An ELF file that cannot be read is carried along: nothing links to it.
        if let Ok(Some(facts)) = ElfFacts::parse(bytes) {
            self.facts.elf.insert(path.clone(), facts);
        }
        None
    }
}

/// A wheel that a step built, or that was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WheelFile {
    /// The name of the file.
    pub filename: String,
    /// The blob.
    pub digest: Digest,
}

/// Installs a wheel: the one it is given, or the one that the step before it built.
pub struct UnpackWheel {
    /// How the report names the distribution. The version is taken from the wheel.
    pub name: String,
    /// The file; `None` for the result of the first input.
    pub file: Option<WheelFile>,
    /// Where its parts go.
    pub layout: InstallLayout,
    /// What is left out.
    pub trim: Trim,
    /// The text of `direct_url.json`.
    pub direct_url: Option<String>,
}

impl UnpackWheel {
    fn key_of(&self, file: Option<&WheelFile>) -> CacheKey {
        let mut key = CacheKey::builder("wheel/3")
            .field("name", &self.name)
            .field("trim", self.trim.as_str())
            .field("python", &self.layout.python);
        if let Some(file) = file {
            key = key.digest("wheel", file.digest).field("filename", &file.filename);
        }
        for place in [&self.layout.site_packages, &self.layout.scripts, &self.layout.headers, &self.layout.data] {
            key = key.field("place", place.as_bytes());
        }
        if let Some(direct_url) = &self.direct_url {
            key = key.field("direct-url", direct_url);
        }
        key.finish()
    }

    fn make(&self, store: &Store, wheel: &WheelFile, file: &mut File) -> Result<(), BuildError> {
        let filename = WheelFilename::parse(&wheel.filename).map_err(|error| BuildError::new(error.to_string()))?;
        let owner =
            Owner { kind: OwnerKind::Distribution, name: self.name.clone(), version: filename.version.to_string() };
        let mut wheel = Wheel::open(store.open_blob(wheel.digest)?, &filename)?;
        let mut out = FragmentWriter::new(file);
        let mut judge = WheelJudge { strip: self.trim != Trim::None, facts: PartFacts::new(owner) };
        let trim = match self.trim {
            Trim::None => wheel::trim::Trim::None,
            Trim::Safe => wheel::trim::Trim::Safe,
            Trim::Max => wheel::trim::Trim::Max,
        };
        let options = InstallOptions { trim, requested: false, direct_url: self.direct_url.clone() };
        let installed = wheel.install(&self.layout, &options, &mut judge, &mut out)?;
        let mut facts = judge.facts;
        facts.modules = installed.top_level.into_iter().map(|module| module.name).collect();
        for dropped in installed.dropped {
            facts.cut(&dropped.reason.to_string(), dropped.bytes);
        }
        out.finish(facts_value(&facts)?)?;
        Ok(())
    }
}

impl Operation for UnpackWheel {
    fn key(&self) -> CacheKey {
        self.key_of(self.file.as_ref())
    }

    fn run(&self, context: &Context<'_>, inputs: &[Arc<Output>]) -> Result<Output, BoxError> {
        let file = match (&self.file, inputs.first()) {
            (Some(file), _) => file.clone(),
            (None, Some(built)) => built.get()?,
            (None, None) => return Err("no wheel was given to be installed".into()),
        };
        fragment_output(context.store(), self.key_of(Some(&file)), |out| {
            self.make(context.store(), &file, out).map_err(|error| error.context(&self.name))
        })
    }
}

struct WheelJudge {
    strip: bool,
    facts: PartFacts,
}

impl wheel::Transform for WheelJudge {
    fn wants(&mut self, path: &TreePath, _: u64, head: &[u8]) -> bool {
        head.starts_with(ELF_MAGIC) || path.as_bytes().ends_with(b".py")
    }

    fn transform(&mut self, path: &TreePath, bytes: Vec<u8>) -> Transformed {
        let Ok(Some(facts)) = ElfFacts::parse(&bytes) else {
            optional::note(&bytes, &mut self.facts.named);
            return Transformed::Keep(bytes);
        };
        let stripped = if self.strip { jettison_elf::strip(&bytes).ok() } else { None };
        let bytes = match stripped {
            Some(stripped) => {
                self.facts.cut(SYMBOLS, (bytes.len() - stripped.len()) as u64);
                stripped
            }
            None => bytes,
        };
        optional::note_object(&bytes, &mut self.facts.named);
        self.facts.elf.insert(path.clone(), facts);
        Transformed::Keep(bytes)
    }
}

pub(crate) fn facts_value(facts: &PartFacts) -> Result<serde_json::Value, BuildError> {
    serde_json::to_value(facts).map_err(|error| BuildError::new(error.to_string()))
}

fn fragment_output(
    store: &Store,
    key: CacheKey,
    make: impl FnOnce(&mut File) -> Result<(), BuildError>,
) -> Result<Output, BoxError> {
    store.fragment_or(&key, make)?;
    Ok(Output::new(&key)?.with(Ref::Fragment(key)))
}
