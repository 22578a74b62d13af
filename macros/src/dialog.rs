//! The first parameter of a `#[context]` function: `ctx: &mut Context<Started, Recv, Send>`.
//!
//! It declares the types that both sides exchange. It is not one of the arguments: callers don't send it,
//! the runtime makes it where the body runs.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, FnArg, GenericArgument, PathArguments, Result, Signature, Type, TypePath, TypeReference};

use crate::signature::{Kind, bare, plain_name, typed};
use crate::{owned, text};

/// The types that a function exchanges with its caller.
pub(crate) struct Dialog {
    /// The `Context<…>` as the user wrote it.
    pub(crate) context: TypePath,
    /// Its first value, and the messages it receives and sends.
    messages: [Type; 3],
}

impl Dialog {
    /// Reads the first parameter of a function, if there is one.
    pub(crate) fn read(sig: &Signature, first: Option<&FnArg>) -> Result<Self> {
        let Some(first) = first else {
            let why = format!("a context function takes its context first: add `{EXAMPLE}`");
            return Err(Error::new_spanned(sig, why));
        };
        let typed = typed(first, Kind::Context)?;
        let context = context_behind(&typed.ty)?;
        let messages = messages(context)?;
        plain_name(&typed.pat, &format!("the context is a plain name: write `{EXAMPLE}`"))?;
        for message in &messages {
            owned::check(message, "messages cross a process boundary: use an owned type")?;
        }
        Ok(Self { context: context.clone(), messages })
    }

    /// Returns the types of the messages, with commas between them.
    pub(crate) fn types(&self) -> TokenStream {
        let messages = &self.messages;
        quote!(#(#messages),*)
    }

    /// Returns the types of its first value, of received and of sent messages.
    pub(crate) fn messages(&self) -> &[Type; 3] {
        &self.messages
    }

    /// Returns the types of the messages as people write them.
    pub(crate) fn shown(&self) -> String {
        text::of(self.types())
    }
}

/// Returns the `Context<…>` of `&mut Context<…>`.
fn context_behind(ty: &Type) -> Result<&TypePath> {
    let (target, is_lent) = behind_reference(ty);
    match target {
        Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Context") => match is_lent {
            true => Ok(path),
            false => Err(Error::new_spanned(ty, "the context is lent to the body: write `&mut Context<…>`")),
        },
        _ => {
            let why = format!("the first parameter of a context function is its context: write `{EXAMPLE}`");
            Err(Error::new_spanned(ty, why))
        }
    }
}

/// Returns the type behind a reference, and whether that is a plain `&mut`; without a reference, the type.
pub(crate) fn behind_reference(ty: &Type) -> (&Type, bool) {
    match bare(ty) {
        Type::Reference(TypeReference { lifetime: None, mutability: Some(_), elem, .. }) => (bare(elem), true),
        Type::Reference(reference) => (bare(&reference.elem), false),
        other => (other, false),
    }
}

fn messages(context: &TypePath) -> Result<[Type; 3]> {
    let types: Vec<_> = match context.path.segments.last().map(|last| &last.arguments) {
        Some(PathArguments::AngleBracketed(arguments)) => arguments.args.iter().collect(),
        _ => Vec::new(),
    };
    match types[..] {
        [GenericArgument::Type(started), GenericArgument::Type(received), GenericArgument::Type(sent)] => {
            Ok([started.clone(), received.clone(), sent.clone()])
        }
        _ => Err(Error::new_spanned(
            context,
            "a context has three types, of its first value, and of received and sent messages: \
             write `Context<Started, Recv, Send>`",
        )),
    }
}

const EXAMPLE: &str = "ctx: &mut Context<Started, Recv, Send>";
