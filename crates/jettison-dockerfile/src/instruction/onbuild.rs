//! `ONBUILD`: an instruction for those who build on the image.

use super::Instruction;

/// `ONBUILD instruction`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onbuild {
    /// The trigger. What is wrong with it does not keep this image from being built.
    pub trigger: Box<Instruction>,
}

impl Onbuild {
    /// The trigger as the image's configuration keeps it: one line, and its heredocs. Take it apart again with
    /// [`Dockerfile::parse_trigger`](crate::Dockerfile::parse_trigger).
    pub fn expression(&self) -> String {
        let mut expression = self.trigger.text.to_string();
        for heredoc in &self.trigger.heredocs {
            expression.push('\n');
            expression.push_str(&heredoc.written);
            expression.push_str(&heredoc.name);
        }
        expression
    }
}
