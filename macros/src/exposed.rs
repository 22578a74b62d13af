//! `#[rpc]`, `#[context]` and `#[stream]`: turn a function into one that builds a call, and register it.
//!
//! They differ in how the runtime runs them. A context function has a first parameter that is not sent, see
//! `dialog.rs`, and so has a stream function, unless it returns a stream, see `source.rs`. Both need a caller to talk
//! to, so their calls can't run without one.
//!
//! The user's block moves into an inner async function, and the name that callers see becomes a
//! plain function around it. So inside the block the name means the outer function too, and recursion
//! works, here and through another actor.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Attribute, Error, Ident, ItemFn, Result, Safety, Signature, TypePath};

use crate::dialog::Dialog;
use crate::library::Library;
use crate::signature::{Argument, Kind, Mistakes, Returned, is_bytes};
use crate::source::Source;
use crate::text;

/// Expands the attribute, or reports why other actors could not call the function.
pub(crate) fn expand(kind: Kind, options: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let pleach = Library::read(kind.attribute(), options)?;
    let function: ItemFn = syn::parse2(function)?;
    let exposed = Exposed::read(kind, &function, pleach)?;
    Ok(exposed.write(&function))
}

/// The interface of a function.
struct Exposed {
    speech: Speech,
    arguments: Vec<Argument>,
    pleach: Library,
}

/// The messages of a function to its callers.
enum Speech {
    Answer(Returned),
    Dialog(Box<Dialog>, Returned),
    Stream(Source),
}

impl Exposed {
    /// Checks everything before it gives up, so that one build shows all mistakes.
    fn read(kind: Kind, function: &ItemFn, pleach: Library) -> Result<Self> {
        let sig = &function.sig;
        let mut inputs = sig.inputs.iter();
        let mut mistakes = Mistakes::default();
        mistakes.check(check_shape(sig, kind));
        let dialog = if kind == Kind::Context { mistakes.check(Dialog::read(sig, inputs.next())) } else { None };
        let source = if kind == Kind::Stream { mistakes.check(Source::read(sig, &mut inputs)) } else { None };
        let arguments = inputs.filter_map(|input| mistakes.check(Argument::read(input, kind))).collect();
        let returned = if Source::is_returned(sig, kind) { None } else { mistakes.check(Returned::read(sig, kind)) };
        mistakes.finish()?;
        let speech = match (dialog, source, returned) {
            (_, Some(source), _) => Speech::Stream(source),
            (Some(dialog), _, Some(returned)) => Speech::Dialog(Box::new(dialog), returned),
            (None, None, Some(returned)) => Speech::Answer(returned),
            (_, None, None) => unreachable!("without a type there was a mistake"),
        };
        Ok(Self { speech, arguments, pleach })
    }

