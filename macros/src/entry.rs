//! `#[main]`: the entry of a process that may be the root of a tree, or one of its actors.
//!
//! `pleach::init()` decides at run time whether the process is a root or a child; the expansion only puts the calls
//! into their order, before any runtime or thread exists.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser as _;
use syn::spanned::Spanned as _;
use syn::{Error, Ident, ItemFn, LitInt, LitStr, Path, Result, ReturnType, Signature};

use crate::library::{self, Library};

/// Expands the attribute, or reports faults of its options or of the function.
pub(crate) fn expand(options: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let mut read = Options::default();
    syn::meta::parser(|option| read.set(&option)).parse2(options)?;
    let flavor = read.flavor()?;
    let pleach = &read.pleach;
    let function: ItemFn = syn::parse2(function)?;
    check_shape(&function.sig)?;
    check_alone(&function)?;

    let ItemFn { attrs, vis, sig, block, .. } = function;
    let init = read.init.iter();
    let name = &sig.ident;
    let returns = match &sig.output {
        ReturnType::Default => quote!(),
        written => quote!(#written),
    };
    let body = Signature { ident: Ident::new("__pleach_main", name.span()), ..sig.clone() };
    Ok(quote! {
        #(#attrs)*
        #vis fn #name() #returns {
            #body #block

            #(#init();)*
            #pleach::init();
            #pleach::__private::run_main(#flavor, __pleach_main())
        }
    })
}

/// The attribute's options.
#[derive(Default)]
struct Options {
    flavor: Option<LitStr>,
    worker_threads: Option<LitInt>,
    init: Option<Path>,
    pleach: Library,
}

impl Options {
    fn set(&mut self, option: &ParseNestedMeta<'_>) -> Result<()> {
        if option.path.is_ident("flavor") {
            once(&mut self.flavor, option)
        } else if option.path.is_ident("worker_threads") {
            once(&mut self.worker_threads, option)
        } else if option.path.is_ident("init") {
            once(&mut self.init, option)
        } else if option.path.is_ident(library::NAME) {
            self.pleach.set(option)
        } else {
            Err(option.error("unknown option; there are `flavor`, `worker_threads`, `init` and `crate`"))
        }
    }

    fn flavor(&self) -> Result<TokenStream> {
        let pleach = &self.pleach;
        let flavor = self.flavor.as_ref().map_or("current_thread".to_owned(), LitStr::value);
        match (flavor.as_str(), &self.worker_threads) {
            ("current_thread", None) => Ok(quote!(#pleach::__private::Flavor::CurrentThread)),
            ("current_thread", Some(number)) => Err(Error::new_spanned(
                number,
                "`worker_threads` needs `flavor = \"multi_thread\"`; a `current_thread` runtime has one thread",
            )),
            ("multi_thread", None) => {
                Ok(quote!(#pleach::__private::Flavor::MultiThread { workers: ::core::option::Option::None }))
            }
            ("multi_thread", Some(number)) => match number.base10_parse::<usize>()? {
                0 => Err(Error::new_spanned(number, "a runtime needs at least one worker thread")),
                workers => Ok(quote! {
                    #pleach::__private::Flavor::MultiThread { workers: ::core::option::Option::Some(#workers) }
                }),
            },
            _ => {
                Err(Error::new(self.flavor.span(), "unknown flavor; there are \"current_thread\" and \"multi_thread\""))
            }
        }
    }
}

fn once<T: syn::parse::Parse>(slot: &mut Option<T>, option: &ParseNestedMeta<'_>) -> Result<()> {
    if slot.is_some() {
        return Err(option.error("this option is already set"));
    }
    *slot = Some(option.value()?.parse()?);
    Ok(())
}

/// Another attribute of that kind would start a runtime inside of ours.
fn check_alone(function: &ItemFn) -> Result<()> {
    let is_main =
        |attribute: &&syn::Attribute| attribute.path().segments.last().is_some_and(|last| last.ident == "main");
    match function.attrs.iter().find(is_main) {
        Some(other) => Err(Error::new_spanned(
            other,
            "remove this one: `#[pleach::main]` starts the runtime itself; see its options for the kind of runtime",
        )),
        None => Ok(()),
    }
}

fn check_shape(sig: &Signature) -> Result<()> {
    if sig.asyncness.is_none() {
        return Err(Error::new_spanned(
            sig.fn_token,
            "`#[pleach::main]` needs an `async fn`; if another attribute makes a plain function of it, as \
             `#[tokio::main]` does, remove that: `#[pleach::main]` starts the runtime itself",
        ));
    }
    if !sig.inputs.is_empty() {
        return Err(Error::new_spanned(
            &sig.inputs,
            "the main function takes no arguments: read them from `std::env::args()`",
        ));
    }
    if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
        return Err(Error::new_spanned(&sig.generics, "the main function can't be generic"));
    }
    Ok(())
}
