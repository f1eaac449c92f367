//! `plan`: what a configuration would change.

use scgi_protocol::control::Plan;

use super::{Context, proposed};
use crate::cli::{self, Format};
use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render::{plan as render, value};

/// Prints what would change. 0 if nothing would, 1 if something, whatever else if it is not known.
pub(super) async fn run(context: Context<'_>, plan: cli::Plan) -> Result<Exit, Failure> {
    let Context { client, console, format } = context;
    match proposed::post::<Plan>(&client, "/v1/plan", plan.proposed).await {
        Ok(plan) => print(console, format, &plan),
        // 1 is taken: it says that there are changes.
        Err(failure) if failure.exit() == Exit::Failed => {
            console.complain(&failure.told().unwrap_or_default());
            Ok(Exit::Usage)
        }
        Err(failure) => Err(failure),
    }
}

fn print(console: &mut Console, format: Format, plan: &Plan) -> Result<Exit, Failure> {
    console.data(match format {
        Format::Json => value::json(plan)?,
        Format::Yaml => value::yaml(plan)?,
        Format::Name => plan.changes.iter().map(|change| format!("{}\n", change.app)).collect(),
        Format::Table => render::narrow(plan, &console.view()),
        Format::Wide => render::wide(plan, &console.view()),
    })?;
    if plan.is_empty() && plan.unprepared.is_empty() {
        console.say("nothing would change");
        return Ok(Exit::Done);
    }
    Ok(Exit::Failed)
}