    fn write(&self, function: &ItemFn) -> TokenStream {
        let ItemFn { attrs, vis, sig, block, .. } = function;
        let (outside, inside): (Vec<_>, Vec<_>) = attrs.iter().partition(|attribute| is_for_callers(attribute));
        let Self { arguments, pleach, .. } = self;
        let alias = pleach.alias();
        let name = &sig.ident;
        let names: Vec<_> = arguments.iter().map(|argument| &argument.name).collect();
        let types: Vec<_> = arguments.iter().map(|argument| &argument.ty).collect();
        let blobs = types.iter().map(|ty| is_bytes(ty).then(|| quote!(#[serde(with = "__pleach_private::blob")])));
        // Compile errors about the body's future point to the function's name.
        let Wiring { call_type, request, invoke, run, export, shapes, shown_returns, shown_dialog, call, run_here } =
            match &self.speech {
                Speech::Answer(returned) => self.wire_call(returned, name.span()),
                Speech::Dialog(dialog, returned) => self.wire_dialog(dialog, returned, name.span()),
                Speech::Stream(source) => self.wire_stream(source, name.span()),
            };
        let shown_name = name.unraw().to_string();
        let shown_arguments = shown_arguments(arguments);
        let expecting = format!("the arguments ({shown_arguments})");
        // Nothing can be written in more ways than as an empty structure.
        let (read_from, read) = match arguments.is_empty() {
            true => (
                quote!(from = "__pleach_private::NoArguments"),
                Some(quote! {
                    impl ::core::convert::From<#pleach::__private::NoArguments> for __PleachArguments {
                        fn from(_: #pleach::__private::NoArguments) -> Self {
                            Self {}
                        }
                    }
                }),
            ),
            false => (quote!(deny_unknown_fields, expecting = #expecting), None),
        };
        let body = Signature { ident: Ident::new("__pleach_body", name.span()), ..sig.clone() };

        // `dead_code`: peers call it, whether or not this program does. `unused_async`: it has to be async.
        quote! {
            #(#outside)*
            #[allow(dead_code)]
            #vis fn #name(#(#names: #types),*) -> #call_type {
                #alias

                #[derive(#pleach::__private::serde::Serialize, #pleach::__private::serde::Deserialize)]
                #[serde(crate = "__pleach_private::serde", #read_from)]
                struct __PleachArguments {
                    #(#blobs #names: #types,)*
                }

                #read

                #(#inside)*
                #[allow(clippy::unused_async)]
                #body #block

                fn __pleach_invoke(request: #pleach::__private::#request<'_>) -> #pleach::__private::Invoked {
                    #pleach::__private::#invoke(request, #run)
                }

                #[#pleach::__private::linkme::distributed_slice(#pleach::__private::EXPORTS)]
                #[linkme(crate = #pleach::__private::linkme)]
                static __PLEACH_EXPORT: #pleach::__private::Export = #pleach::__private::Export::#export(
                    ::core::concat!(::core::module_path!(), "::", #shown_name),
                    #shown_name,
                    #shown_arguments,
                    #shown_returns,
                    #shown_dialog
                    __pleach_invoke,
                )
                .tracing(|shapes| {
                    shapes.arguments::<__PleachArguments>();
                    #shapes
                });

                #pleach::__private::#call(&__PLEACH_EXPORT, __PleachArguments { #(#names),* } #run_here)
            }
        }
    }

    fn wire_call(&self, returned: &Returned, at: Span) -> Wiring {
        let pleach = &self.pleach;
        let value = returned.value_type(pleach);
        let run = self.run_plain(at);
        let (call, invoke) = match returned.value.as_ref().is_some_and(is_bytes) {
            true => (format_ident!("call_blob"), quote!(invoke_blob)),
            false => (format_ident!("call"), quote!(invoke)),
        };
        Wiring {
            call_type: quote!(#pleach::Call<#value>),
            request: format_ident!("Request"),
            invoke,
            run_here: Some(quote!(, #run)),
            run,
            export: format_ident!("new"),
            shapes: quote!(shapes.of::<#value>("its result:");),
            shown_returns: text::of(returned.ty.to_token_stream()),
            shown_dialog: None,
            call,
        }
    }

    fn wire_dialog(&self, dialog: &Dialog, returned: &Returned, at: Span) -> Wiring {
        let pleach = &self.pleach;
        let value = returned.value_type(pleach);
        let (messages, shown) = (dialog.types(), dialog.shown());
        let [started, received, sent] = dialog.messages();
        Wiring {
            call_type: quote!(#pleach::ContextCall<#messages, #value>),
            request: format_ident!("DialogRequest"),
            invoke: quote!(invoke_context),
            run: self.run_lending(&dialog.context, at),
            export: format_ident!("context"),
            shapes: quote! {
                shapes.of::<#started>("its first value:");
                shapes.of::<#received>("what it receives:");
                shapes.of::<#sent>("what it sends:");
                shapes.of::<#value>("its result:");
            },
            shown_returns: text::of(returned.ty.to_token_stream()),
            shown_dialog: Some(quote!(#shown,)),
            call: format_ident!("context_call"),
            run_here: None,
        }
    }

    fn wire_stream(&self, source: &Source, at: Span) -> Wiring {
        let (pleach, item) = (&self.pleach, source.item());
        let (invoke, run) = match source {
            Source::Sender { sender, .. } => (quote!(invoke_stream), self.run_lending(sender, at)),
            Source::Returned { .. } => (quote!(invoke_generator::<#item, _, _, _>), self.run_plain(at)),
        };
        Wiring {
            call_type: quote!(#pleach::StreamCall<#item>),
            request: format_ident!("DialogRequest"),
            invoke,
            run,
            export: format_ident!("stream"),
            shapes: quote!(shapes.of::<#item>("what it sends:");),
            shown_returns: text::of(item.to_token_stream()),
            shown_dialog: None,
            call: format_ident!("stream_call"),
            run_here: None,
        }
    }

    /// Runs the body with its arguments.
    fn run_plain(&self, at: Span) -> TokenStream {
        let names = self.arguments.iter().map(|argument| &argument.name);
        quote_spanned!(at=> |__pleach: __PleachArguments| __pleach_body(#(__pleach.#names),*))
    }

    /// Runs the body with its arguments behind the runtime's handle, which the future owns.
    fn run_lending(&self, lent: &TypePath, at: Span) -> TokenStream {
        let names = self.arguments.iter().map(|argument| &argument.name);
        quote_spanned! {at=>
            |mut __pleach_lent: #lent, __pleach: __PleachArguments| async move {
                __pleach_body(&mut __pleach_lent, #(__pleach.#names),*).await
            }
        }
    }
}

/// Returns arguments as error messages show them, and as peers compare them.
pub(crate) fn shown_arguments(arguments: &[Argument]) -> String {
    let shown = |argument: &Argument| format!("{}: {}", argument.name.unraw(), text::of(argument.ty.to_token_stream()));
    arguments.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// The parts of an expansion in which the kinds differ.
struct Wiring {
    call_type: TokenStream,
    /// The type of a peer's request.
    request: Ident,
    /// The runtime's function that decodes the arguments for `run`.
    invoke: TokenStream,
    /// Starts the body.
    run: TokenStream,
    /// The constructor of the export.
    export: Ident,
    /// Adds the shapes of its messages and its result.
    shapes: TokenStream,
    /// The callers' return type.
    shown_returns: String,
    /// Additional fields of the export, with a comma behind them.
    shown_dialog: Option<TokenStream>,
    /// The runtime's function that makes the call.
    call: Ident,
    /// `run` once more, with a comma before it, if the call can do without a peer.
    run_here: Option<TokenStream>,
}

/// Checks what is the same for everything that peers call.
pub(crate) fn check_shape(sig: &Signature, kind: Kind) -> Result<()> {
    let function = kind.function();
    if sig.asyncness.is_none() && !Source::is_returned(sig, kind) {
        return Err(Error::new_spanned(sig.fn_token, format!("{function} is `async`: write `async fn`")));
    }
    if let Some(constness) = &sig.constness {
        return Err(Error::new_spanned(constness, format!("{function} can't be `const`")));
    }
    if !matches!(sig.safety, Safety::Default) || sig.abi.is_some() || sig.variadic.is_some() {
        let why = format!("{function} is a plain function: no `unsafe`, no `extern`");
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

/// Returns whether an attribute is about the function that callers see, not about its body.
pub(crate) fn is_for_callers(attribute: &Attribute) -> bool {
    attribute.path().get_ident().is_some_and(|name| FOR_CALLERS.iter().any(|known| name == known))
}

/// Returns whether an attribute sets lints.
pub(crate) fn is_lint(attribute: &Attribute) -> bool {
    attribute.path().get_ident().is_some_and(|name| LINTS.iter().any(|known| name == known))
}

const LINTS: [&str; 5] = ["allow", "deny", "expect", "forbid", "warn"];

const FOR_CALLERS: [&str; 11] =
    ["allow", "cfg", "cfg_attr", "cold", "deny", "deprecated", "doc", "expect", "forbid", "must_use", "warn"];
