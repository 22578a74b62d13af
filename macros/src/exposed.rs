//! `#[rpc]` and `#[context]`: turn an async function into one that builds a call, and register it.
//!
//! They differ in what the runtime does with it. A context function has a first parameter that is not
//! sent, see `dialog.rs`, and needs a caller to talk to, so its call can't run without one.
//!
//! The user's block moves into an inner async function, and the name that callers see becomes a
//! plain function around it. So inside the block the name means the outer function too, and recursion
//! works, here and through another actor.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{
    Attribute, Error, FnArg, GenericArgument, Ident, ItemFn, Pat, PatType, PathArguments, Result, ReturnType, Safety,
    Signature, Type,
};

use crate::dialog::Dialog;
use crate::{owned, text};

/// Expands the attribute, or says what keeps the function from being called by other actors.
pub(crate) fn expand(kind: Kind, options: TokenStream, function: TokenStream) -> Result<TokenStream> {
    if !options.is_empty() {
        return Err(Error::new_spanned(options, format!("{} takes no options", kind.attribute())));
    }
    let function: ItemFn = syn::parse2(function)?;
    let exposed = Exposed::read(kind, &function)?;
    Ok(exposed.write(&function))
}

/// How callers and the function speak.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// One question, one answer.
    Rpc,
    /// A dialog.
    Context,
}

impl Kind {
    fn attribute(self) -> &'static str {
        match self {
            Self::Rpc => "`#[rpc]`",
            Self::Context => "`#[context]`",
        }
    }

    fn function(self) -> &'static str {
        match self {
            Self::Rpc => "an rpc function",
            Self::Context => "a context function",
        }
    }
}

/// What callers have to know of a function.
struct Exposed {
    /// Only in a context function.
    dialog: Option<Dialog>,
    arguments: Vec<Argument>,
    returns: Type,
    /// The `T` of a `Result<T, …>`; other types hide theirs.
    value: Option<Type>,
}

struct Argument {
    name: Ident,
    ty: Type,
}

impl Exposed {
    /// Checks everything before it gives up, so that one build shows all mistakes.
    fn read(kind: Kind, function: &ItemFn) -> Result<Self> {
        let sig = &function.sig;
        let mut inputs = sig.inputs.iter();
        let mut mistakes = Mistakes::default();
        mistakes.check(check_shape(sig, kind));
        let dialog = match kind {
            Kind::Rpc => None,
            Kind::Context => mistakes.check(Dialog::read(sig, inputs.next())),
        };
        let arguments = inputs.filter_map(|input| mistakes.check(Argument::read(input, kind))).collect();
        let returns = mistakes.check(returned(sig, kind));
        mistakes.finish()?;
        let returns = returns.expect("without a type there was a mistake");
        Ok(Self { dialog, arguments, value: value_of(&returns).cloned(), returns })
    }

