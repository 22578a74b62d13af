//! One record: how it is taken along, and how it is handed over.
//!
//! Values are formatted where the record is made, because they do not outlive the moment; everything that a
//! subscriber does happens where the record is handed over, within the span in which it was made.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use tracing_core::dispatcher::{Dispatch, with_default};
use tracing_core::field::{DisplayValue, Field, Value, ValueSet, Visit, display};
use tracing_core::span::Id;
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Event, Metadata};

use super::origin::{self, origin as current_origin};
use super::site::Site;
use super::{facade, fallback, guarded};

/// A record on its way.
pub(super) struct Record {
    site: &'static Site,
    /// One for each field; `None` for one that has no value.
    values: Vec<Option<Kept>>,
    dispatch: Dispatch,
    origin: Option<Arc<str>>,
    span: Option<Id>,
    /// The subscriber has been asked whether it wants this one, and does.
    wanted: bool,
    /// About how much memory the values take.
    size: usize,
}

impl Record {
    /// Captures the present context.
    pub(super) fn new(site: &'static Site, values: &[&dyn Value], dispatch: Dispatch, wanted: bool) -> Self {
        let mut keeper = Keeper { values: Vec::with_capacity(values.len()), size: size_of_val(values) };
        for (field, value) in site.metadata().fields().iter().zip(values) {
            value.record(&field, &mut keeper);
            keeper.values.resize_with(field.index() + 1, || None); // it may have said nothing
        }
        let Keeper { values, size } = keeper;
        let mut span = None;
        guarded(|| span = dispatch.current_span().id().map(|id| dispatch.clone_span(id)));
        Self { site, values, dispatch, origin: current_origin(), span, wanted, size }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The subscriber that gets it.
    pub(super) fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// The place where it was made.
    pub(super) fn metadata(&self) -> &'static Metadata<'static> {
        self.site.metadata()
    }

    /// The names and values of its fields, the message first.
    pub(super) fn values(&self) -> impl Iterator<Item = (Field, &Kept)> {
        let fields = self.metadata().fields().iter().zip(&self.values);
        fields.filter_map(|(field, value)| Some((field, value.as_ref()?)))
    }

    /// Hands it over.
    pub(super) fn hand_over(&self) {
        let outer = HANDED_OVER.replace(true);
        let own = origin::replace_thread_origin(self.origin.clone());
        match self.dispatch.is::<NoSubscriber>() {
            true => drop(guarded(|| self.write())),
            false => with_default(&self.dispatch, || self.hand_over_in_span()),
        }
        drop(origin::replace_thread_origin(own));
        HANDED_OVER.set(outer);
    }

    /// Releases its references to the subscriber.
    pub(super) fn end(self) {
        let outer = HANDED_OVER.replace(true);
        guarded(move || {
            if let Some(span) = self.span {
                self.dispatch.try_close(span);
            }
        });
        HANDED_OVER.set(outer);
    }

    /// Gives it to the program's logger, or to what takes the place of a subscriber while there is none.
    fn write(&self) {
        match facade::may_want(*self.metadata().level()) {
            true => facade::write(self),
            false => self.with_values(|values| fallback::write(self.metadata(), values)),
        }
    }

    /// Each call is guarded alone: a second panic while the first one unwinds would end the process.
    fn hand_over_in_span(&self) {
        let entered = self.span.as_ref().filter(|span| guarded(|| self.dispatch.enter(span)));
        guarded(|| self.dispatch_event());
        if let Some(span) = entered {
            guarded(|| self.dispatch.exit(span));
        }
    }

    fn dispatch_event(&self) {
        let interest = self.site.register();
        // It has to be asked here in any case: filters of single layers keep their answer for the event that follows.
        let wanted = interest.is_always()
            || (interest.is_sometimes() && (self.dispatch.enabled(self.metadata()) || self.wanted));
        if !wanted {
            return;
        }
        self.with_values(|values| Event::dispatch(self.metadata(), values));
    }

    /// Lends its values as `tracing` has them.
    fn with_values(&self, take: impl FnOnce(&ValueSet<'_>)) {
        let values: Vec<_> = self.values().collect();
        let Some((message, _)) = values.first() else { return };
        let mut set: [(&Field, Option<&dyn Value>); MAX_FIELDS] = [(message, None); MAX_FIELDS];
        for (place, (field, value)) in set.iter_mut().zip(&values) {
            *place = (field, Some(value.as_value()));
        }
        take(&self.metadata().fields().value_set(&set));
    }
}

/// Returns whether this thread is handing a record over just now.
pub(super) fn is_being_handed_over() -> bool {
    HANDED_OVER.get()
}

thread_local! {
    static HANDED_OVER: Cell<bool> = const { Cell::new(false) };
}

/// The value of a field, as a subscriber will get it.
pub(super) enum Kept {
    F64(f64),
    I64(i64),
    U64(u64),
    Bool(bool),
    Text(String),
    /// The output of `Display` or `Debug`.
    Shown(DisplayValue<String>),
}

impl Kept {
    pub(super) fn as_value(&self) -> &(dyn Value + 'static) {
        match self {
            Self::F64(value) => value,
            Self::I64(value) => value,
            Self::U64(value) => value,
            Self::Bool(value) => value,
            Self::Text(value) => value,
            Self::Shown(value) => value,
        }
    }
}

/// Takes what values say of themselves.
struct Keeper {
    values: Vec<Option<Kept>>,
    size: usize,
}

impl Visit for Keeper {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.size += text.len();
        self.values.push(Some(Kept::Shown(display(text))));
    }

    fn record_str(&mut self, _: &Field, value: &str) {
        self.size += value.len();
        self.values.push(Some(Kept::Text(value.to_owned())));
    }

    fn record_f64(&mut self, _: &Field, value: f64) {
        self.values.push(Some(Kept::F64(value)));
    }

    fn record_i64(&mut self, _: &Field, value: i64) {
        self.values.push(Some(Kept::I64(value)));
    }

    fn record_u64(&mut self, _: &Field, value: u64) {
        self.values.push(Some(Kept::U64(value)));
    }

    fn record_bool(&mut self, _: &Field, value: bool) {
        self.values.push(Some(Kept::Bool(value)));
    }
}

/// Fields that a record has at most, the message among them.
pub const MAX_FIELDS: usize = 16;
