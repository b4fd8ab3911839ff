//! Debian archives: signed indices, dependency closure, .deb files.
