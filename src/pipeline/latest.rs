//! The newest version of each house stage. MLflow knows the newest of its own four, so the others are asked for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use quick_cache::sync::Cache;

use crate::facts::{FactError, query};
use crate::filter::stages::{self, Latest, Row, Version};
use crate::govern::{Broken, Mode, sources};
use crate::limit::{LARGE, Slot};
use crate::registry::named;
use crate::reject::Rejection;
use crate::route::Misread;
use crate::route::message::Message;
use crate::stage::Stage;
use crate::upstream::UpstreamError;

use super::Gate;

/// So many models of a list are looked into at once.
const AT_ONCE: usize = 8;
/// So many versions that the store knows in a stage are asked for until one of them is there.
const TRIES: usize = 5;
/// MLflow's versions are looked through so many at a time, first; then so many; in so many steps.
const FIRST: usize = 100;
const PAGE: usize = 1_000;
const STEPS: usize = 6;
/// So many are asked for one after the other where the model's name fits no filter.
const SINGLE: u64 = 200;

/// MLflow's own stages, which are the house's too: what stands there may never have passed here.
const OWN: [Stage; 4] = [Stage::Development, Stage::Staging, Stage::Production, Stage::Archived];

/// What was found below the newest versions that MLflow names is believed for so long: what changes there without passing
/// here is seen later. What passes here is known to the store.
const BELIEVED: Duration = Duration::from_secs(60);
const REMEMBERED: usize = 10_000;

/// Where something was looked for: a model, MLflow's stage, below which version, above which other one that stands there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    model: String,
    stage: Stage,
    from: (u64, i64),
    above: Option<u64>,
}

/// What was found below the newest versions that MLflow names, and when: a long model is not looked through for each reader.
#[derive(Debug)]
pub struct Below(Cache<Place, (Instant, Option<u64>)>);

impl Default for Below {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

/// The newest version of each stage, as far as they are found.
#[derive(Default)]
struct Newest(BTreeMap<Stage, Row>);

impl Newest {
    fn offer(&mut self, stage: Stage, row: Row) {
        if self.number(stage).is_none_or(|known| known < row.version.number) {
            self.0.insert(stage, row);
        }
    }

    fn number(&self, stage: Stage) -> Option<u64> {
        self.0.get(&stage).map(|row| row.version.number)
    }
}

impl Gate {
    /// An answer that lists the newest versions of one model.
    pub(super) async fn newest_in_answer(&self, body: &Bytes, wanted: &[Stage]) -> Result<Bytes, Rejection> {
        let rows = stages::versions(body)?;
        Ok(stages::answer_of(&self.newest(rows, wanted).await?)?)
    }

    /// An answer with registered models, which hold their newest versions.
    pub(super) async fn newest_in_models(&self, body: Bytes, slot: &Slot) -> Result<Bytes, Rejection> {
        let mut lists = if body.len() < LARGE {
            stages::latest(&body)?
        } else {
            let (turn, body) = (slot.aside().turn().await?, body.clone());
            turn.run(move || stages::latest(&body)).await??
        };
        let mut changed = Vec::new();
        while !lists.is_empty() {
            let rest = lists.split_off(lists.len().min(AT_ONCE));
            let found = try_join_all(lists.into_iter().map(|list| self.newest_in_list(list))).await?;
            changed.extend(found.into_iter().flatten());
            lists = rest;
        }
        if changed.is_empty() { Ok(body) } else { Ok(stages::with_latest(&body, &changed)?) }
    }

    /// The list, if it is to be another than MLflow's.
    async fn newest_in_list(&self, mut list: Latest) -> Result<Option<Latest>, Rejection> {
        let numbers = |rows: &[Row]| rows.iter().map(|row| row.version.number).collect::<Vec<_>>();
        let before = numbers(&list.rows);
        list.rows = self.newest(std::mem::take(&mut list.rows), &Stage::ALL).await?;
        Ok((numbers(&list.rows) != before).then_some(list))
    }

