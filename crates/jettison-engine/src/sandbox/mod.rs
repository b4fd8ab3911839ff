//! stub
/// stub
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub struct SandboxError;
impl SandboxError {
    /// stub
    pub fn hint(&self) -> Option<String> {
        None
    }
}
pub(crate) fn remove_in_user_namespace(_path: &std::path::Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
