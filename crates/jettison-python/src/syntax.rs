//! What the text of a Python file says without running it.
//!
//! 1. [`Module::parse`] parses with tree-sitter, which recovers from errors: a broken file still yields what can be read.
//! 2. The module's own level is walked: imports become a table of local names, assignments [`Binding`]s, `def`s
//!    [`Function`]s, `class`es their bases. `if`, `try` and `with` at that level are looked into, and
//!    `if __name__ == "__main__"` is told apart.
//! 3. Every call anywhere in the file becomes a [`Call`] with its name resolved through the imports and its literal arguments.

use std::collections::BTreeMap;

use tree_sitter::{Node, Parser};

/// Expressions nested deeper than this are [`Expr::Other`].
const MAX_DEPTH: usize = 64;

/// A Python module as its text shows it.
#[derive(Debug, Default)]
pub struct Module {
    /// Local name → what it stands for: `F` → `fastapi.FastAPI`. Relative imports keep their dots: `.factory.app`.
    pub imports: BTreeMap<String, String>,
    /// Names bound at the module's level, in order.
    pub bindings: Vec<Binding>,
    /// Functions at the module's level.
    pub functions: Vec<Function>,
    /// Classes at the module's level → their bases, resolved.
    pub classes: BTreeMap<String, Vec<String>>,
    /// Every call in the file, in order.
    pub calls: Vec<Call>,
    /// The line of `if __name__ == "__main__"`.
    pub main_guard: Option<usize>,
    /// Whether the module does something when it is run, beyond defining names.
    pub has_statements: bool,
    /// Where the first syntax error is: line and column from 1.
    pub syntax_error: Option<(usize, usize)>,
}

/// `name = value` at the module's level.
#[derive(Debug)]
pub struct Binding {
    /// The name.
    pub name: String,
    /// What is assigned.
    pub value: Expr,
    /// The line.
    pub line: usize,
}

/// A function at the module's level.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// How many parameters have no default.
    pub required_parameters: usize,
    /// The annotation of what it returns, resolved.
    pub returns: Option<String>,
    /// What it calls, resolved, in order.
    pub calls: Vec<String>,
    /// The line.
    pub line: usize,
}

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What is called, resolved through the imports: `ctypes.util.find_library`.
    pub callee: String,
    /// The positional arguments.
    pub arguments: Vec<Expr>,
    /// The keyword arguments.
    pub keywords: Vec<(String, Expr)>,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Call {
    /// The keyword argument `name`.
    pub fn keyword(&self, name: &str) -> Option<&Expr> {
        self.keywords.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

/// An expression, as far as it is literal.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A string without interpolation, adjacent and added ones joined.
    Str(String),
    /// An integer.
    Int(i64),
    /// A list, tuple or set.
    List(Vec<Expr>),
    /// A dictionary.
    Dict(Vec<(Expr, Expr)>),
    /// A name or a dotted name, resolved through the imports.
    Name(String),
    /// A call.
    Call(Box<Call>),
    /// Anything else.
    Other,
}

impl Expr {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }
}

impl Module {
    /// Parses `text`. Never fails: see [`Module::syntax_error`].
    pub fn parse(text: &str) -> Self {
        let mut module = Self::default();
        let mut parser = Parser::new();
        if parser.set_language(&tree_sitter_python::LANGUAGE.into()).is_err() {
            return module;
        }
        let Some(tree) = parser.parse(text, None) else { return module };
        let reader = Reader { text };
        let root = tree.root_node();
        reader.imports(root, &mut module);
        reader.block(root, false, &mut module);
        reader.calls(root, &module.imports, &mut |call| module.calls.push(call));
        module.syntax_error = first_error(root).map(|node| reader.position(node));
        module
    }

    /// The last value bound to `name` at the module's level.
    pub fn binding(&self, name: &str) -> Option<&Binding> {
        self.bindings.iter().rev().find(|binding| binding.name == name)
    }

    /// The function `name`.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }

    /// `expr`, with a name replaced by the literal that the module binds to it.
    pub fn literal<'a>(&'a self, expr: &'a Expr) -> &'a Expr {
        match expr {
            Expr::Name(name) => self.binding(name).map_or(expr, |binding| &binding.value),
            _ => expr,
        }
    }
}

struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn text(&self, node: Node<'_>) -> &str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    fn field<'t>(&self, node: Node<'t>, name: &str) -> Option<Node<'t>> {
        node.child_by_field_name(name)
    }

    fn position(&self, node: Node<'_>) -> (usize, usize) {
        let start = node.start_position();
        let before = self.text.get(node.start_byte() - start.column..node.start_byte()).unwrap_or_default();
        (start.row + 1, before.chars().count() + 1)
    }

    /// Imports at any level: one inside a function hardly ever gives a name another meaning.
    fn imports(&self, root: Node<'_>, module: &mut Module) {
        walk(root, &mut |node| match node.kind() {
            "import_statement" => {
                for name in children(node, "name") {
                    if name.kind() == "aliased_import" {
                        if let (Some(path), Some(alias)) = (self.field(name, "name"), self.field(name, "alias")) {
                            module.imports.insert(self.text(alias).to_owned(), self.text(path).to_owned());
                        }
                    } else {
                        let first = self.text(name).split('.').next().unwrap_or_default();
                        module.imports.insert(first.to_owned(), first.to_owned());
                    }
                }
            }
            "import_from_statement" => {
                let Some(from) = self.field(node, "module_name") else { return };
                let from = self.text(from);
                let dot = if from.ends_with('.') { "" } else { "." };
                for name in children(node, "name") {
                    let (path, alias) = match name.kind() {
                        "aliased_import" => (self.field(name, "name"), self.field(name, "alias")),
                        _ => (Some(name), Some(name)),
                    };
                    if let (Some(path), Some(alias)) = (path, alias) {
                        module.imports.insert(self.text(alias).to_owned(), format!("{from}{dot}{}", self.text(path)));
                    }
                }
            }
            _ => {}
        });
    }

    /// The statements of a block at the module's level.
    fn block(&self, block: Node<'_>, guarded: bool, module: &mut Module) {
        let mut cursor = block.walk();
        for statement in block.named_children(&mut cursor) {
            self.statement(statement, guarded, module);
        }
    }

    fn statement(&self, statement: Node<'_>, guarded: bool, module: &mut Module) {
        match statement.kind() {
            "expression_statement" => {
                for index in 0..statement.named_child_count() {
                    let Some(expression) = statement.named_child(index as u32) else { continue };
                    match expression.kind() {
                        "assignment" if !guarded => self.assignment(expression, module),
                        "call" | "await" if !guarded => module.has_statements = true,
                        _ => {}
                    }
                }
            }
            "function_definition" if !guarded => self.function(statement, module),
            "class_definition" if !guarded => self.class(statement, module),
            "decorated_definition" => {
                if let Some(definition) = self.field(statement, "definition") {
                    self.statement(definition, guarded, module);
                }
            }
            "if_statement" => {
                let is_main = self.field(statement, "condition").is_some_and(|condition| self.is_main_guard(condition));
                if is_main {
                    module.main_guard.get_or_insert(statement.start_position().row + 1);
                }
                if let Some(block) = self.field(statement, "consequence") {
                    self.block(block, guarded || is_main, module);
                }
                for alternative in children(statement, "alternative") {
                    let body = self.field(alternative, "body").or_else(|| self.field(alternative, "consequence"));
                    if let Some(block) = body {
                        self.block(block, guarded, module);
                    }
                }
            }
            "try_statement" | "with_statement" | "except_clause" | "else_clause" | "finally_clause" => {
                let mut cursor = statement.walk();
                for child in statement.named_children(&mut cursor) {
                    match child.kind() {
                        "block" => self.block(child, guarded, module),
                        "except_clause" | "else_clause" | "finally_clause" => self.statement(child, guarded, module),
                        _ => {}
                    }
                }
            }
            "for_statement" | "while_statement" if !guarded => module.has_statements = true,
            _ => {}
        }
    }

    fn assignment(&self, assignment: Node<'_>, module: &mut Module) {
        let line = assignment.start_position().row + 1;
        let mut names = Vec::new();
        let mut node = assignment;
        // `a = b = value` nests to the right.
        let value = loop {
            match self.field(node, "left") {
                Some(left) if left.kind() == "identifier" => names.push(self.text(left).to_owned()),
                _ => {}
            }
            match self.field(node, "right") {
                Some(right) if right.kind() == "assignment" => node = right,
                Some(right) => break self.expression(right, &module.imports, 0),
                None => return,
            }
        };
        module.bindings.extend(names.into_iter().map(|name| Binding { name, value: value.clone(), line }));
    }

    fn function(&self, node: Node<'_>, module: &mut Module) {
        let Some(name) = self.field(node, "name") else { return };
        let required_parameters = self.field(node, "parameters").map_or(0, |parameters| {
            let mut cursor = parameters.walk();
            let kinds = parameters.named_children(&mut cursor).map(|parameter| match parameter.kind() {
                "typed_parameter" => parameter.named_child(0).map_or("", |inner| inner.kind()),
                kind => kind,
            });
            kinds.filter(|&kind| kind == "identifier").count()
        });
        let returns = self
            .field(node, "return_type")
            .map(|annotation| resolve(self.text(annotation).trim().trim_matches(['"', '\'']), &module.imports));
        let mut calls = Vec::new();
        if let Some(body) = self.field(node, "body") {
            self.calls(body, &module.imports, &mut |call| calls.push(call.callee));
        }
        module.functions.push(Function {
            name: self.text(name).to_owned(),
            required_parameters,
            returns,
            calls,
            line: node.start_position().row + 1,
        });
    }

    fn class(&self, node: Node<'_>, module: &mut Module) {
        let Some(name) = self.field(node, "name") else { return };
        let mut bases = Vec::new();
        if let Some(superclasses) = self.field(node, "superclasses") {
            let mut cursor = superclasses.walk();
            for base in superclasses.named_children(&mut cursor) {
                if let Expr::Name(base) = self.expression(base, &module.imports, 0) {
                    bases.push(base);
                }
            }
        }
        module.classes.insert(self.text(name).to_owned(), bases);
    }

    fn calls(&self, root: Node<'_>, imports: &BTreeMap<String, String>, found: &mut impl FnMut(Call)) {
        walk(root, &mut |node| {
            if node.kind() == "call"
                && let Some(call) = self.call(node, imports, 0)
            {
                found(call);
            }
        });
    }

    fn call(&self, node: Node<'_>, imports: &BTreeMap<String, String>, depth: usize) -> Option<Call> {
        let function = self.field(node, "function")?;
        let callee = resolve(&self.dotted(function)?, imports);
        let (line, column) = self.position(node);
        let mut call = Call { callee, arguments: Vec::new(), keywords: Vec::new(), line, column };
        let arguments = self.field(node, "arguments")?;
        let mut cursor = arguments.walk();
        for argument in arguments.named_children(&mut cursor) {
            match argument.kind() {
                "comment" => {}
                "keyword_argument" => {
                    if let (Some(name), Some(value)) = (self.field(argument, "name"), self.field(argument, "value")) {
                        let value = self.expression(value, imports, depth + 1);
                        call.keywords.push((self.text(name).to_owned(), value));
                    }
                }
                _ => call.arguments.push(self.expression(argument, imports, depth + 1)),
            }
        }
        Some(call)
    }

    /// `a.b.c`, written without spaces; `None` where it is anything but names and dots.
    fn dotted(&self, node: Node<'_>) -> Option<String> {
        let mut parts = Vec::new();
        let mut node = node;
        loop {
            match node.kind() {
                "identifier" => {
                    parts.push(self.text(node));
                    parts.reverse();
                    return Some(parts.join("."));
                }
                "attribute" => {
                    parts.push(self.text(self.field(node, "attribute")?));
                    node = self.field(node, "object")?;
                }
                _ => return None,
            }
        }
    }

    fn expression(&self, node: Node<'_>, imports: &BTreeMap<String, String>, depth: usize) -> Expr {
        if depth > MAX_DEPTH {
            return Expr::Other;
        }
        let inner = |node| self.expression(node, imports, depth + 1);
        match node.kind() {
            "string" => self.string(node).map_or(Expr::Other, Expr::Str),
            "concatenated_string" => {
                let mut cursor = node.walk();
                let parts: Option<String> =
                    node.named_children(&mut cursor).filter(|n| n.kind() == "string").map(|n| self.string(n)).collect();
                parts.map_or(Expr::Other, Expr::Str)
            }
            "binary_operator" => {
                let side = |name| self.field(node, name).map(inner);
                match (self.field(node, "operator").map(|n| self.text(n)), side("left"), side("right")) {
                    (Some("+"), Some(Expr::Str(left)), Some(Expr::Str(right))) => Expr::Str(left + &right),
                    (Some("+"), Some(Expr::List(mut left)), Some(Expr::List(right))) => {
                        left.extend(right);
                        Expr::List(left)
                    }
                    _ => Expr::Other,
                }
            }
            "integer" => self.text(node).replace('_', "").parse().map_or(Expr::Other, Expr::Int),
            "list" | "tuple" | "set" => {
                let mut cursor = node.walk();
                Expr::List(node.named_children(&mut cursor).filter(|n| n.kind() != "comment").map(inner).collect())
            }
            "dictionary" => {
                let mut cursor = node.walk();
                let pair = |pair| Some((inner(self.field(pair, "key")?), inner(self.field(pair, "value")?)));
                let pairs = node.named_children(&mut cursor).filter(|n| n.kind() != "comment");
                Expr::Dict(pairs.map(|n| pair(n).unwrap_or((Expr::Other, Expr::Other))).collect())
            }
            "parenthesized_expression" => node.named_child(0).map_or(Expr::Other, inner),
            "identifier" | "attribute" => {
                self.dotted(node).map_or(Expr::Other, |name| Expr::Name(resolve(&name, imports)))
            }
            "call" => self.call(node, imports, depth).map_or(Expr::Other, |call| Expr::Call(Box::new(call))),
            _ => Expr::Other,
        }
    }

    /// The text of a string literal; `None` for bytes and where something is interpolated.
    fn string(&self, node: Node<'_>) -> Option<String> {
        let mut raw = false;
        let mut value = String::new();
        let mut cursor = node.walk();
        for part in node.children(&mut cursor) {
            match part.kind() {
                "string_start" => {
                    let prefix = self.text(part).to_ascii_lowercase();
                    if prefix.contains('b') {
                        return None;
                    }
                    raw = prefix.contains('r');
                }
                "string_content" if raw => value.push_str(self.text(part)),
                "string_content" => unescape(self.text(part), &mut value),
                "interpolation" => return None,
                _ => {}
            }
        }
        Some(value)
    }

    fn is_main_guard(&self, condition: Node<'_>) -> bool {
        let mut cursor = condition.walk();
        let sides: Vec<_> = condition.named_children(&mut cursor).collect();
        let is_name = |node: &Node<'_>| self.text(*node) == "__name__";
        let is_main = |node: &Node<'_>| node.kind() == "string" && self.string(*node).as_deref() == Some("__main__");
        let equals = self.field(condition, "operators").is_some_and(|operator| self.text(operator) == "==");
        condition.kind() == "comparison_operator"
            && equals
            && matches!(&sides[..], [a, b] if (is_name(a) && is_main(b)) || (is_main(a) && is_name(b)))
    }
}

fn children<'t>(node: Node<'t>, field: &str) -> Vec<Node<'t>> {
    let mut cursor = node.walk();
    node.children_by_field_name(field, &mut cursor).collect()
}

