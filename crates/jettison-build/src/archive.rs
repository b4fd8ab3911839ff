//! The Debian archive of one suite and architecture: fetched, checked, merged.
//!
//! 1. For each of main, updates and security: `InRelease`, whose signature is checked against the keys of Debian.
//! 2. `Packages`, by the digest in it; what was parsed once is kept in a compact form.
//! 3. All merge into one [`Universe`] by version.
//! 4. `Contents` becomes an index of sonames, when somebody asks where a library is.

use std::fs::File;
use std::io::BufReader;
use std::sync::OnceLock;

use jettison_debian::contents::{SonameIndex, SonameIndexBuilder};
use jettison_debian::release::ReleaseError;
pub use jettison_debian::source::is_true;
use jettison_debian::source::{AptConf, Source, checks_valid_until, parse_list, parse_sources};
use jettison_debian::{Architecture, Compression, Keyring, Origin, PackageIndex, Release, Universe, compression};
use jettison_engine::CacheKey;
use jettison_engine::store::Ref;
use jettison_tree::Digest;

use crate::error::{BuildError, Context as _};
use crate::fetch::{Wanted, fetch_all};
use crate::job::Job;
use crate::machine::Machine;

/// An `InRelease` is never larger. Bytes.
const RELEASE_LIMIT: u64 = 16 << 20;
const COMPONENT: &str = "main";
/// The variable that says whether suites that expired are refused.
const CHECK_VALID_UNTIL: &str = "JETTISON_DEBIAN_CHECK_VALID_UNTIL";

/// Where the archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrors {
    /// The mirror: `http://deb.debian.org/debian`.
    pub debian: String,
    /// The mirror of security updates.
    pub security: String,
}

impl Mirrors {
    /// Those that the user named, else those that the machine's apt uses, else the public ones.
    pub fn of(machine: &Machine) -> Self {
        let found = jettison_debian::source::Mirrors::find(&sources(machine));
        let first = |named: &Option<String>, found: Option<String>, public: &str| {
            named.clone().or(found).unwrap_or_else(|| public.to_owned())
        };
        Self {
            debian: first(&machine.debian_mirror, found.debian, jettison_endpoints::DEBIAN),
            security: first(&machine.debian_security_mirror, found.security, jettison_endpoints::DEBIAN_SECURITY),
        }
    }

    /// Where to fetch what stands at `filename` of the one or the other archive.
    pub fn url(&self, security: bool, filename: &str) -> String {
        let root = if security { &self.security } else { &self.debian };
        format!("{}/{filename}", root.trim_end_matches('/'))
    }
}

/// The sources of the machine's apt.
fn sources(machine: &Machine) -> Vec<Source> {
    let mut sources = Vec::new();
    for (path, text) in &machine.apt_sources {
        let deb822 = path.extension().is_some_and(|ending| ending == "sources");
        // What apt itself could not read is apt's to complain about.
        sources.extend(if deb822 { parse_sources(text) } else { parse_list(text) }.unwrap_or_default());
    }
    sources
}

/// Who says that a suite may be used although its time is over; `None` where nobody does.
fn lets_expire(machine: &Machine, origin: &Origin) -> Option<&'static str> {
    match machine.debian_check_valid_until {
        Some(true) => None,
        Some(false) => Some(CHECK_VALID_UNTIL),
        None => {
            let mut conf = AptConf::default();
            conf.add(&machine.apt_configuration);
            let checks = checks_valid_until(&sources(machine), &conf, &origin.uri, &origin.suite);
            (!checks).then_some("the configuration of this machine's apt")
        }
    }
}

/// An open archive.
pub struct Archive {
    /// Codename of the suite.
    pub suite: String,
    /// Every package of it.
    pub universe: Universe,
    releases: Vec<(Origin, Release)>,
    sonames: OnceLock<SonameIndex>,
}

