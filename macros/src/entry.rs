//! `#[main]` and `#[test]`: the entry of a process that may be the root of a tree, or one of its actors.
//!
//! The library decides at run time whether the process is a root or a child; the expansion only puts the calls
//! into their order, before any runtime or thread of the program exists.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::ext::IdentExt as _;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser as _;
use syn::spanned::Spanned as _;
use syn::{Error, Ident, ItemFn, LitBool, LitInt, LitStr, Path, Result, Signature};

use crate::library::{self, Library};

/// Expands `#[main]`, or reports faults of its options or of the function.
pub(crate) fn main(options: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let (options, function) = read(Kind::Main, options, function)?;
    let (pleach, init) = (&options.pleach, options.init.iter());
    let (flavor, body) = (options.flavor()?, body(&function));
    let ItemFn { attrs, vis, sig: Signature { ident, output, .. }, .. } = &function;
    Ok(quote! {
        #(#attrs)*
        #vis fn #ident() #output {
            #body

            #(#init();)*
            #pleach::init();
            #pleach::__private::run_main(#flavor, __pleach_body())
        }
    })
}

/// Expands `#[test]`, or reports faults of its options or of the function.
pub(crate) fn test(options: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let (options, function) = read(Kind::Test, options, function)?;
    let (pleach, init) = (&options.pleach, options.init.iter());
    let (flavor, body) = (options.flavor()?, body(&function));
    let ItemFn { attrs, vis, sig: Signature { ident, output, .. }, .. } = &function;
    let name = name_for_harness(ident);
    let (may_leak, start_paused, seeds) = (options.may_leak()?, options.start_paused()?, options.seeds()?);
    let (run, seeds) = match seeds {
        Some(seeds) => (quote!(run_seeds), quote!(#seeds,)),
        None => (quote!(run_test), quote!()),
    };
    let transport = match &options.transport {
        Some(transport) => quote!(::core::option::Option::Some(#transport)),
        None => quote!(::core::option::Option::None),
    };
    let config = match &options.config {
        Some(config) => quote!(::core::result::Result::Ok(#config())),
        None => quote!(#pleach::Config::load()),
    };
    Ok(quote! {
        #(#attrs)*
        #[::core::prelude::v1::test]
        #vis fn #ident() #output {
            #body

            #[#pleach::__private::linkme::distributed_slice(#pleach::__private::TESTS)]
            #[linkme(crate = #pleach::__private::linkme)]
            static __PLEACH_TEST: #pleach::__private::Test =
                #pleach::__private::Test::new(::core::concat!(::core::module_path!(), "::", #name));

            #(#init();)*
            __PLEACH_TEST.enter();
            #pleach::__private::#run(
                &__PLEACH_TEST,
                #pleach::__private::TestOptions {
                    flavor: #flavor,
                    transport: #transport,
                    start_paused: #start_paused,
                    seed: ::core::option::Option::None,
                    may_leak: #may_leak,
                },
                #seeds
                || #config,
                __pleach_body,
            )
        }
    })
}

/// Returns the name of a function as the harness of `cargo test` has it, which writes `r#` only where it is needed.
fn name_for_harness(ident: &Ident) -> String {
    let plain = ident.unraw().to_string();
    match syn::parse_str::<Ident>(&plain) {
        Ok(_) => plain,
        Err(_keyword) => ident.to_string(),
    }
}

/// The user's function, under a name of ours.
fn body(function: &ItemFn) -> TokenStream {
    let ItemFn { sig, block, .. } = function;
    let sig = Signature { ident: Ident::new("__pleach_body", sig.ident.span()), ..sig.clone() };
    quote!(#sig #block)
}

fn read(kind: Kind, options: TokenStream, function: TokenStream) -> Result<(Options, ItemFn)> {
    let mut read = Options::default();
    syn::meta::parser(|option| read.set(kind, &option)).parse2(options)?;
    read.flavor()?;
    let function: ItemFn = syn::parse2(function)?;
    check_shape(kind, &function.sig)?;
    check_alone(kind, &function)?;
    Ok((read, function))
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Main,
    Test,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Test => "test",
        }
    }

    /// Says which options there are.
    fn options(self) -> &'static str {
        match self {
            Self::Main => "there are `flavor`, `worker_threads`, `init` and `crate`",
            Self::Test => {
                "there are `flavor`, `worker_threads`, `transport`, `start_paused`, `seeds`, `config`, `leaks`, `init` and \
                 `crate`"
            }
        }
    }
}

/// The attribute's options.
#[derive(Default)]
struct Options {
    flavor: Option<LitStr>,
    worker_threads: Option<LitInt>,
    init: Option<Path>,
    transport: Option<LitStr>,
    start_paused: Option<LitBool>,
    seeds: Option<LitInt>,
    config: Option<Path>,
    leaks: Option<LitStr>,
    pleach: Library,
}

impl Options {
    fn set(&mut self, kind: Kind, option: &ParseNestedMeta<'_>) -> Result<()> {
        let is = |name| option.path.is_ident(name);
        match kind {
            _ if is("flavor") => once(&mut self.flavor, option),
            _ if is("worker_threads") => once(&mut self.worker_threads, option),
            _ if is("init") => once(&mut self.init, option),
            _ if is(library::NAME) => self.pleach.set(option),
            Kind::Test if is("transport") => once(&mut self.transport, option),
            Kind::Test if is("config") => once(&mut self.config, option),
            Kind::Test if is("leaks") => once(&mut self.leaks, option),
            Kind::Test if is("start_paused") => once(&mut self.start_paused, option),
            Kind::Test if is("seeds") => once(&mut self.seeds, option),
            _ => Err(option.error(format!("unknown option; {}", kind.options()))),
        }
    }

    /// Returns whether a test may leave something.
    fn may_leak(&self) -> Result<bool> {
        match &self.leaks {
            None => Ok(false),
            Some(leaks) => match leaks.value().as_str() {
                "fail" => Ok(false),
                "ignore" => Ok(true),
                _ => Err(Error::new_spanned(leaks, "what a test leaves can \"fail\" it, or it can \"ignore\" that")),
            },
        }
    }

    /// Returns whether the time of a test is paused.
    fn start_paused(&self) -> Result<bool> {
        let Some(paused) = self.start_paused.as_ref().filter(|paused| paused.value) else { return Ok(false) };
        if self.flavor.as_ref().is_some_and(|flavor| flavor.value() != "current_thread") {
            return Err(Error::new_spanned(
                paused,
                "the time of a runtime with several threads can't be paused: leave out `flavor`",
            ));
        }
        match self.transport.as_ref().map(LitStr::value).as_deref() {
            Some("mem") => Ok(true),
            Some(_) => Err(Error::new_spanned(
                &self.transport,
                "`start_paused` needs `transport = \"mem\"`: any other has actors in processes, whose clocks go on",
            )),
            None => Err(Error::new_spanned(
                paused,
                "`start_paused` needs `transport = \"mem\"`: actors in processes have clocks that go on",
            )),
        }
    }

    /// Returns how many seeds a test is run with, if it has any.
    fn seeds(&self) -> Result<Option<u64>> {
        let Some(seeds) = &self.seeds else { return Ok(None) };
        if !self.start_paused()? {
            return Err(Error::new_spanned(
                seeds,
                "`seeds` needs `start_paused = true`: only with one clock does a seed make the same run again",
            ));
        }
        match seeds.base10_parse()? {
            0 => Err(Error::new_spanned(seeds, "a test is run with at least one seed")),
            number => Ok(Some(number)),
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

/// Another attribute of that kind would start a runtime inside of ours, or run the test twice.
fn check_alone(kind: Kind, function: &ItemFn) -> Result<()> {
    let name = kind.name();
    let is_same = |attribute: &&syn::Attribute| attribute.path().segments.last().is_some_and(|last| last.ident == name);
    match function.attrs.iter().find(is_same) {
        Some(other) => Err(Error::new_spanned(
            other,
            format!(
                "remove this one: `#[pleach::{name}]` starts the runtime itself; see its options for the kind of runtime"
            ),
        )),
        None => Ok(()),
    }
}

fn check_shape(kind: Kind, sig: &Signature) -> Result<()> {
    let name = kind.name();
    if sig.asyncness.is_none() {
        return Err(Error::new_spanned(
            sig.fn_token,
            format!(
                "`#[pleach::{name}]` needs an `async fn`; if another attribute makes a plain function of it, as \
                 `#[tokio::{name}]` does, remove that: `#[pleach::{name}]` starts the runtime itself"
            ),
        ));
    }
    if !sig.inputs.is_empty() {
        let why = match kind {
            Kind::Main => "the main function takes no arguments: read them from `std::env::args()`",
            Kind::Test => "a test takes no arguments: write a function with them, and tests that call it",
        };
        return Err(Error::new_spanned(&sig.inputs, why));
    }
    if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
        let what = if kind == Kind::Main { "the main function" } else { "a test" };
        return Err(Error::new_spanned(sig.generics.to_token_stream(), format!("{what} can't be generic")));
    }
    Ok(())
}
