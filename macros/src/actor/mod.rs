//! `#[actor]`: makes the values of a type the state of actors, with a typed handle for its methods.
//!
//! The impl block stays what it is, so methods remain plain methods; only `new` becomes a plain function that describes
//! a state, around the user's own. Beside it come the type whose methods a handle has, one for each exposed method, and
//! the traits that tell the library of both.
//!
//! | file | station |
//! |---|---|
//! | this one | the block: what it must look like, and what comes beside it |
//! | [`method`] | which methods are exposed, and how each one gets at the state |
//! | [`expanded`] | what an exposed method becomes |

mod expanded;
mod method;

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt as _;
use syn::{Error, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, ReceiverKind, Result, ReturnType, Type, Visibility};

use self::expanded::{Declared, arguments_struct};
use self::method::Method;
use crate::exposed::{is_for_callers, is_lint};
use crate::library::Library;
use crate::signature::{Argument, Kind, Mistakes, Returned, bare};

/// Expands the attribute, or reports why the type can't be the state of an actor.
pub(crate) fn expand(options: TokenStream, block: TokenStream) -> Result<TokenStream> {
    let pleach = Library::read(Kind::Method.attribute(), options)?;
    let block: ItemImpl = syn::parse2(block)?;
    Actor::read(block).map(|actor| actor.write(&pleach))
}

/// A type and its methods.
struct Actor {
    name: Ident,
    block: ItemImpl,
    new: New,
    stopping: Option<Stopping>,
    methods: Vec<Method>,
}

/// How a state is made: the user's `new`.
struct New {
    function: ImplItemFn,
    arguments: Vec<Argument>,
    returned: Returned,
}

/// The user's `stopping`, and whether it wants to know why.
struct Stopping {
    takes_reason: bool,
}

impl Actor {
    fn read(mut block: ItemImpl) -> Result<Self> {
        let name = check_block(&block)?;
        let mut mistakes = Mistakes::default();
        let (mut new, mut stopping, mut methods) = (None, None, Vec::new());
        let mut kept = Vec::new();
        for item in std::mem::take(&mut block.items) {
            let ImplItem::Fn(mut function) = item else {
                kept.push(item);
                continue;
            };
            match function.sig.ident.to_string().as_str() {
                "new" if new.is_some() => {
                    let why = "the state has one `new`: put the condition inside of it";
                    mistakes.check::<()>(Err(Error::new_spanned(&function.sig.ident, why)));
                    continue;
                }
                "new" => {
                    new = Some(mistakes.check(New::read(&function, &name)));
                    continue;
                }
                "stopping" => stopping = mistakes.check(Stopping::read(&function)),
                _ => methods.extend(mistakes.check(Method::read(&mut function, &name)).flatten()),
            }
            kept.push(ImplItem::Fn(function));
        }
        block.items = kept;
        if new.is_none() {
            let why = format!(
                "`#[actor]` needs `pub async fn new(…) -> Result<Self>`: it makes the `{name}` in the actor's process"
            );
            mistakes.check::<()>(Err(Error::new_spanned(&block.self_ty, why)));
        }
        mistakes.finish()?;
        let new = new.flatten().expect("without it there was a mistake");
        Ok(Self { name, block, new, stopping, methods })
    }

    fn write(&self, pleach: &Library) -> TokenStream {
        let Self { name, block, new, stopping, methods } = self;
        let written = new.write(name, pleach);
        let mut block = block.clone();
        block.items.push(ImplItem::Verbatim(written));
        let methods_type = format_ident!("{name}Methods");
        let about = format!("The methods of a `{name}` in its actor: a `pleach::Handle<{name}>` has them.");
        let methods = methods.iter().map(|method| method.write(name, pleach));
        let shown = name.unraw().to_string();
        let stopping = stopping.as_ref().map(|stopping| {
            let why = stopping.takes_reason.then(|| quote!(why));
            quote! {
                fn stopping(
                    self,
                    why: #pleach::StopReason,
                ) -> impl ::core::future::Future<Output = ()> + ::core::marker::Send {
                    let _ = &why;
                    #name::stopping(self, #why)
                }
            }
        });
        let is = Declared {
            pleach,
            actor: name,
            name: "__is".to_owned(),
            arguments: String::new(),
            returns: "()".to_owned(),
        }
        .export(&format_ident!("new"), None, &TokenStream::new());
        quote! {
            #block

            impl #pleach::State for #name {
                const PATH: &'static str = ::core::concat!(::core::module_path!(), "::", #shown);
                const NAME: &'static str = #shown;

                #stopping
            }

            impl #pleach::ActorState for #name {
                type Methods = #methods_type;

                fn is() -> #pleach::__private::IsCall {
                    fn __pleach_invoke(request: #pleach::__private::Request<'_>) -> #pleach::__private::Invoked {
                        #pleach::__private::invoke_is::<#name>(request)
                    }

                    #is

                    #pleach::__private::is_call(&__PLEACH_EXPORT)
                }
            }

            #[doc = #about]
            #[allow(unreachable_pub)]
            pub struct #methods_type(#pleach::__private::Route<#name>);

            impl ::core::convert::From<#pleach::__private::Route<#name>> for #methods_type {
                fn from(route: #pleach::__private::Route<#name>) -> Self {
                    Self(route)
                }
            }

            impl ::core::convert::AsRef<#pleach::__private::Route<#name>> for #methods_type {
                fn as_ref(&self) -> &#pleach::__private::Route<#name> {
                    &self.0
                }
            }

            #[allow(dead_code, deprecated, missing_docs)]
            impl #methods_type {
                #(#methods)*
            }
        }
    }
}