impl Archive {
    /// Fetches what there is to know of a suite.
    pub fn open(job: &Job<'_>, mirrors: &Mirrors, suite: &str, architecture: Architecture) -> Result<Self, BuildError> {
        let keyring = keyring(job.machine)?;
        let origin = |uri: &str, suite: String| Origin { uri: uri.to_owned(), suite, component: COMPONENT.to_owned() };
        let mut origins = vec![origin(&mirrors.debian, suite.to_owned())];
        if suite != "sid" && suite != "unstable" {
            origins.push(origin(&mirrors.debian, format!("{suite}-updates")));
            origins.push(origin(&mirrors.security, format!("{suite}-security")));
        }
        let releases = job.each(origins.len(), &origins, |origin| release(job, origin, &keyring))?;
        let releases: Vec<_> = origins.into_iter().zip(releases).collect();
        let indices = job.each(releases.len(), &releases, |(origin, release)| {
            packages(job, origin, release, architecture).map(|index| (origin.clone(), index))
        })?;
        Ok(Self {
            suite: suite.to_owned(),
            universe: Universe::new(architecture, indices),
            releases,
            sonames: OnceLock::new(),
        })
    }

    /// Which packages have which shared library.
    pub fn sonames(&self, job: &Job<'_>) -> Result<&SonameIndex, BuildError> {
        if let Some(index) = self.sonames.get() {
            return Ok(index);
        }
        let (origin, file, path) = self.contents()?;
        let key = CacheKey::builder("soname-index/1").digest("contents", file).finish();
        let index = match job.store.memo_get::<Digest>(&key)? {
            Some(digest) => SonameIndex::read(BufReader::new(job.store.open_blob(digest)?)).context(&path)?,
            None => {
                let blob = self.fetch_contents(job, origin, file, &path)?;
                let mut builder = SonameIndexBuilder::new(self.universe.architecture());
                builder.add(compression::decompress(blob)?).context(&path)?;
                let index = builder.finish();
                let mut bytes = Vec::new();
                index.write(&mut bytes)?;
                let digest = job.store.put_bytes(&bytes)?;
                job.store.memo_put(&key, &digest, &[Ref::Blob(digest)])?;
                index
            }
        };
        Ok(self.sonames.get_or_init(|| index))
    }

    /// `Contents` of the suite, decompressed: which package has which file.
    pub fn contents_reader(&self, job: &Job<'_>) -> Result<BufReader<File>, BuildError> {
        let (origin, file, path) = self.contents()?;
        self.fetch_contents(job, origin, file, &path)
    }

    fn contents(&self) -> Result<(&Origin, Digest, String), BuildError> {
        let path = format!("{COMPONENT}/Contents-{}", self.universe.architecture().name());
        for (origin, release) in &self.releases {
            if let Some((path, file)) = release.find(&path, &[Compression::Gzip, Compression::Xz, Compression::None]) {
                return Ok((origin, file.digest, path));
            }
        }
        Err(BuildError::new(format!("the archive has no `{path}`, so no library can be looked up in it")))
    }

    fn fetch_contents(
        &self,
        job: &Job<'_>,
        origin: &Origin,
        digest: Digest,
        path: &str,
    ) -> Result<BufReader<File>, BuildError> {
        let release = self.releases.iter().find(|(other, _)| other == origin).map(|(_, release)| release);
        let file = release.and_then(|release| release.file(path).map(|file| (release, file)));
        let (release, file) = file.ok_or_else(|| BuildError::new(format!("the archive has no `{path}`")))?;
        let url = format!("{}/dists/{}/{}", origin.uri, origin.suite, release.fetch_path(path, file));
        let wanted = Wanted { name: path.to_owned(), urls: vec![url], digest, size: Some(file.size) };
        fetch_index(job, wanted)?;
        Ok(BufReader::new(job.store.open_blob(digest)?))
    }
}

/// The certificates that suites may be signed with.
fn keyring(machine: &Machine) -> Result<Keyring, BuildError> {
    let mut keyring = Keyring::debian()?;
    if let Some(path) = &machine.debian_keyring {
        let bytes = std::fs::read(path).context(path.display())?;
        keyring.extend(Keyring::from_bytes(&bytes).context(path.display())?);
    }
    Ok(keyring)
}

