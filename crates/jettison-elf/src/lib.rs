//! ELF files: what they need, what they offer, and what can be cut.
