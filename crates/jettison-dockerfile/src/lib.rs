//! Dockerfiles and .dockerignore: text in, values out.
