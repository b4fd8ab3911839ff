//! The grammar of markers (dependency specifiers, "Formal grammar").

use std::str::FromStr;

use pep440_rs::VersionSpecifier;

use super::{Expression, Operand, Operator, SIGNS, VARIABLES, Variable};
use crate::scan::{Pep508Error, Scanner, is_word};

/// Parentheses deeper than this are an attack on the stack.
const NESTING_LIMIT: usize = 64;

pub(super) fn alternatives(scanner: &mut Scanner<'_>, depth: usize) -> Result<Expression, Pep508Error> {
    chain(scanner, "or", Expression::Or, |scanner| {
        chain(scanner, "and", Expression::And, |scanner| term(scanner, depth))
    })
}

/// One or more parts with `word` between them.
fn chain(
    scanner: &mut Scanner<'_>,
    word: &str,
    join: fn(Vec<Expression>) -> Expression,
    mut part: impl FnMut(&mut Scanner<'_>) -> Result<Expression, Pep508Error>,
) -> Result<Expression, Pep508Error> {
    let first = part(scanner)?;
    let mut parts = vec![first];
    loop {
        scanner.skip_space();
        if !scanner.eat_word(word) {
            break;
        }
        parts.push(part(scanner)?);
    }
    Ok(if parts.len() == 1 { parts.remove(0) } else { join(parts) })
}

fn term(scanner: &mut Scanner<'_>, depth: usize) -> Result<Expression, Pep508Error> {
    scanner.skip_space();
    let open = scanner.at();
    if scanner.eat("(") {
        if depth == NESTING_LIMIT {
            return Err(scanner.error_at(open, format!("parentheses are nested more than {NESTING_LIMIT} deep")));
        }
        let inner = alternatives(scanner, depth + 1)?;
        scanner.skip_space();
        if !scanner.eat(")") {
            return Err(scanner.error(format!("expected `)`, found {}", scanner.found())));
        }
        return Ok(inner);
    }
    let left = operand(scanner)?;
    scanner.skip_space();
    let operator_at = scanner.at();
    let operator = operator(scanner)?;
    scanner.skip_space();
    let right = operand(scanner)?;
    check(&left, operator, &right).map_err(|what| scanner.error_at(operator_at, what))?;
    Ok(Expression::Compare { left, operator, right })
}

fn operand(scanner: &mut Scanner<'_>) -> Result<Operand, Pep508Error> {
    let at = scanner.at();
    if let Some(quote @ ('"' | '\'')) = scanner.peek() {
        scanner.eat(if quote == '"' { "\"" } else { "'" });
        let text = scanner.take_while(|c| c != quote);
        if !scanner.eat(if quote == '"' { "\"" } else { "'" }) {
            return Err(scanner.error_at(at, "the quote is not closed"));
        }
        return Ok(Operand::Literal(text.to_owned()));
    }
    let word = scanner.take_while(is_word);
    if word.is_empty() {
        return Err(scanner.error(format!("expected a variable or a quoted value, found {}", scanner.found())));
    }
    match VARIABLES.iter().find(|(name, _)| *name == word) {
        Some((_, variable)) => Ok(Operand::Variable(*variable)),
        None => {
            let near = VARIABLES.iter().map(|(name, _)| (strsim::damerau_levenshtein(name, word), name)).min();
            let near = near.filter(|(distance, _)| *distance < 4).map(|(_, name)| format!("; did you mean `{name}`?"));
            Err(scanner.error_at(at, format!("`{word}` is no marker variable{}", near.unwrap_or_default())))
        }
    }
}

fn operator(scanner: &mut Scanner<'_>) -> Result<Operator, Pep508Error> {
    if scanner.eat_word("in") {
        return Ok(Operator::In);
    }
    if scanner.eat_word("not") {
        scanner.skip_space();
        if scanner.eat_word("in") {
            return Ok(Operator::NotIn);
        }
        return Err(scanner.error(format!("expected `in` after `not`, found {}", scanner.found())));
    }
    let sign = SIGNS.iter().find(|(sign, _)| scanner.rest().starts_with(sign));
    let (sign, operator) =
        sign.ok_or_else(|| scanner.error(format!("expected an operator, found {}", scanner.found())))?;
    scanner.eat(sign);
    Ok(*operator)
}

/// Refuses comparisons that have no meaning, so that evaluation always has one.
fn check(left: &Operand, operator: Operator, right: &Operand) -> Result<(), String> {
    use Variable::{DependencyGroups, Extra, Extras};
    let sign = operator.text();
    for (side, other, is_right) in [(left, right, false), (right, left, true)] {
        let Operand::Variable(variable) = side else { continue };
        let name = variable.name();
        match variable {
            Extra if !matches!(operator, Operator::Equal | Operator::Unequal) => {
                return Err(format!("`extra` compares with `==` and `!=`, not with `{sign}`"));
            }
            Extras | DependencyGroups if !is_right || !matches!(operator, Operator::In | Operator::NotIn) => {
                return Err(format!("`{name}` is a set: write `\"name\" in {name}`"));
            }
            Extra | Extras | DependencyGroups if matches!(other, Operand::Variable(_)) => {
                return Err(format!("`{name}` compares with a quoted name"));
            }
            _ => {}
        }
    }
    let compatible = || match (left, right) {
        (Operand::Variable(variable), Operand::Literal(text)) if variable.is_version() => {
            VersionSpecifier::from_str(&format!("~={text}")).is_ok()
        }
        _ => false,
    };
    if operator == Operator::Compatible && !compatible() {
        return Err("`~=` compares a version variable with a version such as \"3.9\"".to_owned());
    }
    Ok(())
}
