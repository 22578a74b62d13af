//! What an exposed method becomes: a method of the handle that makes its call, and the way of a peer's request to it.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Ident, ImplItemFn};

use super::method::{Access, Method, Speech};
use crate::dialog::Dialog;
use crate::exposed::{is_for_callers, is_lint, shown_arguments};
use crate::library::Library;
use crate::signature::{Argument, Returned, is_bytes};
use crate::source::Source;
use crate::text;

impl Method {
    /// Writes the method of the handle.
    pub(super) fn write(&self, actor: &Ident, pleach: &Library) -> TokenStream {
        let Self { function, arguments, speech } = self;
        let ImplItemFn { attrs, vis, sig, .. } = function;
        let outside = attrs.iter().filter(|attribute| is_for_callers(attribute) && !is_lint(attribute));
        let name = &sig.ident;
        let names: Vec<_> = arguments.iter().map(|argument| &argument.name).collect();
        let types: Vec<_> = arguments.iter().map(|argument| &argument.ty).collect();
        let Wiring { returned, request, invoke, export, shown_returns, shown_dialog, shapes, call } = match speech {
            Speech::Answer(access, answer) => self.wire_answer(pleach, actor, *access, answer),
            Speech::Stream(source) => self.wire_stream(pleach, actor, source),
            Speech::Dialog(dialog, answer) => self.wire_dialog(pleach, actor, dialog, answer),
        };
        let declared = Declared {
            pleach,
            actor,
            name: self.shown_name(),
            arguments: shown_arguments(arguments),
            returns: shown_returns,
        };
        let shapes = quote! {
            shapes.arguments::<__PleachArguments>();
            #shapes
        };
        let export = declared.export(&export, shown_dialog, &shapes);
        let structure = arguments_struct(pleach, arguments, &declared.arguments);
        quote! {
            #(#outside)*
            #vis fn #name(&self, #(#names: #types),*) -> #returned {
                #structure

                fn __pleach_invoke(request: #pleach::__private::#request<'_>) -> #pleach::__private::Invoked {
                    #pleach::__private::#invoke
                }

                #export

                let __pleach_arguments = __PleachArguments {
                    #(#names,)*
                    __pleach_callers: #pleach::__private::Callers::current(),
                };
                #call
            }
        }
    }

    fn wire_answer(&self, pleach: &Library, actor: &Ident, access: Access, answer: &Returned) -> Wiring {
        let value = answer.value_type(pleach);
        let (wrap, call) = match answer.value.as_ref().is_some_and(is_bytes) {
            true => (quote!(#pleach::Blob), quote!(call_blob)),
            false => (quote!(|value| value), quote!(call)),
        };
        let (invoke, run) = match access {
            Access::Shared => (
                quote!(invoke_method),
                self.run_with(actor, &quote!(__pleach_me: #pleach::Shared<#actor>), &quote!(&__pleach_me)),
            ),
            Access::Exclusive => (
                quote!(invoke_method),
                self.run_with(actor, &quote!(mut __pleach_me: #pleach::Exclusive<#actor>), &quote!(&mut __pleach_me)),
            ),
            Access::Me => (
                quote!(invoke_me),
                self.run_with(actor, &quote!(__pleach_me: #pleach::Me<#actor>), &quote!(__pleach_me)),
            ),
        };
        let name = self.shown_name();
        Wiring {
            returned: quote!(#pleach::MethodCall<#value>),
            request: format_ident!("Request"),
            invoke: quote!(#invoke(request, #name, #run, #wrap)),
            export: format_ident!("new"),
            shown_returns: text::of(answer.ty.to_token_stream()),
            shown_dialog: None,
            shapes: quote!(shapes.of::<#value>("its result:");),
            call: quote!(self.0.#call(&__PLEACH_EXPORT, __pleach_arguments)),
        }
    }

    fn wire_stream(&self, pleach: &Library, actor: &Ident, source: &Source) -> Wiring {
        let (item, name, method) = (source.item(), self.shown_name(), &self.function.sig.ident);
        let invoke = match source {
            Source::Sender { sender, .. } => {
                let given = quote!(__pleach_me: #pleach::Me<#actor>, mut __pleach_out: #sender);
                let run = self.run_with(actor, &given, &quote!(__pleach_me, &mut __pleach_out));
                quote!(invoke_me_stream(request, #name, #run))
            }
            Source::Returned { .. } => {
                let arguments = self.given();
                // Not in an async block: the stream is made, and the state is free.
                let make = quote_spanned! {method.span()=>
                    |__pleach_me: #pleach::Shared<#actor>, __pleach: __PleachArguments| #actor::#method(&__pleach_me, #arguments)
                };
                quote!(invoke_method_stream::<_, #item, _, _, _>(request, #name, #make))
            }
        };
        Wiring {
            returned: quote!(#pleach::MethodStream<#item>),
            request: format_ident!("DialogRequest"),
            invoke,
            export: format_ident!("stream"),
            shown_returns: text::of(item.to_token_stream()),
            shown_dialog: None,
            shapes: quote!(shapes.of::<#item>("what it sends:");),
            call: quote!(self.0.stream(#pleach::__private::stream_call(&__PLEACH_EXPORT, __pleach_arguments))),
        }
    }

    fn wire_dialog(&self, pleach: &Library, actor: &Ident, dialog: &Dialog, answer: &Returned) -> Wiring {
        let (value, messages, context) = (answer.value_type(pleach), dialog.types(), &dialog.context);
        let [started, received, sent] = dialog.messages();
        let given = quote!(__pleach_me: #pleach::Me<#actor>, mut __pleach_context: #context);
        let run = self.run_with(actor, &given, &quote!(__pleach_me, &mut __pleach_context));
        let name = self.shown_name();
        Wiring {
            returned: quote!(#pleach::MethodContext<#messages, #value>),
            request: format_ident!("DialogRequest"),
            invoke: quote!(invoke_me_context(request, #name, #run)),
            export: format_ident!("context"),
            shown_returns: text::of(answer.ty.to_token_stream()),
            shown_dialog: Some(dialog.shown()),
            shapes: quote! {
                shapes.of::<#started>("its first value:");
                shapes.of::<#received>("what it receives:");
                shapes.of::<#sent>("what it sends:");
                shapes.of::<#value>("its result:");
            },
            call: quote!(self.0.context(#pleach::__private::context_call(&__PLEACH_EXPORT, __pleach_arguments))),
        }
    }

    /// Runs the method with its arguments behind what the runtime has `given` it, which the future owns.
    fn run_with(&self, actor: &Ident, given: &TokenStream, lent: &TokenStream) -> TokenStream {
        let (method, arguments) = (&self.function.sig.ident, self.given());
        // Compile errors about the body's future point to the method's name.
        quote_spanned! {method.span()=>
            |#given, __pleach: __PleachArguments| async move { #actor::#method(#lent, #arguments).await }
        }
    }

    /// Returns the arguments, taken out of their structure.
    fn given(&self) -> TokenStream {
        let names = self.arguments.iter().map(|argument| &argument.name);
        quote!(#(__pleach.#names),*)
    }

    fn shown_name(&self) -> String {
        self.function.sig.ident.unraw().to_string()
    }
}

/// The parts in which the kinds of methods differ.
struct Wiring {
    /// What the handle's method returns.
    returned: TokenStream,
    /// The type of a peer's request.
    request: Ident,
    /// The runtime's function that runs the method, with its arguments.
    invoke: TokenStream,
    /// The constructor of the export.
    export: Ident,
    shown_returns: String,
    shown_dialog: Option<String>,
    /// Adds the shapes of its messages and its result.
    shapes: TokenStream,
    /// Makes the call.
    call: TokenStream,
}

/// A method's declaration, as messages show it and peers compare it.
pub(super) struct Declared<'a> {
    pub(super) pleach: &'a Library,
    pub(super) actor: &'a Ident,
    pub(super) name: String,
    pub(super) arguments: String,
    pub(super) returns: String,
}

impl<'a> Declared<'a> {
    pub(super) fn of(
        pleach: &'a Library,
        actor: &'a Ident,
        name: &str,
        arguments: &[Argument],
        returns: &TokenStream,
    ) -> Self {
        let returns = text::of(returns.clone());
        Self { pleach, actor, name: name.to_owned(), arguments: shown_arguments(arguments), returns }
    }

    /// Writes the entry in the table of exposed functions.
    pub(super) fn export(&self, constructor: &Ident, dialog: Option<String>, shapes: &TokenStream) -> TokenStream {
        let Self { pleach, actor, name, arguments, returns } = self;
        let actor = actor.unraw().to_string();
        let dialog = dialog.map(|dialog| quote!(#dialog,));
        let tracing = (!shapes.is_empty()).then(|| quote!(.tracing(|shapes| { #shapes })));
        quote! {
            #[#pleach::__private::linkme::distributed_slice(#pleach::__private::EXPORTS)]
            #[linkme(crate = #pleach::__private::linkme)]
            static __PLEACH_EXPORT: #pleach::__private::Export = #pleach::__private::Export::#constructor(
                ::core::concat!(::core::module_path!(), "::", #actor, "::", #name),
                #name,
                #arguments,
                #returns,
                #dialog
                __pleach_invoke,
            )
            #tracing;
        }
    }
}

/// Writes the structure in which arguments travel, with the calls that wait for the method.
pub(super) fn arguments_struct(pleach: &Library, arguments: &[Argument], shown: &str) -> TokenStream {
    let alias = pleach.alias();
    let names = arguments.iter().map(|argument| &argument.name);
    let types: Vec<_> = arguments.iter().map(|argument| &argument.ty).collect();
    let blobs = types.iter().map(|ty| is_bytes(ty).then(|| quote!(#[serde(with = "__pleach_private::blob")])));
    let expecting = format!("the arguments ({shown})");
    quote! {
        #alias

        #[derive(#pleach::__private::serde::Serialize, #pleach::__private::serde::Deserialize)]
        #[serde(crate = "__pleach_private::serde", deny_unknown_fields, expecting = #expecting)]
        struct __PleachArguments {
            #(#blobs #names: #types,)*
            #[serde(
                default,
                rename = "__callers",
                skip_serializing_if = "__pleach_private::Callers::is_none",
            )]
            __pleach_callers: #pleach::__private::Callers,
        }

        impl #pleach::__private::MethodArguments for __PleachArguments {
            fn callers(&mut self) -> &mut #pleach::__private::Callers {
                &mut self.__pleach_callers
            }
        }
    }
}
