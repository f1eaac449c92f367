//! Resource limits.

use std::collections::BTreeMap;

use super::Context;
use crate::config::bound::{Bound, Cap};
use crate::config::problem::Finding;
use crate::config::raw;
use crate::config::read::Said;
use crate::config::scalar::{Size, Span, Whole};
use crate::spec::{Limit, Resource};

/// The limits that are said.
pub(super) fn limits(
    said: Option<&Said<raw::Limits>>,
    context: &mut Context<'_>,
) -> BTreeMap<Resource, Limit> {
    let Some(said) = said else { return BTreeMap::new() };
    let raw::Limits { nofile, nproc, r#as, core, cpu, data, fsize, memlock, stack } = &said.value;
    let mut limits = BTreeMap::new();
    let mut set =
        |resource, limit: Option<Limit>| limits.extend(limit.map(|limit| (resource, limit)));
    set(Resource::Nofile, limit(nofile.as_ref(), context));
    set(Resource::Nproc, limit(nproc.as_ref(), context));
    set(Resource::As, limit(r#as.as_ref(), context));
    set(Resource::Core, limit(core.as_ref(), context));
    set(Resource::Cpu, limit(cpu.as_ref(), context));
    set(Resource::Data, limit(data.as_ref(), context));
    set(Resource::Fsize, limit(fsize.as_ref(), context));
    set(Resource::Memlock, limit(memlock.as_ref(), context));
    set(Resource::Stack, limit(stack.as_ref(), context));
    limits
}

/// What a limit counts in: pieces, bytes or seconds.
trait Amount {
    fn amount(&self) -> u64;
}

impl<const MIN: i64, const MAX: i64> Amount for Whole<MIN, MAX> {
    fn amount(&self) -> u64 {
        self.to()
    }
}

impl Amount for Size {
    fn amount(&self) -> u64 {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> Amount for Span<MIN, MAX> {
    fn amount(&self) -> u64 {
        self.0.as_secs()
    }
}

fn limit<T: Amount>(said: Option<&Said<Bound<T>>>, context: &mut Context<'_>) -> Option<Limit> {
    let said = said?;
    let cap = |cap: &Cap<T>| match cap {
        Cap::Unlimited => None,
        Cap::At(value) => Some(value.amount()),
    };
    let (soft, hard) = (cap(&said.value.soft), cap(&said.value.hard));
    if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
        return context.refuse(
            Finding::at(&said.at, "`soft` is more than `hard`")
                .hint("`soft` is what counts, `hard` how far it may be raised"),
        );
    }
    Some(Limit { soft, hard })
}
