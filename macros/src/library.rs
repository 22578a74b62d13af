//! Where an expansion finds the library: at `::pleach`, or where the option `crate = path` says.
//!
//! All macros take that option, and write each path of the library by way of a [`Library`]. Attributes of serde take
//! paths as texts, which can't hold each path (`$crate::…`); they name the alias that [`Library::alias`] writes.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::meta::ParseNestedMeta;
use syn::parse::{ParseStream, Parser as _};
use syn::{LitStr, Path, Result};

/// The path of the library in the user's crate.
#[derive(Clone, Default)]
pub(crate) struct Library(Option<Path>);

impl Library {
    /// Reads the options of a macro that takes no other; `attribute` is its name in messages.
    pub(crate) fn read(attribute: &str, options: TokenStream) -> Result<Self> {
        let mut library = Self::default();
        let read = syn::meta::parser(|option| match option.path.is_ident(NAME) {
            true => library.set(&option),
            false => Err(option.error(format!("unknown option; {attribute} takes only `crate = path`"))),
        });
        read.parse2(options)?;
        Ok(library)
    }

    /// Takes the value of the option `crate`.
    pub(crate) fn set(&mut self, option: &ParseNestedMeta<'_>) -> Result<()> {
        if self.0.is_some() {
            return Err(option.error("this option is already set"));
        }
        self.0 = Some(path(option.value()?)?);
        Ok(())
    }

    /// Writes an item for the block of a function: after it, `__pleach_private` is what the expansions may use.
    pub(crate) fn alias(&self) -> TokenStream {
        quote!(use #self::__private as __pleach_private;)
    }
}

impl ToTokens for Library {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match &self.0 {
            Some(path) => path.to_tokens(tokens),
            None => tokens.extend(quote!(::pleach)),
        }
    }
}

/// Reads a path, in quotes or not: other libraries have it either way.
fn path(value: ParseStream<'_>) -> Result<Path> {
    match value.peek(LitStr) {
        true => value.parse::<LitStr>()?.parse_with(Path::parse_mod_style),
        false => Path::parse_mod_style(value),
    }
}

/// The option's name.
pub(crate) const NAME: &str = "crate";
