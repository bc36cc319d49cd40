//! Questions before anything is written.

use std::sync::Arc;

use clap::Args;

use super::args::Format;
use super::error::CliError;
use super::ui::{DELETE, Ui};
use crate::plan::{self, Approval, ApprovedPlan, Consent, Loosened, Plan, Question, Refusal};

/// Answers that are given with the command. None of them can come from the environment.
#[derive(Debug, Args)]
pub struct Answers {
    /// Do not ask; what the guards refuse stays refused
    #[arg(short = 'y', long)]
    pub auto_approve: bool,
    /// Allow changes by which data or keys of a cluster go (deletions are asked for with --prune)
    #[arg(long)]
    pub allow_data_loss: bool,
}

/// Asks what must be asked and approves the plan.
///
/// `name` is what has to be typed for more than one deletion; guards that are opened are asked for too. *Errors*: a no,
/// and questions that cannot be asked.
pub fn approve(
    plan: Arc<Plan>,
    loosened: &[Loosened],
    name: &str,
    answers: &Answers,
    format: Format,
    ui: &mut Ui,
) -> Result<ApprovedPlan, CliError> {
    let questions = plan.questions();
    if let Some(Question::LoseData { ids }) = questions
        .iter()
        .find(|question| matches!(question, Question::LoseData { .. }))
        && !answers.allow_data_loss
    {
        return Err(refused(&Refusal::DataLossNotAllowed { ids: ids.clone() }));
    }
    let deletions = questions.iter().find_map(|question| match question {
        Question::Delete { ids, .. } => Some(ids.len()),
        Question::Write { .. } | Question::LoseData { .. } => None,
    });
    let is_nothing = questions.is_empty() && loosened.is_empty();
    let consent = if is_nothing || answers.auto_approve {
        Consent::Given
    } else {
        ask(deletions.unwrap_or_default(), name, format, ui)?
    };
    if questions.is_empty() && consent == Consent::NotGiven {
        return Err(refused(&Refusal::NotConfirmed));
    }
    let approval = Approval {
        writes: consent,
        deletions: consent,
        data_loss: if answers.allow_data_loss {
            consent
        } else {
            Consent::NotGiven
        },
    };
    plan::approve(plan, &approval).map_err(|refusal| refused(&refusal))
}

/// Asks a question that only one answer says yes to.
///
/// *Errors*: any other answer, and no terminal to ask on.
pub fn typed(question: &str, wanted: &str, ui: &mut Ui) -> Result<(), CliError> {
    if !ui.can_ask() {
        return Err(
            CliError::refused("nothing was done: there is no terminal to ask on")
                .hint("pass -y to do it without a question"),
        );
    }
    if ui.ask(question)? == wanted {
        Ok(())
    } else {
        Err(CliError::refused("nothing was done: it was not confirmed"))
    }
}

fn ask(deletions: usize, name: &str, format: Format, ui: &mut Ui) -> Result<Consent, CliError> {
    if format == Format::Json {
        return Err(
            CliError::refused("nothing was written: with `-o json` no question is asked")
                .hint("pass -y to apply without a question"),
        );
    }
    if !ui.can_ask() {
        return Err(
            CliError::refused("nothing was written: there is no terminal to ask on")
                .hint("pass -y to apply without a question"),
        );
    }
    let (question, wanted) = question(deletions, name);
    Ok(Consent::when(ui.ask(&question)? == wanted))
}

/// Returns the question and the only answer that means yes: who deletes several clusters types what they belong to.
fn question(deletions: usize, name: &str) -> (String, &str) {
    match deletions {
        0 => ("Apply this plan? Type `yes`:".to_owned(), "yes"),
        1 => (
            format!("Apply this plan, with {DELETE}1 DELETION{DELETE:#}? Type `yes`:"),
            "yes",
        ),
        many => (
            format!("Apply this plan, with {DELETE}{many} DELETIONS{DELETE:#}? Type `{name}`:"),
            name,
        ),
    }
}

fn refused(refusal: &Refusal) -> CliError {
    let error = CliError::refused(format!("nothing was written: {refusal}"));
    match refusal {
        Refusal::DataLossNotAllowed { .. } => error.hint("pass --allow-data-loss if that is meant"),
        Refusal::NotConfirmed | Refusal::DeletionsNotConfirmed { .. } | Refusal::Unsafe { .. } => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_deletions_need_the_name_of_the_fleet_typed() {
        let plain = |deletions| {
            let (question, wanted) = question(deletions, "acme");
            (anstream::adapter::strip_str(&question).to_string(), wanted)
        };
        assert_eq!(plain(0), ("Apply this plan? Type `yes`:".to_owned(), "yes"));
        assert_eq!(plain(1).1, "yes");
        assert_eq!(
            plain(2),
            (
                "Apply this plan, with 2 DELETIONS? Type `acme`:".to_owned(),
                "acme"
            )
        );
    }
}
