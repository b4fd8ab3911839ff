//! Text → [`Script`].

use crate::script::Script;
use crate::shell::Dialect;
use crate::syntax::List;

pub(crate) fn script(_text: &str, dialect: Dialect) -> Script {
    Script { list: List::default(), errors: Vec::new(), dialect, heredocs: Vec::new() }
}
