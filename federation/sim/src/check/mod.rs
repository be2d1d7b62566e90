//! What must hold: one checker a file, each blind to the others and to the core's insides.

mod accusations;
mod agreement;
mod bounds;
mod controls;
mod convergence;
mod gaps;
mod handed;
mod once;
mod order;
mod privacy;
mod receipts;

use crate::fact::Fact;

/// One invariant.
pub(crate) trait Check {
    /// Its name, as a failing run shows it.
    fn name(&self) -> &'static str;

    /// Looks at one fact.
    ///
    /// # Errors
    ///
    /// How the invariant is violated.
    fn see(&mut self, fact: &Fact<'_>) -> Result<(), String>;

    /// Looks back at the whole run.
    ///
    /// # Errors
    ///
    /// How the invariant is violated.
    fn finish(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    accusations: accusations::Accusations,
    agreement: agreement::Agreement,
    bounds: bounds::Bounds,
    controls: controls::Controls,
    convergence: convergence::Convergence,
    gaps: gaps::Gaps,
    handed: handed::Handed,
    once: once::Once,
    order: order::Order,
    privacy: privacy::Privacy,
    receipts: receipts::Receipts,
}

impl Checks {
    fn all(&mut self) -> [&mut dyn Check; 11] {
        [
            &mut self.once,
            &mut self.order,
            &mut self.receipts,
            &mut self.privacy,
            &mut self.accusations,
            &mut self.agreement,
            &mut self.bounds,
            &mut self.controls,
            &mut self.gaps,
            &mut self.handed,
            &mut self.convergence,
        ]
    }

    /// Shows a fact to every checker; returns the first objection.
    pub(crate) fn see(&mut self, fact: &Fact<'_>) -> Option<(&'static str, String)> {
        let objection = |check: &mut dyn Check| Some((check.name(), check.see(fact).err()?));
        self.all().into_iter().find_map(objection)
    }

    /// Asks every checker about the whole run.
    pub(crate) fn finish(&mut self) -> Option<(&'static str, String)> {
        let objection = |check: &mut dyn Check| Some((check.name(), check.finish().err()?));
        self.all().into_iter().find_map(objection)
    }

    pub(crate) fn refused_but_held(&self) -> (u64, u64) {
        self.receipts.refused_but_held()
    }
}
