//! What the signature of an exposed function may be, and why not otherwise.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, FnArg, GenericArgument, Ident, Pat, PatType, PathArguments, Result, ReturnType, Signature, Type};

use crate::library::Library;
use crate::owned;

/// How callers and the function speak.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// One question, one answer.
    Rpc,
    /// A dialog.
    Context,
    /// Messages to the caller.
    Stream,
    /// A method of an actor's state.
    Method,
}

impl Kind {
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Self::Rpc => "`#[rpc]`",
            Self::Context => "`#[context]`",
            Self::Stream => "`#[stream]`",
            Self::Method => "`#[actor]`",
        }
    }

    pub(crate) fn function(self) -> &'static str {
        match self {
            Self::Rpc => "an rpc function",
            Self::Context => "a context function",
            Self::Stream => "a stream function",
            Self::Method => "a method of an actor",
        }
    }
}

/// The final value of a function.
pub(crate) struct Returned {
    pub(crate) ty: Type,
    /// The `T` of a `Result<T, …>`; other types hide theirs.
    pub(crate) value: Option<Type>,
}

pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
}

impl Argument {
    pub(crate) fn read(input: &FnArg, kind: Kind) -> Result<Self> {
        let typed = typed(input, kind)?;
        let why = format!(
            "an argument of {} is a plain name, because peers may send it by name. Take it apart in the body",
            kind.function()
        );
        let name = plain_name(&typed.pat, &why)?.clone();
        owned::check(&typed.ty, "arguments cross a process boundary: take an owned type")?;
        Ok(Self { name, ty: (*typed.ty).clone() })
    }
}

/// Returns a parameter that is not `self`.
pub(crate) fn typed(input: &FnArg, kind: Kind) -> Result<&PatType> {
    match input {
        FnArg::Typed(typed) => Ok(typed),
        FnArg::Receiver(receiver) => Err(Error::new_spanned(
            receiver,
            format!(
                "{} can't have `self`: an object can't be called from another process. \
                 Write a function that takes what it needs",
                kind.function()
            ),
        )),
    }
}

/// Returns the name, `mut` or not, that the pattern is; anything else is rejected for the reason `why`.
pub(crate) fn plain_name<'a>(pattern: &'a Pat, why: &str) -> Result<&'a Ident> {
    match pattern {
        Pat::Ident(plain) if plain.by_ref.is_none() && plain.subpat.is_none() => Ok(&plain.ident),
        other => Err(Error::new_spanned(other, why)),
    }
}

/// Mistakes found so far, to be reported together.
#[derive(Default)]
pub(crate) struct Mistakes(Option<Error>);

impl Mistakes {
    pub(crate) fn check<T>(&mut self, checked: Result<T>) -> Option<T> {
        match (checked, &mut self.0) {
            (Ok(value), _) => return Some(value),
            (Err(error), Some(first)) => first.combine(error),
            (Err(error), none) => *none = Some(error),
        }
        None
    }

    pub(crate) fn finish(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

impl Returned {
    pub(crate) fn read(sig: &Signature, kind: Kind) -> Result<Self> {
        let why = |what| format!("{} returns a `Result`, because a call can fail on the way: {what}", kind.function());
        match &sig.output {
            ReturnType::Type(_, ty) if matches!(bare(ty), Type::Path(_)) => {
                let value = value_of(ty);
                if let Some(value) = value {
                    owned::check(value, "the result crosses a process boundary: return an owned type")?;
                }
                Ok(Self { ty: (**ty).clone(), value: value.cloned() })
            }
            ReturnType::Type(_, ty) => Err(Error::new_spanned(ty, why("write `-> pleach::Result<…>`"))),
            ReturnType::Default => Err(Error::new_spanned(sig, why("add `-> pleach::Result<()>`"))),
        }
    }

    /// Returns the type of the callers' final value.
    pub(crate) fn value_type(&self, pleach: &Library) -> TokenStream {
        let Self { ty, value } = self;
        match value {
            Some(value) => value.to_token_stream(),
            None => quote!(<#ty as #pleach::__private::Outcome>::Value),
        }
    }
}

/// Returns the `T` of `Result<T, …>`, under whatever path.
pub(crate) fn value_of(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = bare(ty) else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == "Result")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(value) => Some(value),
        _ => None,
    }
}

pub(crate) fn is_bytes(ty: &Type) -> bool {
    let Type::Path(path) = bare(ty) else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == "Bytes" && last.arguments.is_none())
}

/// Returns the type without parentheses and without the invisible groups that other macros leave.
pub(crate) fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        other => other,
    }
}