impl New {
    fn read(function: &ImplItemFn, actor: &Ident) -> Result<Self> {
        let sig = syn::parse2(named(function.sig.to_token_stream(), actor))?;
        let mut mistakes = Mistakes::default();
        mistakes.check(crate::exposed::check_shape(&sig, Kind::Method));
        if let Some(FnArg::Receiver(receiver)) = sig.inputs.first() {
            let why = "`new` makes the state, so it can't have `self`: it takes what it needs as arguments";
            return Err(Error::new_spanned(receiver, why));
        }
        let arguments = sig.inputs.iter().filter_map(|input| mistakes.check(Argument::read(input, Kind::Method)));
        let arguments = arguments.collect();
        let returned = mistakes.check(Returned::read(&sig, Kind::Method));
        mistakes.finish()?;
        let returned = returned.expect("without it there was a mistake");
        Ok(Self { function: function.clone(), arguments, returned })
    }

    /// Writes the function that describes a state, and the user's own, which makes it.
    fn write(&self, actor: &Ident, pleach: &Library) -> TokenStream {
        let Self { function, arguments, returned } = self;
        let ImplItemFn { attrs, vis, sig, block, .. } = function;
        // Lints are about the body.
        let (outside, inside): (Vec<_>, Vec<_>) =
            attrs.iter().partition(|attribute| is_for_callers(attribute) && !is_lint(attribute));
        let conditions = attrs.iter().filter(|attribute| attribute.path().is_ident("cfg"));
        let names: Vec<_> = arguments.iter().map(|argument| &argument.name).collect();
        let types: Vec<_> = arguments.iter().map(|argument| &argument.ty).collect();
        let mut body = sig.clone();
        body.ident = Ident::new("__pleach_new", sig.ident.span());
        let declared = Declared::of(pleach, actor, "new", arguments, &returned.ty.to_token_stream());
        let export = declared.export(&format_ident!("new"), None, &TokenStream::new());
        let structure = arguments_struct(pleach, arguments, &declared.arguments);
        quote! {
            #(#outside)*
            #[allow(clippy::many_single_char_names, clippy::new_ret_no_self, clippy::too_many_arguments)]
            #vis fn new(#(#names: #types),*) -> #pleach::New<#actor> {
                #structure

                fn __pleach_invoke(request: #pleach::__private::Request<'_>) -> #pleach::__private::Invoked {
                    #pleach::__private::invoke_new::<#actor, _, _, _>(request, |__pleach: __PleachArguments| {
                        #actor::__pleach_new(#(__pleach.#names),*)
                    })
                }

                #export

                let __pleach_arguments = __PleachArguments {
                    #(#names,)*
                    __pleach_callers: #pleach::__private::Callers::current(),
                };
                #pleach::New::of(&__PLEACH_EXPORT, __pleach_arguments, |__pleach: __PleachArguments| {
                    #actor::__pleach_new(#(__pleach.#names),*)
                })
            }

            #[doc(hidden)]
            #(#conditions)*
            #(#inside)*
            #[allow(clippy::unused_async)]
            #body #block
        }
    }
}

impl Stopping {
    fn read(function: &ImplItemFn) -> Result<Self> {
        let sig = &function.sig;
        let why = "`stopping` ends the state with its actor: write `async fn stopping(self, why: StopReason)`";
        let takes_self = matches!(sig.inputs.first(), Some(FnArg::Receiver(receiver)) if matches!(receiver.kind, ReceiverKind::Value));
        if sig.asyncness.is_none() || !takes_self || sig.inputs.len() > 2 {
            return Err(Error::new_spanned(sig, why));
        }
        if let ReturnType::Type(_, ty) = &sig.output {
            return Err(Error::new_spanned(
                ty,
                "`stopping` returns nothing, because its actor is about to end: log it",
            ));
        }
        Ok(Self { takes_reason: sig.inputs.len() == 2 })
    }
}

/// Returns the name of the type whose methods are in the block.
fn check_block(block: &ItemImpl) -> Result<Ident> {
    if let Some((of_trait, _)) = &block.trait_ {
        let why = "`#[actor]` is for the type's own methods: put it on `impl Type { … }`";
        return Err(Error::new_spanned(of_trait, why));
    }
    if let Some(parameter) = block.generics.params.first() {
        let why = "the state of an actor can't be generic: peers call its methods by their path, which names one type. \
                   Write one type for each, and share a generic field";
        return Err(Error::new_spanned(parameter, why));
    }
    match bare(&block.self_ty) {
        Type::Path(path) if path.qself.is_none() => match path.path.get_ident() {
            Some(name) => Ok(name.clone()),
            None => Err(Error::new_spanned(path, "write the name of the type alone, in the module of the type")),
        },
        other => Err(Error::new_spanned(other, "the state of an actor is a type of your own: a struct or an enum")),
    }
}

/// Writes the name of the type in place of `Self`, which items inside of a function can't say.
pub(super) fn named(tokens: TokenStream, name: &Ident) -> TokenStream {
    tokens
        .into_iter()
        .map(|token| match token {
            TokenTree::Ident(word) if word == "Self" => {
                let mut name = name.clone();
                name.set_span(word.span());
                TokenTree::Ident(name)
            }
            TokenTree::Group(group) => {
                let mut renamed = Group::new(group.delimiter(), named(group.stream(), name));
                renamed.set_span(group.span());
                TokenTree::Group(renamed)
            }
            other => other,
        })
        .collect()
}

/// Returns whether a function is for other modules, so that it may be for other actors, too.
fn is_exposed(visibility: &Visibility) -> bool {
    !matches!(visibility, Visibility::Inherited)
}
