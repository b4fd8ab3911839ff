//! OCI images: types, layers, validation, media.
