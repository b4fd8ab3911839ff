//! From a Python project to a verified image.
