//! Which types may cross a process boundary, as far as their spelling tells.
//!
//! The rest is checked by the compiler where the expansion needs serde's traits; this catches mistakes that would give
//! errors about code that the user never wrote.

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{Error, Lifetime, Result, Type, TypeImplTrait, TypeInfer, TypeReference};

/// Rejects references, borrowed lifetimes, `impl Trait` and `_` anywhere in `ty`, for the reason `why`.
pub(crate) fn check(ty: &Type, why: &str) -> Result<()> {
    let mut search = Search { why, found: None };
    search.visit_type(ty);
    search.found.map_or(Ok(()), Err)
}

/// Keeps the first fault that it meets.
struct Search<'a> {
    why: &'a str,
    found: Option<Error>,
}

impl Search<'_> {
    fn fault(&mut self, fault: Error) {
        self.found.get_or_insert(fault);
    }

    fn borrowed(&mut self, at: Span) {
        self.fault(Error::new(at, self.why));
    }
}

impl<'ast> Visit<'ast> for Search<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        let Self { why, .. } = *self;
        self.fault(Error::new_spanned(reference, why));
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.borrowed(lifetime.span());
        }
    }

    fn visit_type_impl_trait(&mut self, unnamed: &'ast TypeImplTrait) {
        self.fault(Error::new_spanned(
            unnamed,
            "the other process has to know the type: name it instead of `impl Trait`",
        ));
    }

    fn visit_type_infer(&mut self, unnamed: &'ast TypeInfer) {
        self.fault(Error::new_spanned(unnamed, "the other process has to know the type: write it out"));
    }

    fn visit_type(&mut self, ty: &'ast Type) {
        if self.found.is_none() {
            visit::visit_type(self, ty);
        }
    }
}
