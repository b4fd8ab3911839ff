//! How the C library keeps memory for this process. As it comes, each thread has an area of its own, and what is free in one is of use to no
//! other thread: of 150 MB that a build held, 90 belonged to nobody.

/// From this size on, a piece of memory goes back to the system as soon as it is free. Bytes.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 1 << 20;

/// Lets threads share what is free. To be called while there is one thread.
#[cfg(target_env = "gnu")]
pub fn share() {
    // SAFETY: mallopt(3) takes plain numbers. What it sets is read under the allocator's own locks, and no other thread is there yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Other C libraries have one area for all.
#[cfg(not(target_env = "gnu"))]
pub fn share() {}
