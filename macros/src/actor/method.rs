//! The methods of an actor's state: which are exposed, and how each one gets at the state.
//!
//! | written | what it does | access |
//! |---|---|---|
//! | `pub async fn m(&self, …) -> Result<T>` | answers | shared |
//! | `pub async fn m(&mut self, …) -> Result<T>` | answers | exclusive |
//! | `pub async fn m(me: Me<Self>, …) -> Result<T>` | answers | when it asks |
//! | `pub fn m(&self, …) -> impl Stream<Item = Result<T>>` | sends | shared, while the stream is made |
//! | `pub async fn m(me: Me<Self>, out: &mut StreamSender<T>, …) -> Result<()>` | sends | when it asks |
//! | `pub async fn m(me: Me<Self>, ctx: &mut Context<…>, …) -> Result<T>` | a dialog | when it asks |
//!
//! Private functions, those without the state, and plain ones are the program's own.

use quote::ToTokens as _;
use syn::{
    Error, FnArg, Ident, ImplItemFn, ReceiverKind, Result, ReturnType, Signature, Type, TypeParamBound, TypePath,
};

use super::{is_exposed, named};
use crate::dialog::{Dialog, behind_reference};
use crate::exposed::check_shape;
use crate::signature::{Argument, Kind, Mistakes, Returned, bare};
use crate::source::Source;

/// An exposed method.
pub(super) struct Method {
    /// As the user wrote it, with the name of the type for `Self`.
    pub(super) function: ImplItemFn,
    pub(super) arguments: Vec<Argument>,
    pub(super) speech: Speech,
}

/// How it gets at the state, and what it says to its caller.
pub(super) enum Speech {
    Answer(Access, Returned),
    Stream(Source),
    Dialog(Box<Dialog>, Returned),
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Access {
    Shared,
    Exclusive,
    /// `me: Me<Self>`.
    Me,
}

impl Method {
    /// Reads one; `None` if it is the program's own. A returned stream is made to live without the state.
    pub(super) fn read(function: &mut ImplItemFn, actor: &Ident) -> Result<Option<Self>> {
        let is_stream = Source::is_returned(&function.sig, Kind::Stream);
        let takes_part = function.sig.asyncness.is_some() || is_stream;
        if !is_exposed(&function.vis) || !takes_part {
            return Ok(None);
        }
        let Some(access) = Access::read(&function.sig)? else { return Ok(None) };
        let mut mistakes = Mistakes::default();
        mistakes.check(check_name(&function.sig.ident));
        let kind = if is_stream { Kind::Stream } else { Kind::Method };
        mistakes.check(check_shape(&function.sig, kind));
        let function_named = ImplItemFn {
            sig: syn::parse2(named(function.sig.to_token_stream(), actor))?,
            block: syn::parse_quote!({}),
            ..function.clone()
        };
        match is_stream {
            true => live_without_self(&mut function.sig),
            // It has to be, whether or not it waits.
            false => function.attrs.push(syn::parse_quote!(#[allow(clippy::unused_async)])),
        }
        let sig = &function_named.sig;
        let mut inputs = sig.inputs.iter();
        inputs.next(); // the state
        let speech = match inputs.clone().next().and_then(lent) {
            _ if is_stream && access != Access::Shared => {
                let why = "a method that returns a stream makes it from `&self`, and the stream lives without that";
                mistakes.check(Err(Error::new_spanned(sig, why)))
            }
            _ if is_stream => mistakes.check(Source::read(sig, &mut inputs)).map(Speech::Stream),
            Some(lent) if access != Access::Me => {
                let why = format!(
                    "a method with a `{lent}` may live long, and others would wait for the state until it ends: take \
                     `me: Me<Self>` instead of `self`, and `me.read()` or `me.write()` when it needs the state"
                );
                inputs.next();
                mistakes.check(Err(Error::new_spanned(sig.inputs.first(), why)))
            }
            Some("Context") => {
                let dialog = mistakes.check(Dialog::read(sig, inputs.next()));
                let returned = mistakes.check(Returned::read(sig, Kind::Context));
                dialog.zip(returned).map(|(dialog, returned)| Speech::Dialog(Box::new(dialog), returned))
            }
            Some(_sender) => mistakes.check(Source::read(sig, &mut inputs)).map(Speech::Stream),
            None => mistakes.check(Returned::read(sig, Kind::Method)).map(|returned| Speech::Answer(access, returned)),
        };
        let arguments = inputs.filter_map(|input| mistakes.check(Argument::read(input, Kind::Method))).collect();
        mistakes.finish()?;
        let speech = speech.expect("without it there was a mistake");
        Ok(Some(Self { function: function_named, arguments, speech }))
    }
}

impl Access {
    /// Returns how a function gets at the state, if it does.
    fn read(sig: &Signature) -> Result<Option<Self>> {
        match sig.inputs.first() {
            Some(FnArg::Receiver(receiver)) => match &receiver.kind {
                ReceiverKind::Reference(_, _, None) => Ok(Some(Self::Shared)),
                ReceiverKind::Reference(_, _, Some(_)) => Ok(Some(Self::Exclusive)),
                ReceiverKind::Value => {
                    let why = "callers can't take the state out of its actor: write `&self` or `&mut self`; only \
                               `stopping` has it for good";
                    Err(Error::new_spanned(receiver, why))
                }
                _ => {
                    Err(Error::new_spanned(receiver, "a method of an actor has `&self`, `&mut self` or `me: Me<Self>`"))
                }
            },
            Some(FnArg::Typed(typed)) => match bare(&typed.ty) {
                Type::Path(path) if last_is(path, "Me") => Ok(Some(Self::Me)),
                _ => Ok(None),
            },
            None => Ok(None),
        }
    }
}

/// Returns the name of the runtime's handle that a parameter lends to the method, if it is one.
fn lent(input: &FnArg) -> Option<&'static str> {
    let FnArg::Typed(typed) = input else { return None };
    let (Type::Path(path), _) = behind_reference(&typed.ty) else { return None };
    ["Context", "StreamSender"].into_iter().find(|name| last_is(path, name))
}

fn last_is(path: &TypePath, name: &str) -> bool {
    path.path.segments.last().is_some_and(|last| last.ident == name)
}

/// Each value has methods of these names, a handle too: they would hide the actor's.
fn check_name(name: &Ident) -> Result<()> {
    match ["clone", "drop", "into", "serialize", "to_owned", "try_into"].iter().any(|taken| name == taken) {
        true => Err(Error::new_spanned(
            name,
            format!("a handle has a `{name}` of its own, as any value, which would hide this one: rename it"),
        )),
        false => Ok(()),
    }
}

/// Has the stream that a method returns borrow nothing of the state: others have it meanwhile.
fn live_without_self(sig: &mut Signature) {
    let ReturnType::Type(_, ty) = &mut sig.output else { return };
    let Type::ImplTrait(returned) = &mut **ty else { return };
    if !returned.bounds.iter().any(|bound| matches!(bound, TypeParamBound::PreciseCapture(_))) {
        returned.bounds.push(TypeParamBound::PreciseCapture(syn::parse_quote!(use<>)));
    }
}