/// Visits every node below `root` in the order of the text, without recursion.
fn walk<'t>(root: Node<'t>, visit: &mut impl FnMut(Node<'t>)) {
    let mut cursor = root.walk();
    loop {
        visit(cursor.node());
        if cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return;
            }
        }
    }
}

/// The innermost first node that the parser could not make sense of.
fn first_error(root: Node<'_>) -> Option<Node<'_>> {
    if !root.has_error() {
        return None;
    }
    let mut first: Option<Node<'_>> = None;
    walk(root, &mut |node| {
        let within = first.is_none_or(|outer| outer.is_error() && node.end_byte() <= outer.end_byte());
        if (node.is_error() || node.is_missing()) && within {
            first = Some(node);
        }
    });
    first
}

/// A dotted name with its first part replaced by what it was imported as.
fn resolve(name: &str, imports: &BTreeMap<String, String>) -> String {
    let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
    match (imports.get(first), rest) {
        (Some(origin), Some(rest)) => format!("{origin}.{rest}"),
        (Some(origin), None) => origin.clone(),
        (None, _) => name.to_owned(),
    }
}

/// Appends `raw` with its escape sequences resolved (Python reference, 2.5.1); unknown ones stay.
fn unescape(raw: &str, value: &mut String) {
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        value.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let Some(letter) = escape.chars().next() else {
            rest = "\\";
            break;
        };
        let hex = |digits: usize| {
            let code = escape.get(1..=digits).filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()))?;
            u32::from_str_radix(code, 16).ok().and_then(char::from_u32).map(|c| (c, digits + 1))
        };
        let resolved = match letter {
            'n' => Some(('\n', 1)),
            't' => Some(('\t', 1)),
            'r' => Some(('\r', 1)),
            '0' => Some(('\0', 1)),
            '\\' | '\'' | '"' => Some((letter, 1)),
            'x' => hex(2),
            'u' => hex(4),
            'U' => hex(8),
            _ => None,
        };
        rest = match resolved {
            Some((c, len)) => {
                value.push(c);
                &escape[len..]
            }
            None if letter == '\n' => &escape[1..],
            None => {
                value.push('\\');
                escape
            }
        };
    }
    value.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_resolved_through_imports() {
        let module = Module::parse(
            "import fastapi as f, os.path\nfrom flask import Flask as F\nfrom .factory import make\n\
             try:\n    import uvloop\nexcept ImportError:\n    uvloop = None\n\
             app: F = api = F(__name__, x=1)\nother = f.applications.FastAPI()\nlocal = make()\n",
        );
        let callee = |name: &str| match &module.binding(name).unwrap().value {
            Expr::Call(call) => call.callee.clone(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!((callee("app").as_str(), callee("api").as_str()), ("flask.Flask", "flask.Flask"));
        assert_eq!(callee("other"), "fastapi.applications.FastAPI");
        assert_eq!(callee("local"), ".factory.make");
        assert_eq!(module.imports["os"], "os");
        assert_eq!(module.syntax_error, None);
    }

    #[test]
    fn literals_are_read_and_the_rest_is_said_to_be_other() {
        let module = Module::parse(concat!(
            "a = 'x' \"y\" + r'\\d'\n",
            "b = ['p', ('q',), *c]\n",
            "d = {'k': 1_000, **e}\n",
            "f = f'{a}'\n",
            "g = 'tab\\there \\x41 \\q'\n",
            "h = a\n",
            "i = b'x'\n",
            "j = f'plain'\n",
            "k = '''two\nlines'''\n",
        ));
        let values: Vec<_> = module.bindings.iter().map(|b| format!("{} {:?}", b.name, b.value)).collect();
        insta::assert_snapshot!(values.join("\n"), @r#"
        a Str("xy\\d")
        b List([Str("p"), List([Str("q")]), Other])
        d Dict([(Str("k"), Int(1000)), (Other, Other)])
        f Other
        g Str("tab\there A \\q")
        h Name("a")
        i Other
        j Str("plain")
        k Str("two\nlines")
        "#);
    }

    #[test]
    fn functions_classes_and_the_main_guard() {
        let module = Module::parse(
            "from fastapi import FastAPI\nclass App(FastAPI): pass\n\
             def create_app(config=None, *, debug: bool = False) -> 'FastAPI':\n    app = App()\n    return app\n\
             def main(argv, x: int): ...\n\
             if '__main__' == __name__:\n    hidden = 1\n    import uvicorn\n    uvicorn.run(create_app(), port=5000)\n",
        );
        let create = module.function("create_app").unwrap();
        assert_eq!((create.required_parameters, create.returns.as_deref()), (0, Some("fastapi.FastAPI")));
        assert_eq!(create.calls, ["App"]);
        assert_eq!(module.function("main").unwrap().required_parameters, 2);
        assert_eq!(module.classes["App"], ["fastapi.FastAPI"]);
        assert_eq!(module.main_guard, Some(7));
        assert!(module.binding("hidden").is_none() && !module.has_statements);
        let run = module.calls.iter().find(|call| call.callee == "uvicorn.run").unwrap();
        assert_eq!((run.line, run.column, run.keyword("port")), (10, 5, Some(&Expr::Int(5000))));
    }

    #[test]
    fn syntax_errors_have_a_place() {
        for (text, place) in [
            ("x = 1\ndef f(:\n    pass\n", (2, 7)),
            ("app = FastAPI(\n\n@app.get('/')\ndef f(): pass\n", (1, 14)),
            ("if True\n    x = 1\n", (1, 1)),
            ("x = 'abc\n", (1, 5)),
            ("x = 1\nz = 3 +\n", (2, 1)),
        ] {
            assert_eq!(Module::parse(text).syntax_error, Some(place), "{text}");
        }
        for text in [
            "",
            "x: int\n",
            "match x:\n    case 1: pass\n",
            "type A = int\n",
            "def f[T](x: T) -> T: ...\n",
            "f'{x!r:>{w}}'\n",
            "async def f():\n    async with a as b, c: await d\n",
            "print(*a, **b, end='')\nx = y if z else (w := 1)\nlambda *a: a\n",
        ] {
            assert_eq!(Module::parse(text).syntax_error, None, "{text}");
        }
    }

    #[test]
    fn hostile_nesting_is_survived() {
        Module::parse(&format!("x = {}{}", "[".repeat(20_000), "]".repeat(20_000)));
        Module::parse(&format!("x = f({}", "(".repeat(20_000)));
    }
}
