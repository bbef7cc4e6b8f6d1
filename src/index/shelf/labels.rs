//! Numbers that rise with names, in the order in which MLflow has them, with room between them for names that come.

use super::{GAP, Shelf};

impl Shelf {
    /// A label for what comes to stand at a place among the names. Where there is none between its neighbours all get new ones.
    pub(super) fn label_at(&mut self, prompt: bool, at: usize) -> Option<u64> {
        for _ in 0..2 {
            let names = self.of_names(prompt);
            let label = |at: usize| names.get(at).and_then(|id| self.row(*id)).map(|row| row.label);
            let before = if at == 0 { 0 } else { label(at - 1)? };
            let after = label(at).unwrap_or_else(|| before.saturating_add(2 * GAP));
            if after.saturating_sub(before) > 1 {
                return Some(before + (after - before) / 2);
            }
            self.relabel(prompt);
        }
        None
    }

    fn relabel(&mut self, prompt: bool) {
        let names = self.of_names(prompt).clone();
        for (at, id) in names.into_iter().enumerate() {
            let label = (at as u64 + 1).saturating_mul(GAP);
            let Some(Some(row)) = usize::try_from(id).ok().and_then(|id| self.rows.get_mut(id)) else {
                continue;
            };
            row.label = label;
            let Some(model) = self.models.get(&row.name) else { continue };
            for (_, version) in &model.versions {
                let version = usize::try_from(*version).ok().and_then(|id| self.rows.get_mut(id));
                if let Some(Some(row)) = version {
                    row.label = label;
                }
            }
        }
    }
}
