//! The mirrors that are used where nobody names one. The only place where they stand.

/// Debian's archive, through its content delivery network.
pub const DEBIAN: &str = "http://deb.debian.org/debian";

/// Debian's security updates.
pub const DEBIAN_SECURITY: &str = "http://deb.debian.org/debian-security";
