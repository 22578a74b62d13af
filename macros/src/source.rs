//! The source of a `#[stream]` function's messages: `out: &mut StreamSender<T>`, or the stream it returns.
//!
//! A function that returns `impl …` is taken to return its stream; any other needs a sender.

use syn::punctuated::Iter;
use syn::{
    Error, FnArg, GenericArgument, PathArguments, Result, ReturnType, Signature, Type, TypeImplTrait, TypeParamBound,
    TypePath,
};

use crate::dialog::behind_reference;
use crate::owned;
use crate::signature::{Kind, bare, plain_name, typed, value_of};

/// Where a function's messages come from.
pub(crate) enum Source {
    /// It gives them to its first parameter, a `StreamSender<…>`, as the user wrote that.
    Sender { sender: TypePath, item: Type },
    /// It returns a stream of them.
    Returned { item: Type },
}

impl Source {
    /// Returns whether a function is written so that it returns its stream.
    pub(crate) fn is_returned(sig: &Signature, kind: Kind) -> bool {
        kind == Kind::Stream && returned_impl(sig).is_some()
    }

    /// Reads it from a signature; takes the sender from the parameters, if there is one.
    pub(crate) fn read(sig: &Signature, inputs: &mut Iter<'_, FnArg>) -> Result<Self> {
        let source = match returned_impl(sig) {
            Some(returned) => Self::read_returned(sig, returned)?,
            None => Self::read_sender(sig, inputs.next())?,
        };
        owned::check(source.item(), "messages cross a process boundary: use an owned type")?;
        Ok(source)
    }

    /// Returns the type of the messages.
    pub(crate) fn item(&self) -> &Type {
        match self {
            Self::Sender { item, .. } | Self::Returned { item } => item,
        }
    }

    fn read_returned(sig: &Signature, returned: &TypeImplTrait) -> Result<Self> {
        if let Some(asyncness) = &sig.asyncness {
            let why = "a stream function that returns its stream is a plain `fn`: nothing runs before it is polled";
            return Err(Error::new_spanned(asyncness, why));
        }
        let item = item_of(returned).and_then(value_of);
        let item = item.ok_or_else(|| {
            let why = "callers have to know what comes, and any message can fail: \
                       write `-> impl Stream<Item = pleach::Result<…>>`";
            Error::new_spanned(returned, why)
        })?;
        Ok(Self::Returned { item: item.clone() })
    }

    fn read_sender(sig: &Signature, first: Option<&FnArg>) -> Result<Self> {
        let Some(first) = first else {
            let why = format!("a stream function takes its sender first: add `{EXAMPLE}`, or return `impl Stream`");
            return Err(Error::new_spanned(sig, why));
        };
        let typed = typed(first, Kind::Stream)?;
        let (target, is_lent) = behind_reference(&typed.ty);
        let sender = match target {
            Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "StreamSender") => path,
            _ => {
                let why = format!(
                    "the first parameter of a stream function is its sender: write `{EXAMPLE}`, or return `impl Stream`"
                );
                return Err(Error::new_spanned(&typed.ty, why));
            }
        };
        if !is_lent {
            return Err(Error::new_spanned(&typed.ty, "the sender is lent to the body: write `&mut StreamSender<…>`"));
        }
        plain_name(&typed.pat, &format!("the sender is a plain name: write `{EXAMPLE}`"))?;
        let item = only_type(sender).ok_or_else(|| {
            Error::new_spanned(sender, "a sender has one type, of what it sends: write `StreamSender<T>`")
        })?;
        if let ReturnType::Type(_, ty) = &sig.output
            && value_of(ty).is_some_and(|value| !is_unit(value))
        {
            let why = "callers get what a stream function sends, and nothing else: return `Result<()>`";
            return Err(Error::new_spanned(ty, why));
        }
        Ok(Self::Sender { sender: sender.clone(), item: item.clone() })
    }
}

fn returned_impl(sig: &Signature) -> Option<&TypeImplTrait> {
    match &sig.output {
        ReturnType::Type(_, ty) => match bare(ty) {
            Type::ImplTrait(returned) => Some(returned),
            _ => None,
        },
        ReturnType::Default => None,
    }
}

/// Returns the `X` of `impl Stream<Item = X>`, whatever else is there.
fn item_of(returned: &TypeImplTrait) -> Option<&Type> {
    let stream = returned.bounds.iter().find_map(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().filter(|last| last.ident == "Stream"),
        _ => None,
    })?;
    let PathArguments::AngleBracketed(arguments) = &stream.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(assoc) if assoc.ident == "Item" => Some(&assoc.ty),
        _ => None,
    })
}

/// Returns the `T` of `…<T>`.
fn only_type(path: &TypePath) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else { return None };
    match (arguments.args.first(), arguments.args.len()) {
        (Some(GenericArgument::Type(ty)), 1) => Some(ty),
        _ => None,
    }
}

fn is_unit(ty: &Type) -> bool {
    matches!(bare(ty), Type::Tuple(tuple) if tuple.elems.is_empty())
}

const EXAMPLE: &str = "out: &mut StreamSender<T>";