    fn write(&self, function: &ItemFn) -> TokenStream {
        let ItemFn { attrs, vis, sig, block, .. } = function;
        let (outside, inside): (Vec<_>, Vec<_>) = attrs.iter().partition(|attribute| is_for_callers(attribute));
        let Self { arguments, returns, .. } = self;
        let name = &sig.ident;
        let names: Vec<_> = arguments.iter().map(|argument| &argument.name).collect();
        let types: Vec<_> = arguments.iter().map(|argument| &argument.ty).collect();
        let blobs = types.iter().map(|ty| is_bytes(ty).then(|| quote!(#[serde(with = "::pleach::__private::blob")])));
        // Compile errors about the body's future point to the function's name.
        let Wiring { call_type, invoke, run, export, shown_dialog, call, run_here } = match &self.dialog {
            None => self.wire_call(name.span()),
            Some(dialog) => self.wire_dialog(dialog, name.span()),
        };
        let shown_name = name.unraw().to_string();
        let shown_arguments = self.shown_arguments();
        let shown_returns = text::of(returns.to_token_stream());
        let expecting = format!("the arguments ({shown_arguments})");
        let body = Signature { ident: Ident::new("__pleach_body", name.span()), ..sig.clone() };

        // `dead_code`: peers call it, whether or not this program does. `unused_async`: it has to be async.
        quote! {
            #(#outside)*
            #[allow(dead_code)]
            #vis fn #name(#(#names: #types),*) -> #call_type {
                #[derive(::pleach::__private::serde::Serialize, ::pleach::__private::serde::Deserialize)]
                #[serde(crate = "::pleach::__private::serde", deny_unknown_fields, expecting = #expecting)]
                struct __PleachArguments {
                    #(#blobs #names: #types,)*
                }

                #(#inside)*
                #[allow(clippy::unused_async)]
                #body #block

                fn __pleach_invoke(request: ::pleach::__private::Request) -> ::pleach::__private::Invoked {
                    ::pleach::__private::#invoke(request, #run)
                }

                #[::pleach::__private::linkme::distributed_slice(::pleach::__private::EXPORTS)]
                #[linkme(crate = ::pleach::__private::linkme)]
                static __PLEACH_EXPORT: ::pleach::__private::Export = ::pleach::__private::Export::#export(
                    ::core::concat!(::core::module_path!(), "::", #shown_name),
                    #shown_name,
                    #shown_arguments,
                    #shown_returns,
                    #shown_dialog
                    __pleach_invoke,
                );

                ::pleach::__private::#call(&__PLEACH_EXPORT, __PleachArguments { #(#names),* } #run_here)
            }
        }
    }

    fn wire_call(&self, at: Span) -> Wiring {
        let value = self.value_type();
        let names = self.arguments.iter().map(|argument| &argument.name);
        let run = quote_spanned!(at=> |__pleach: __PleachArguments| __pleach_body(#(__pleach.#names),*));
        let (call, invoke) = match self.value.as_ref().is_some_and(is_bytes) {
            true => (format_ident!("call_blob"), format_ident!("invoke_blob")),
            false => (format_ident!("call"), format_ident!("invoke")),
        };
        Wiring {
            call_type: quote!(::pleach::Call<#value>),
            invoke,
            run_here: Some(quote!(, #run)),
            run,
            export: format_ident!("new"),
            shown_dialog: None,
            call,
        }
    }

    fn wire_dialog(&self, dialog: &Dialog, at: Span) -> Wiring {
        let value = self.value_type();
        let names = self.arguments.iter().map(|argument| &argument.name);
        let (context, messages, shown) = (&dialog.context, dialog.types(), dialog.shown());
        // The future owns the context that it lends to the body.
        let run = quote_spanned! {at=>
            |mut __pleach_ctx: #context, __pleach: __PleachArguments| async move {
                __pleach_body(&mut __pleach_ctx, #(__pleach.#names),*).await
            }
        };
        Wiring {
            call_type: quote!(::pleach::ContextCall<#messages, #value>),
            invoke: format_ident!("invoke_context"),
            run,
            export: format_ident!("context"),
            shown_dialog: Some(quote!(#shown,)),
            call: format_ident!("context_call"),
            run_here: None,
        }
    }

    /// Returns the type of what callers get in the end.
    fn value_type(&self) -> TokenStream {
        let Self { returns, value, .. } = self;
        match value {
            Some(value) => value.to_token_stream(),
            None => quote!(<#returns as ::pleach::__private::Outcome>::Value),
        }
    }

    /// Returns the arguments as error messages show them, and as peers compare them.
    fn shown_arguments(&self) -> String {
        let shown =
            |argument: &Argument| format!("{}: {}", argument.name.unraw(), text::of(argument.ty.to_token_stream()));
        self.arguments.iter().map(shown).collect::<Vec<_>>().join(", ")
    }
}

/// The parts of an expansion in which calls and dialogs differ.
struct Wiring {
    call_type: TokenStream,
    /// The runtime's function that decodes the arguments for `run`.
    invoke: Ident,
    /// Starts the body.
    run: TokenStream,
    /// The constructor of the export.
    export: Ident,
    /// What the export has to know besides, with a comma behind it.
    shown_dialog: Option<TokenStream>,
    /// The runtime's function that makes the call.
    call: Ident,
    /// `run` once more, with a comma before it, if the call can do without a peer.
    run_here: Option<TokenStream>,
}

impl Argument {
    fn read(input: &FnArg, kind: Kind) -> Result<Self> {
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

/// Mistakes found so far, to be told together.
#[derive(Default)]
struct Mistakes(Option<Error>);

impl Mistakes {
    fn check<T>(&mut self, checked: Result<T>) -> Option<T> {
        match (checked, &mut self.0) {
            (Ok(value), _) => return Some(value),
            (Err(error), Some(first)) => first.combine(error),
            (Err(error), none) => *none = Some(error),
        }
        None
    }

    fn finish(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

fn check_shape(sig: &Signature, kind: Kind) -> Result<()> {
    let function = kind.function();
    if sig.asyncness.is_none() {
        return Err(Error::new_spanned(sig.fn_token, format!("{function} is `async`: write `async fn`")));
    }
    if let Some(constness) = &sig.constness {
        return Err(Error::new_spanned(constness, format!("{function} can't be `const`")));
    }
    if !matches!(sig.safety, Safety::Default) || sig.abi.is_some() || sig.variadic.is_some() {
        let why = format!("{function} is a plain `async fn`: no `unsafe`, no `extern`");
        return Err(Error::new_spanned(sig, why));
    }
    if let Some(parameter) = sig.generics.params.first() {
        let why = format!(
            "{function} can't be generic: peers call it by its path, which names one function. \
             Write one for each type, and share a generic helper"
        );
        return Err(Error::new_spanned(parameter, why));
    }
    match &sig.generics.where_clause {
        Some(clause) => {
            Err(Error::new_spanned(clause, format!("{function} isn't generic, so there is nothing to bound")))
        }
        None => Ok(()),
    }
}

fn returned(sig: &Signature, kind: Kind) -> Result<Type> {
    let why = |what| format!("{} returns a `Result`, because a call can fail on the way: {what}", kind.function());
    match &sig.output {
        ReturnType::Type(_, ty) if matches!(bare(ty), Type::Path(_)) => {
            if let Some(value) = value_of(ty) {
                owned::check(value, "the result crosses a process boundary: return an owned type")?;
            }
            Ok((**ty).clone())
        }
        ReturnType::Type(_, ty) => Err(Error::new_spanned(ty, why("write `-> pleach::Result<…>`"))),
        ReturnType::Default => Err(Error::new_spanned(sig, why("add `-> pleach::Result<()>`"))),
    }
}

/// Returns the `T` of `Result<T, …>`, under whatever path.
fn value_of(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = bare(ty) else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == "Result")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(value) => Some(value),
        _ => None,
    }
}

fn is_bytes(ty: &Type) -> bool {
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

/// Returns whether an attribute is about the function that callers see, not about what it does.
fn is_for_callers(attribute: &Attribute) -> bool {
    attribute.path().get_ident().is_some_and(|name| FOR_CALLERS.iter().any(|known| name == known))
}

const FOR_CALLERS: [&str; 11] =
    ["allow", "cfg", "cfg_attr", "cold", "deny", "deprecated", "doc", "expect", "forbid", "must_use", "warn"];
