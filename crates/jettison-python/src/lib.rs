//! Python projects, locks, wheels.