/// The release of one suite. Offline, the last that was seen.
fn release(job: &Job<'_>, origin: &Origin, keyring: &Keyring) -> Result<Release, BuildError> {
    let url = format!("{}/dists/{}/InRelease", origin.uri.trim_end_matches('/'), origin.suite);
    let key = CacheKey::builder("in-release/1").field("url", &url).finish();
    let bytes = if job.http.options().offline {
        let digest: Option<Digest> = job.store.memo_get(&key)?;
        let digest = digest.ok_or_else(|| {
            BuildError::new(format!("`{url}` was never fetched, and this build is offline"))
                .hint("build once without --offline")
        })?;
        job.store.read_blob(digest, RELEASE_LIMIT)?
    } else {
        job.http.bytes(&url, RELEASE_LIMIT)?
    };
    let release = Release::verify_signature(&bytes, keyring, job.machine.now).context(&url)?;
    if !job.http.options().offline {
        check_dates(job, origin, &release).context(&url)?;
    }
    let names = [release.suite.as_deref(), release.codename.as_deref()];
    if !names.contains(&Some(&*origin.suite)) {
        return Err(BuildError::new(format!("`{url}` is the release of {names:?} and not of `{}`", origin.suite))
            .hint("the mirror mixes suites up; take another"));
    }
    let digest = job.store.put_bytes(&bytes)?;
    job.store.memo_put(&key, &digest, &[Ref::Blob(digest)])?;
    Ok(release)
}

/// Refuses a release that is not in its time, unless that is wanted: then it is warned of.
fn check_dates(job: &Job<'_>, origin: &Origin, release: &Release) -> Result<(), BuildError> {
    match (release.check_dates(job.machine.now), lets_expire(job.machine, origin)) {
        (Ok(()), _) => Ok(()),
        (Err(error @ ReleaseError::Expired { .. }), Some(who)) => {
            let (suite, uri) = (&origin.suite, jettison_http::redact(&origin.uri));
            job.warn(format!("`{suite}` of {uri}: {error}. It is used all the same, as {who} says; updates may be missing"));
            Ok(())
        }
        (Err(error @ ReleaseError::Expired { .. }), None) => Err(BuildError::from(error).hint(format!(
            "the mirror is no longer updated, or the clock of this machine is wrong; use another mirror, or set {CHECK_VALID_UNTIL}=false where an old state is wanted"
        ))),
        (Err(error), _) => Err(error.into()),
    }
}

/// Fetches a file that a release names. A mirror that takes over a new release has files of both for a while.
fn fetch_index(job: &Job<'_>, wanted: Wanted) -> Result<(), BuildError> {
    fetch_all(job, &[wanted]).map_err(|error| match error.is_wrong_size() {
        true => error.transient(true).hint(
            "the mirror is taking over a new release just now: try again in some minutes, or name another with JETTISON_DEBIAN_MIRROR",
        ),
        false => error,
    })
}

fn packages(
    job: &Job<'_>,
    origin: &Origin,
    release: &Release,
    architecture: Architecture,
) -> Result<PackageIndex, BuildError> {
    let path = format!("{}/binary-{}/Packages", origin.component, architecture.name());
    // gzip is larger by a third and unpacked in a fraction of the time.
    let found = release.find(&path, &[Compression::Gzip, Compression::Xz, Compression::Zstd, Compression::None]);
    let (path, file) = found.ok_or_else(|| {
        BuildError::new(format!("`{}` of {} has no packages for {architecture}", origin.suite, origin.uri))
    })?;
    let key = CacheKey::builder("package-index/1").digest("packages", file.digest).finish();
    if let Some(digest) = job.store.memo_get::<Digest>(&key)? {
        let index = PackageIndex::read(BufReader::with_capacity(1 << 20, job.store.open_blob(digest)?));
        return index.context(&path);
    }
    let url =
        format!("{}/dists/{}/{}", origin.uri.trim_end_matches('/'), origin.suite, release.fetch_path(&path, file));
    let name = format!("{path} of {}", origin.suite);
    fetch_index(job, Wanted { name, urls: vec![url], digest: file.digest, size: Some(file.size) })?;
    let blob = BufReader::with_capacity(1 << 20, job.store.open_blob(file.digest)?);
    let index = PackageIndex::parse(compression::decompress(blob)?).context(&path)?;
    let mut writer = job.store.writer()?;
    index.write(&mut writer)?;
    let (digest, _) = writer.commit(None)?;
    job.store.memo_put(&key, &digest, &[Ref::Blob(digest)])?;
    Ok(index)
}
