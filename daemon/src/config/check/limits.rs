//! Resource limits.

use std::collections::BTreeMap;

use super::{Context, optional};
use crate::config::bound::{Bound, Cap};
use crate::config::machine::Ceiling;
use crate::config::problem::Finding;
use crate::config::raw;
use crate::config::read::Said;
use crate::config::scalar::{Size, Span, Whole};
use crate::spec::{Limit, Resource};

/// The limits that are said; `None` if one of them cannot be had.
pub(super) fn limits(
    said: Option<&Said<raw::Limits>>,
    context: &mut Context<'_>,
) -> Option<BTreeMap<Resource, Limit>> {
    let Some(said) = said else { return Some(BTreeMap::new()) };
    let raw::Limits { nofile, nproc, r#as, core, cpu, data, fsize, memlock, stack } = &said.value;
    let all = [
        limit(Resource::Nofile, nofile.as_ref(), context),
        limit(Resource::Nproc, nproc.as_ref(), context),
        limit(Resource::As, r#as.as_ref(), context),
        limit(Resource::Core, core.as_ref(), context),
        limit(Resource::Cpu, cpu.as_ref(), context),
        limit(Resource::Data, data.as_ref(), context),
        limit(Resource::Fsize, fsize.as_ref(), context),
        limit(Resource::Memlock, memlock.as_ref(), context),
        limit(Resource::Stack, stack.as_ref(), context),
    ];
    let all: Option<Vec<_>> = all.into_iter().collect();
    Some(all?.into_iter().flatten().collect())
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

/// One limit; `Some(None)` if it is not said.
fn limit<T: Amount>(
    resource: Resource,
    said: Option<&Said<Bound<T>>>,
    context: &mut Context<'_>,
) -> Option<Option<(Resource, Limit)>> {
    let limit = optional(said, |said| bounded(said, context.machine.ceiling(resource), context))?;
    Some(limit.map(|limit| (resource, limit)))
}

fn bounded<T: Amount>(
    said: &Said<Bound<T>>,
    ceiling: Ceiling,
    context: &mut Context<'_>,
) -> Option<Limit> {
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
    let (most, whose, hint) = match ceiling {
        Ceiling::None => return Some(Limit { soft, hard }),
        Ceiling::User(most) => (most, "this user's hard limit", RAISE_IT),
        Ceiling::Kernel(most) => {
            (most, "what the kernel allows", "lower it, or raise `fs.nr_open` with sysctl(8)")
        }
    };
    if hard.is_some_and(|hard| hard <= most) {
        return Some(Limit { soft, hard });
    }
    let asked = hard.map_or_else(|| "`unlimited`".to_owned(), |hard| hard.to_string());
    let message = format!("{asked} is more than {whose}, {most}");
    context.refuse(Finding::at(&said.at, message).hint(hint).of_app())
}

/// What somebody can do whose limits are too low.
const RAISE_IT: &str = "lower it, run scgid as root, or raise the limit of the user who runs it";

/// A nice value that workers may have.
pub(super) fn nice(said: &Said<Whole<-20, 19>>, context: &mut Context<'_>) -> Option<i32> {
    let (nice, least): (i32, i32) = (said.value.to(), context.machine.least_nice());
    if nice >= least {
        return Some(nice);
    }
    let message = format!("this user may not go below nice value {least}");
    let hint = "raise it, run scgid as root, or raise the limit `nice` of the user who runs it";
    context.refuse(Finding::at(&said.at, message).hint(hint).of_app())
}
