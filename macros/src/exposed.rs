//! `#[rpc]`: turns an async function into one that builds a call, and registers it.
//!
//! The user's block moves into an inner async function, and the name that callers see becomes a
//! plain function around it. So inside the block the name means the outer function too, and recursion
//! works, here and through another actor.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{
    Attribute, Error, FnArg, GenericArgument, Ident, ItemFn, Pat, PathArguments, Result, ReturnType, Safety, Signature,
    Type,
};

use crate::{owned, text};

/// Expands the attribute, or says what keeps the function from being called by other actors.
pub(crate) fn expand(options: TokenStream, function: TokenStream) -> Result<TokenStream> {
    if !options.is_empty() {
        return Err(Error::new_spanned(options, "`#[rpc]` takes no options"));
    }
    let function: ItemFn = syn::parse2(function)?;
    let exposed = Exposed::read(&function)?;
    Ok(exposed.write(&function))
}

/// What callers have to know of a function.
struct Exposed {
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
    fn read(function: &ItemFn) -> Result<Self> {
        let mut mistakes = Mistakes::default();
        mistakes.check(check_shape(&function.sig));
        let arguments = function.sig.inputs.iter().filter_map(|input| mistakes.check(Argument::read(input))).collect();
        let returns = mistakes.check(returned(&function.sig));
        mistakes.finish()?;
        let returns = returns.expect("without a type there was a mistake");
        Ok(Self { arguments, value: value_of(&returns).cloned(), returns })
    }

    fn write(&self, function: &ItemFn) -> TokenStream {
        let ItemFn { attrs, vis, sig, block, .. } = function;
        let (outside, inside): (Vec<_>, Vec<_>) = attrs.iter().partition(|attribute| is_for_callers(attribute));
        let Self { arguments, returns, value } = self;
        let name = &sig.ident;
        let names: Vec<_> = arguments.iter().map(|argument| &argument.name).collect();
        let types: Vec<_> = arguments.iter().map(|argument| &argument.ty).collect();
        let blobs = types.iter().map(|ty| is_bytes(ty).then(|| quote!(#[serde(with = "::pleach::__private::blob")])));
        let call_type = match value {
            Some(value) => quote!(::pleach::Call<#value>),
            None => quote!(::pleach::Call<<#returns as ::pleach::__private::Outcome>::Value>),
        };
        let (call, invoke) = match value.as_ref().is_some_and(is_bytes) {
            true => (format_ident!("call_blob"), format_ident!("invoke_blob")),
            false => (format_ident!("call"), format_ident!("invoke")),
        };
        let shown_name = name.unraw().to_string();
        let shown_arguments = self.shown_arguments();
        let shown_returns = text::of(returns.to_token_stream());
        let expecting = format!("the arguments ({shown_arguments})");
        let body = Signature { ident: Ident::new("__pleach_body", name.span()), ..sig.clone() };
        // Compile errors about the body's future point to the function's name.
        let run = quote_spanned!(name.span()=> |__pleach: __PleachArguments| __pleach_body(#(__pleach.#names),*));

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
                static __PLEACH_EXPORT: ::pleach::__private::Export = ::pleach::__private::Export::new(
                    ::core::concat!(::core::module_path!(), "::", #shown_name),
                    #shown_name,
                    #shown_arguments,
                    #shown_returns,
                    __pleach_invoke,
                );

                ::pleach::__private::#call(&__PLEACH_EXPORT, __PleachArguments { #(#names),* }, #run)
            }
        }
    }

    /// Returns the arguments as error messages show them, and as peers compare them.
    fn shown_arguments(&self) -> String {
        let shown =
            |argument: &Argument| format!("{}: {}", argument.name.unraw(), text::of(argument.ty.to_token_stream()));
        self.arguments.iter().map(shown).collect::<Vec<_>>().join(", ")
    }
}

impl Argument {
    fn read(input: &FnArg) -> Result<Self> {
        let typed = match input {
            FnArg::Receiver(receiver) => {
                return Err(Error::new_spanned(
                    receiver,
                    "an rpc function can't have `self`: an object can't be called from another process. \
                     Write a function that takes what it needs",
                ));
            }
            FnArg::Typed(typed) => typed,
        };
        let name = match &*typed.pat {
            Pat::Ident(plain) if plain.by_ref.is_none() && plain.subpat.is_none() => plain.ident.clone(),
            other => {
                return Err(Error::new_spanned(
                    other,
                    "an argument of an rpc function is a plain name, because peers may send it by name. \
                     Take it apart in the body",
                ));
            }
        };
        owned::check(&typed.ty, "arguments cross a process boundary: take an owned type")?;
        Ok(Self { name, ty: (*typed.ty).clone() })
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

fn check_shape(sig: &Signature) -> Result<()> {
    if sig.asyncness.is_none() {
        return Err(Error::new_spanned(sig.fn_token, "an rpc function is `async`: write `async fn`"));
    }
    if let Some(constness) = &sig.constness {
        return Err(Error::new_spanned(constness, "an rpc function can't be `const`"));
    }
    if !matches!(sig.safety, Safety::Default) || sig.abi.is_some() || sig.variadic.is_some() {
        return Err(Error::new_spanned(sig, "an rpc function is a plain `async fn`: no `unsafe`, no `extern`"));
    }
    if let Some(parameter) = sig.generics.params.first() {
        return Err(Error::new_spanned(
            parameter,
            "an rpc function can't be generic: peers call it by its path, which names one function. \
             Write one for each type, and share a generic helper",
        ));
    }
    match &sig.generics.where_clause {
        Some(clause) => Err(Error::new_spanned(clause, "an rpc function isn't generic, so there is nothing to bound")),
        None => Ok(()),
    }
}

fn returned(sig: &Signature) -> Result<Type> {
    match &sig.output {
        ReturnType::Type(_, ty) if matches!(bare(ty), Type::Path(_)) => {
            if let Some(value) = value_of(ty) {
                owned::check(value, "the result crosses a process boundary: return an owned type")?;
            }
            Ok((**ty).clone())
        }
        ReturnType::Type(_, ty) => Err(Error::new_spanned(
            ty,
            "an rpc function returns a `Result`, because a call can fail on the way: write `-> pleach::Result<…>`",
        )),
        ReturnType::Default => Err(Error::new_spanned(
            sig,
            "an rpc function returns a `Result`, because a call can fail on the way: add `-> pleach::Result<()>`",
        )),
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
fn bare(ty: &Type) -> &Type {
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
