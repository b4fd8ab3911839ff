//! What each construct expands to.
