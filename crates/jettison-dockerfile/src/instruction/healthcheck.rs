//! `HEALTHCHECK`: its options, and `CMD` or `NONE`.

use super::build::Builder;
use super::{Check, CommandLine, Healthcheck, duration};
use crate::problem::ProblemKind;
use std::time::Duration;

impl Builder<'_, '_, '_> {
    pub(super) fn healthcheck(&mut self) -> Option<Healthcheck> {
        let end = self.arguments.find(char::is_whitespace).unwrap_or(self.arguments.len());
        let (kind, rest) = (self.arguments.slice(0..end), self.arguments.slice(end..self.arguments.len()).trim());
        if kind.eq_ignore_ascii_case("none") {
            if !rest.is_empty() {
                self.problems.error(ProblemKind::HealthcheckNone, rest.span());
            }
            return Some(Healthcheck::None);
        }
        let interval = self.duration("interval");
        let timeout = self.duration("timeout");
        let start_period = self.duration("start-period");
        let start_interval = self.duration("start-interval");
        let retries = self.retries();
        if kind.is_empty() {
            self.no_argument();
            return None;
        }
        if !kind.eq_ignore_ascii_case("cmd") {
            self.problems.error(ProblemKind::HealthcheckType { word: kind.to_string() }, kind.span());
            return None;
        }
        let command = self.command(&rest)?;
        let empty = match &command {
            CommandLine::Shell(text) => text.is_empty(),
            CommandLine::Exec(words) => words.is_empty(),
        };
        if empty {
            self.problems.error(ProblemKind::NoCommand { instruction: self.name }, self.arguments.span());
        }
        Some(Healthcheck::Check(Check { interval, timeout, start_period, start_interval, retries, command }))
    }

    fn duration(&mut self, flag: &'static str) -> Option<Duration> {
        let value = self.flags.value(flag, self.problems)?;
        match duration::parse(value) {
            Ok(duration) => Some(duration),
            Err(why) => {
                self.problems.error(ProblemKind::FlagDuration { flag, value: value.to_string(), why }, value.span());
                None
            }
        }
    }

    fn retries(&mut self) -> Option<u32> {
        let value = self.flags.value("retries", self.problems)?;
        let retries = value.parse::<u32>().ok().filter(|&retries| i32::try_from(retries).is_ok());
        if retries.is_none() {
            let allowed = "the numbers from 0 to 2147483647";
            let kind = ProblemKind::FlagValue { flag: "retries", value: value.to_string(), allowed };
            self.problems.error(kind, value.span());
        }
        retries
    }
}