    /// Of one model, the newest version of each stage that is wanted: those that MLflow names stay in its order.
    async fn newest(&self, rows: Vec<Row>, wanted: &[Stage]) -> Result<Vec<Row>, Rejection> {
        let Some(model) = rows.first().map(|row| row.version.model.clone()) else { return Ok(rows) };
        let mut newest = Newest::default();
        let mut covered = Vec::new();
        for row in &rows {
            let stage = self.stage_of(&row.version).await;
            newest.offer(stage, row.clone());
            let own = Stage::named(&row.version.mlflows);
            let own = own.filter(|own| *own != stage && wanted.contains(own) && OWN.contains(own));
            covered.extend(own.map(|own| (own, &row.version)));
        }
        self.known(&model, wanted, &mut newest).await?;
        // Below the newest that MLflow has in one of its stages there may be one of which the store does not know.
        let place = |(stage, version): (Stage, &Version)| {
            let (from, above) = ((version.number, version.created), newest.number(stage));
            let room = above.is_none_or(|above| above < version.number);
            room.then(|| Place { model: model.clone(), stage, from, above })
        };
        let places: Vec<Place> = covered.into_iter().filter_map(place).collect();
        self.below(&model, places, &mut newest).await?;
        newest.0.retain(|stage, _| wanted.contains(stage));
        let mut found: Vec<Row> = newest.0.into_values().collect();
        let place = |row: &Row| rows.iter().position(|other| other.version.number == row.version.number);
        found.sort_by_key(|row| place(row).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// Versions that the store knows, where they are newer than what is found.
    async fn known(&self, model: &str, wanted: &[Stage], newest: &mut Newest) -> Result<(), Rejection> {
        let known = self.stages.of_model(model);
        for stage in wanted {
            let standing = known.iter().rev().filter(|(_, known)| known.stage == *stage).take(TRIES);
            for (number, _) in standing {
                if newest.number(*stage).is_some_and(|found| found >= *number) {
                    break;
                }
                if let Some(row) = self.row(model, *number).await? {
                    newest.offer(self.stage_of(&row.version).await, row);
                }
            }
        }
        Ok(())
    }

    /// Finds what lies in these places, or remembers it.
    async fn below(&self, model: &str, places: Vec<Place>, newest: &mut Newest) -> Result<(), Rejection> {
        let now = self.clock.instant();
        let mut open = Vec::new();
        for place in places {
            let found = self.below.0.get(&place);
            match found.filter(|(at, _)| now.saturating_duration_since(*at) < BELIEVED) {
                Some((_, None)) => {}
                Some((_, Some(number))) => match self.row(model, number).await? {
                    Some(row) if self.stage_of(&row.version).await == place.stage => {
                        newest.offer(place.stage, row);
                    }
                    Some(_) | None => open.push(place),
                },
                None => open.push(place),
            }
        }
        let Some(from) = open.iter().map(|place| place.from.0).max() else { return Ok(()) };
        let missing = open.iter().map(|place| place.stage).collect();
        self.look_below(model, from, missing, newest).await?;
        for place in open {
            let found = newest.number(place.stage).filter(|number| Some(*number) != place.above);
            self.below.0.insert(place, (now, found));
        }
        Ok(())
    }

    /// Looks through a model's versions below `from` until one stands in each of the stages that are missing.
    async fn look_below(
        &self,
        model: &str,
        from: u64,
        mut missing: Vec<Stage>,
        newest: &mut Newest,
    ) -> Result<(), Rejection> {
        let Some(filter) = named(model) else { return self.one_by_one(model, from, missing, newest).await };
        let (mut at, mut size, mut prompts) = (from, FIRST, "");
        for _ in 0..STEPS {
            let below = format!("{filter} AND version_number < {at}{prompts}");
            let rows = match self.page_of(&below, size).await {
                Err(Rejection::Fact(FactError::Upstream(UpstreamError::ResponseTooLarge { .. })))
                    if size > 1 =>
                {
                    size = (size / 8).max(1);
                    continue;
                }
                other => other?,
            };
            if rows.is_empty() && at == from && prompts.is_empty() {
                prompts = PROMPTS;
                continue;
            }
            let last = rows.len() < size;
            for row in rows {
                at = row.version.number;
                newest.offer(self.stage_of(&row.version).await, row);
                missing.retain(|stage| newest.number(*stage).is_none_or(|found| found < at));
            }
            if last || missing.is_empty() {
                break;
            }
            size = if size == FIRST { PAGE } else { size };
        }
        Ok(())
    }

    async fn page_of(&self, filter: &str, size: usize) -> Result<Vec<Row>, Rejection> {
        let size = size.to_string();
        let pairs = [("filter", filter), ("max_results", &size), ("order_by", "version_number DESC")];
        let path = query("/api/2.0/mlflow/model-versions/search", &pairs);
        match self.facts.look(&self.mlflow, &path).await? {
            Some(body) => Ok(stages::versions(&body)?),
            None => Ok(Vec::new()),
        }
    }

    async fn one_by_one(
        &self,
        model: &str,
        from: u64,
        mut missing: Vec<Stage>,
        newest: &mut Newest,
    ) -> Result<(), Rejection> {
        for number in (from.saturating_sub(SINGLE).max(1)..from).rev() {
            if let Some(row) = self.row(model, number).await? {
                newest.offer(self.stage_of(&row.version).await, row);
            }
            missing.retain(|stage| newest.number(*stage).is_none_or(|found| found < number));
            if missing.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// A version as MLflow has it, if it does.
    async fn row(&self, model: &str, number: u64) -> Result<Option<Row>, Rejection> {
        let number = number.to_string();
        let path = query("/api/2.0/mlflow/model-versions/get", &[("name", model), ("version", &number)]);
        let body = self.facts.look(&self.mlflow, &path).await?;
        Ok(body.map(|body| stages::version(&body)).transpose()?.flatten())
    }

    /// A source that names a version by its stage, or as the latest, names it by its number from here on: MLflow knows
    /// only its own stages.
    pub(super) async fn numbered(&self, message: &mut Message) -> Result<(), Rejection> {
        let named = message.text("source").and_then(sources::by_stage);
        let Some((model, which)) = named.filter(|_| self.rules != Mode::Off) else { return Ok(()) };
        let stage = match which {
            latest if latest.eq_ignore_ascii_case("latest") => None,
            stage => {
                let unknown = || Misread::Stage(stage.chars().take(40).collect());
                Some(Stage::named(stage).ok_or_else(unknown)?)
            }
        };
        let path = query("/api/2.0/mlflow/registered-models/get-latest-versions", &[("name", model)]);
        let rows = match self.facts.look(&self.mlflow, &path).await? {
            Some(body) => stages::versions(&body)?,
            None => Vec::new(),
        };
        let rows = match stage {
            Some(stage) => self.newest(rows, &[stage]).await?,
            None => rows,
        };
        let newest = rows.iter().map(|row| row.version.number).max();
        let number = newest.ok_or(Broken::Source("no version of the model that it names stands there"))?;
        let source = format!("models:/{model}/{number}");
        message.replace_text("source", &source);
        Ok(())
    }
}

/// MLflow's searches leave out prompts' versions unless they are asked for just these.
const PROMPTS: &str = " AND tags.`mlflow.prompt.is_prompt` = 'true'";
