//! Projects, wheels, packages and servers on loopback for tests.
